"""What all commands show on a terminal: tables and counts. Text from outside is shown as plain text."""

from __future__ import annotations

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from farm.escaping import printed


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
