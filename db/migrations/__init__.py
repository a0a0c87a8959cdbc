"""The schema history of the ledger, which alembic applies."""
