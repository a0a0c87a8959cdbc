"""Progress: a function that long work calls to say how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int], None]
"""(what is under way, how much of it is done)"""


def silent(what: str, done: int) -> None:
    """Progress that is shown nowhere."""
