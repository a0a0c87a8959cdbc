"""What a run of `farm train` takes from the ledger.

records    the records that a method learns from, and which of them are held out
"""
