"""What all commands show on a terminal: tables and counts. Text from outside is shown as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from farm.escaping import printed

if TYPE_CHECKING:  # it brings numpy, which the shortest commands do not need
    from farm.statistics.bootstrap import Interval

WIDTH = 108  # columns of text
ENDLESS = 100_000  # columns that no table needs


def plain(text: str) -> Text:
    """Foreign text with its control characters made visible, and never read as markup."""
    return Text(printed(text))


def counted(count: int, thing: str) -> str:
    """A number of things: 1 reply, 2,000 replies, 0 pairs."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else several}"


def lasting(seconds: float) -> str:
    """A span of time: 40 s, 12 min, 3 h 20 min."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


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


def print_whole(console: Console, view: RenderableType) -> None:
    """Print a view. Where the output is not a terminal, a table is as wide as it needs, and is never cut."""
    if isinstance(view, Group):
        for part in view.renderables:
            print_whole(console, part)
        return
    terminal = console.is_terminal
    console.width = max(console.width, WIDTH) if terminal else WIDTH
    if isinstance(view, Table) and not terminal:
        endless = console.options.update(max_width=ENDLESS)
        console.width = max(WIDTH, Measurement.get(console, endless, view).maximum)
    console.print(view)


def figure(value: float | None) -> str:
    """A value with three decimals; empty for None."""
    return "" if value is None else f"{value:.3f}"


def number(interval: Interval) -> str:
    """The value of an interval with three decimals; empty without one."""
    return figure(interval.value)


def rate(interval: Interval) -> str:
    """A value with its interval."""
    return interval.text(".3f", ".2f")
