"""What all commands show on a terminal: tables and progress. Text from outside is shown as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, JustifyMethod
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from farm.escaping import printed


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


def plain(text: str) -> Text:
    """Foreign text with its control characters made visible, and never read as markup."""
    return Text(printed(text))


def counted(count: int, thing: str) -> str:
    """A number of things: 1 reply, 2,000 replies, 0 pairs."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else several}"


def table(*columns: str) -> Table:
    """A plain table; a column whose name ends in `#` holds numbers."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        numeric = column.endswith("#")
        justify: JustifyMethod = "right" if numeric else "left"
        made.add_column(
            column.removesuffix("#"), justify=justify, no_wrap=True, min_width=0 if numeric else 12
        )
    return made
