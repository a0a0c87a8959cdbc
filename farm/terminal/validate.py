"""A finished validation on a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.terminal.quickstart import results_view
from farm.validate import Validation


def validation_view(done: Validation) -> RenderableType:
    """The table, the ranking's agreement, and what people have still to judge."""
    further = f"\nResults: {done.path}; a page of them: farm report OUT.html --study {done.path}"
    if done.awaited:
        further += f"\n{done.awaited:,} pairs await people: "
        further += "farm label --annotator NAME --source evaluation, then run it again"
    return Group(results_view(done.results), Text(further))
