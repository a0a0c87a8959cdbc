"""What the commands share: the options before the command, common flags, and printing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from db.ids import Json
    from db.ledger import Ledger


@dataclass(frozen=True)
class Context:
    """What the options before the command say."""

    ledger: str
    debug: bool

    @contextmanager
    def open(self, *, create: bool = False, read_only: bool = False) -> Iterator[Ledger]:
        from db.ledger import Ledger

        with Ledger.open(self.ledger, create=create, read_only=read_only) as ledger:
            yield ledger


JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Source = Annotated[str | None, typer.Option(help="Only what was imported from this source.")]
AverageOrders = Annotated[
    bool,
    typer.Option("--average-orders", help="A pair judged in both orders counts once, as the mean of both."),
]
Subset = Annotated[str | None, typer.Option(help="Only this subset of it.")]


def print_(as_json: bool, data: Callable[[], Json], view: Callable[[], Any]) -> None:
    """One JSON object, or what a person would rather read."""
    if as_json:
        typer.echo(json.dumps(data(), ensure_ascii=False, allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, 108)
    console.print(view())
