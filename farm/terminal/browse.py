"""The page of `farm browse` on a terminal."""

from __future__ import annotations

import typer


def say_where(url: str) -> None:
    """One line: the address to open."""
    typer.echo(url)
