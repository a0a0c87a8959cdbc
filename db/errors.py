"""The errors that a user can meet. Each says what was wrong, where, and what to do about it.

Every error that the project raises on purpose is a `FarmError`. The command line prints it as one line on
standard error and exits with 1. Any other exception that a user sees is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FarmError(Exception):
    """An error with a remedy; the root of the project's errors.

    what: one clause that names the fault, without a full stop.
    where: the file and line, row, option or URL at fault; empty where there is none.
    remedy: what the user can do now; empty only where nothing helps.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)  # where and remedy are pickled as attributes
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class Paused(FarmError):
    """The work stops here. What was done is kept, and the same command goes on with it later."""


class LedgerError(FarmError):
    """The ledger cannot do what was asked. Nothing in it was changed."""


class LedgerNotFound(LedgerError):
    """There is no ledger at the given address."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a later version of this package."""


class LedgerCorrupt(LedgerError):
    """The file is not a ledger, or its pages are damaged."""


class LedgerBusy(LedgerError):
    """Another process held the ledger for longer than the waiting time (db/engine.py)."""


class LedgerFull(LedgerError):
    """The disk is full, or the file has reached its size limit."""


class LedgerReadOnly(LedgerError):
    """The file or its folder cannot be written."""


class LedgerUnreachable(LedgerError):
    """The database server cannot be reached, or it broke the connection."""


class UnstorableRow(LedgerError):
    """A row holds a value that the database cannot hold. The rows beside it can be written."""


class FormatError(FarmError):
    """A file is not of the format that it was given as."""


class ConfigError(FarmError):
    """An option, a name or a configuration file is wrong."""


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """The remedy for a name that nothing has: the nearest known name; `otherwise` where none is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
