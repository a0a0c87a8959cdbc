"""The training methods on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from farm.objectives import ObjectiveDetail, ObjectiveTable
from farm.terminal.common import counted, plain, table
from farm.terminal.train import options_view

START = "--model DIR --out FOLDER"


def methods_view(found: ObjectiveTable) -> RenderableType:
    """The methods, one line each, and what a snapshot gives them."""
    held = found.snapshot
    rows = table("method", "learns from", "needs", *(["rows#"] if held else []), "command", "paper")
    for each in found.objectives:
        count = found.rows(each)
        given = [] if held is None else ["" if count is None else f"{count:,}"]
        ending = each.command.removeprefix(f"farm train {each.name} {START}")
        rows.add_row(each.name, each.learns_from, ", ".join(each.needs), *given, ending, plain(each.paper))
    command = f"\ncommand: farm train METHOD {START} and what is above."
    reference = "reference: the model itself, unless --reference DIR names another."
    parts: list[RenderableType] = [rows, Text(command), plain(reference)]
    if held is not None:
        units = counted(held.outputs, "single output") if held.outputs else counted(held.pairs, "pair")
        labels = f"{counted(held.ties, 'tie')}, {counted(held.soft, 'soft label')}"
        of = f"snapshot {held.name}: {units} of {counted(held.instructions, 'instruction')}, {labels}."
        if held.cyclic or held.partial:
            of = f"{of} {counted(held.groups, 'group')}, {held.cyclic:,} with a cycle"
            of = f"{of}; {held.partial:,} ordered only in part and left out."
        parts.append(plain(f"{of} Methods without a number do not learn from it."))
    return Group(*parts)


def method_view(found: ObjectiveDetail) -> RenderableType:
    """One method whole: the head of its file, its command, its options."""
    needs = f"; needs {' and '.join(found.objective.needs)}" if found.objective.needs else ""
    return Group(
        Text(f"{found.text}\n", no_wrap=True, overflow="ignore"),
        plain(f"learns from {found.objective.learns_from}{needs}"),
        plain(found.objective.command),
        options_view(found.objective.name, list(found.options)),
    )
