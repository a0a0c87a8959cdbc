"""The ledger: what was asked, answered, judged and trained, append-only, in one SQLite file or PostgreSQL."""
