"""Progress: a function that long work calls to say how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Takes what is under way, how much of it is done, and how much there is in all, where that is known.

    What is under way is a name. Figures about it may follow, after a semicolon: `sft; loss 2.31, 2.1 GB`.
    """

    def __call__(self, what: str, done: int, total: int | None = None, /) -> None: ...


def silent(what: str, done: int, total: int | None = None, /) -> None:
    """Progress that is shown nowhere."""
