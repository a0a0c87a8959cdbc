"""Progress on a terminal. It stands apart, because most commands show none and rich is slow to load it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from farm.terminal.common import plain


@contextmanager
def progress_of(unit: str, shown: bool) -> Iterator[Callable[[str, int], None]]:
    """Show a line on standard error that counts what is done, with its rate; only on a terminal."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as progress:
        task = progress.add_task("")

        def advance(name: str, done: int) -> None:
            progress.update(task, completed=done)
            seconds = progress.tasks[task].elapsed or 0.0
            rate = f", {done / seconds:,.0f} a second" if seconds else ""
            progress.update(task, description=f"{plain(name)}: {done:,} {unit}{rate}")

        yield advance
