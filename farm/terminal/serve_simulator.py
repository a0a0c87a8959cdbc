"""The simulated provider on a terminal."""

from __future__ import annotations

import typer


def say_where(url: str) -> None:
    """One line: the base URL that clients are given."""
    typer.echo(f"serving {url}")
