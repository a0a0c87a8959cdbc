"""The evaluation of one model on a terminal, in percent."""

from __future__ import annotations

from rich.console import Group, RenderableType

from farm.evaluate import Evaluation
from farm.evaluation.leaderboard_report import percent
from farm.terminal.annotate import unread_lines
from farm.terminal.common import plain, table
from farm.terminal.leaderboard import number, span_of, was_refused


def evaluation_view(found: Evaluation) -> RenderableType:
    """One model's figures, then its categories."""
    place, rate = found.place, found.place.rate
    draws = number(percent(rate.annotator_error))
    lines = [
        f"{place.model} against {found.reference}, judged by {found.annotator} on {found.set_name}",
        f"win rate {number(percent(rate.value))} %, standard error"
        f" {number(percent(rate.standard_error)) or 'unknown'}"
        + (f" (of the annotator's draws alone {draws})" if draws else "")
        + f", 95 % interval {span_of(rate, ' to ') or 'unknown'}",
        f"{rate.n_wins:,} wins, {rate.n_losses:,} losses, {rate.n_draws:,} ties; n {rate.n:,}, failed"
        f" {_failed(found)}; mean length {place.length:,.0f} against {place.reference_length:,.0f}",
    ]
    if place.controlled.rate is not None:
        controlled = place.controlled.rate
        lines.append(
            f"length-controlled win rate {number(percent(controlled.value))} %, standard error"
            f" {number(percent(controlled.bootstrap_error))} (bootstrap); difficulty: {found.difficulty}"
        )
    elif was_refused(place):
        lines.append(f"not controlled: {place.controlled.reason}")
    cost = found.judged.cost
    asked = f"{found.sampled:,} outputs sampled, {found.judged.requests:,} requests"
    lines.append(asked if cost is None else f"{asked}, ${cost:.4f}")
    said: list[RenderableType] = [plain(line) for line in [*lines, *unread_lines(found.judged)]]
    if found.categories:
        rows = table("category", "win rate#", "se#", "n#", "failed#")
        for name, each in found.categories.items():
            figures = (number(percent(each.value)), number(percent(each.standard_error)))
            rows.add_row(plain(name), *figures, f"{each.n:,}", f"{each.n_failed:,}")
        said.append(rows)
    return Group(*said)


def _failed(found: Evaluation) -> str:
    """The number of failures, and of what kinds."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.failures.items())
    return f"{found.place.rate.n_failed:,}" + (f" ({kinds})" if kinds else "")
