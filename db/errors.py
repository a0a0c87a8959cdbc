"""The errors a user can meet: what was wrong, where, and what to do about it.

Every error the project raises on purpose is a `FarmError`; the command line prints it as one line on
standard error and exits with 1. Anything else that surfaces is a bug.
"""

from __future__ import annotations


class FarmError(Exception):
    """What was wrong, where it was, and the remedy.

    what: one clause that names the fault, with no full stop.
    where: file and line, row, option or URL the fault was found at; empty where there is none.
    remedy: what the user can do now; empty only where nothing helps.
    """

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)  # the rest is pickled with the attributes, from process to process
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}{self.what}{remedy}"


class LedgerError(FarmError):
    """The ledger cannot do what was asked; it is as it was before."""


class LedgerNotFound(LedgerError):
    """There is no ledger where one was expected."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a later version of this package."""


class LedgerCorrupt(LedgerError):
    """The file is not a ledger, or its pages are damaged."""


class LedgerBusy(LedgerError):
    """Another process held the ledger for longer than we wait."""


class LedgerFull(LedgerError):
    """The disk, or the file-size limit, is exhausted."""


class LedgerReadOnly(LedgerError):
    """The file or its folder cannot be written."""


class FormatError(FarmError):
    """A file does not have the shape of the format it was said to have."""


class ConfigError(FarmError):
    """An option, a name or a configuration file is wrong."""
