"""The ledger: an append-only store of all that was asked, answered, judged and trained.

It is one SQLite file or a PostgreSQL database. Other rooms reach it in two ways: by the methods of `Ledger`
and by the functions in `queries`. Both take and give records or frames. Only this room writes SQL.

errors          the errors that a user can meet
ids             content hashes, and pseudo-random draws keyed by content
sqlite_file     opens the file of a ledger, and knows which are open here
whole_files     writes files whole or not at all, and never over a ledger
turns           the turns of conversations
records         the facts as frozen dataclasses
names           how long annotators' names may be, and which look alike
tables          the tables; private to this room
known_names     the names that a ledger holds, for a shell that completes them
engine          opens the database of an address, with safe settings
schema          which schema a ledger has, and how to upgrade it
migrations      the steps of an upgrade
row_writer      writes rows: fresh ids, fast inserts, rows that are known by their key
instruction_rows  reads instructions and outputs from the rows of a query
judgement_rows  writes judgements, each once
writer          writes facts in bulk, each once
ledger          `Ledger`: open it, write facts, read facts
queries         the other questions to a ledger, one a file
interchange     the field's file formats, one a file
maintenance     backup, and the merger of two ledgers
moved           old names of modules, for one release
"""

from db.moved import install

READERS = (
    "asking", "contests", "costs", "exports", "frames", "given", "history", "lineage", "orders", "outputs",
    "recordings", "replies", "training",
)  # fmt: skip

install({f"db.{each}": (f"db.queries.{each}",) for each in READERS})
