"""The ledger: what was asked, answered, judged and trained, append-only, in one SQLite file or PostgreSQL.

errors         the errors that a user can meet
ids            content hashes, and keyed draws made of them
records        the facts as frozen dataclasses: what crosses the door
tables         the tables; private to this room
engine         from an address to an engine with settings that make it safe
schema         which schema a ledger has, and upgrading it
migrations     the steps of an upgrade
writer         writing facts in bulk, once each
ledger         the door: opening, writing, reading facts
queries        the other door: one question to the ledger a file
interchange    the field's file formats, one a file
maintenance    backup, and the merger of two ledgers
moved          old names of modules, for one release
"""

from db.moved import install

READERS = (
    "asking", "contests", "costs", "exports", "frames", "given", "history", "lineage", "orders", "outputs",
    "recordings", "replies", "training",
)  # fmt: skip

install({f"db.{each}": (f"db.queries.{each}",) for each in READERS})
