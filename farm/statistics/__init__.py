"""Numbers from judgements: arrays in, numbers out; no ledger, no files."""
