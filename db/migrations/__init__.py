"""Schema history of the ledger, applied by alembic."""
