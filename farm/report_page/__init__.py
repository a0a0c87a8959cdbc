"""The report: one self-contained page, and its figures as files. `farm.report` fills it from the ledger."""
