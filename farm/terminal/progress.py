"""Progress on a terminal, or as lines of a log. It stands apart, because most commands show none and rich is
slow to load it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from farm.progress import Progress, silent
from farm.terminal.common import lasting, plain

EVERY = 30.0  # seconds between two lines of a log


@contextmanager
def progress_of(unit: str, shown: bool) -> Iterator[Progress]:
    """Show on standard error what is done, of how much, the rate, and the time to go.

    On a terminal it is one line that changes. Elsewhere, as in the log file of a cluster, it is a line every
    EVERY seconds, as far as the work says something.
    """
    if not shown:
        yield silent
    elif (console := Console(stderr=True)).is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Bar(*columns, console=console) as bar:
            task = bar.add_task("")
            yield told(unit, lambda line: bar.update(task, description=str(plain(line))))
    else:
        yield told(unit, _to_log, EVERY)


def _to_log(line: str) -> None:
    print(plain(line), file=sys.stderr, flush=True)


def told(unit: str, tell: Callable[[str], object], every: float = 0.0) -> Progress:
    """Progress that tells a line about it at most once in so many seconds.

    The rate is that since the first call: what an earlier process did is not counted to this one.
    """
    last, first = monotonic(), list[tuple[float, int]]()

    def progress(what: str, done: int, total: int | None = None, /) -> None:
        nonlocal last
        now = monotonic()
        first.append((now, done)) if not first else None
        if now - last >= every:
            last = now
            began, before = first[0]
            tell(line_of(what, done, total, unit=unit, rate=(done - before) / max(now - began, 1e-9)))

    return progress


def line_of(what: str, done: int, total: int | None, *, unit: str, rate: float) -> str:
    """A line such as: sft: 12 of 60 steps, 0.25 a second, 3 min to go; loss 2.31. rate: 0 where unknown."""
    name, semicolon, figures = what.partition("; ")
    line = f"{name}: {done:,} {unit}" if total is None else f"{name}: {done:,} of {total:,} {unit}"
    if rate > 0:
        line += f", {rate:,.0f} a second" if rate >= 10 else f", {rate:.2g} a second"
        line += "" if total is None else f", {lasting(max(0, total - done) / rate)} to go"
    return line + semicolon + figures
