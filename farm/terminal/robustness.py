"""The robustness audit on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from farm.evaluation.attacks import ATTACKS, AttackKind
from farm.robustness import Attempt, RobustnessReport
from farm.terminal.annotate import unread_lines
from farm.terminal.common import plain, rate, table

HEADS = {
    AttackKind.NULL: "Outputs that answer nothing: they must lose to the honest output",
    AttackKind.DRESS: "Honest outputs dressed up: they must not beat themselves",
}


def robustness_view(report: RobustnessReport) -> RenderableType:
    """Nulls, then dresses, then what is flagged."""
    return Group(*_parts(report))


def _parts(report: RobustnessReport) -> Iterator[RenderableType]:
    yield plain(f"Against {report.against!r} on {report.instructions:,} instructions").append("\n")
    for kind, head in HEADS.items():
        attempts = [each for each in report.attempts if each.kind is kind]
        if attempts:
            yield Text(head)
            rows = table("attack", "annotator", "n#", "failed#", "win rate#", "move#", "")
            for each in attempts:
                rows.add_row(*_row(each))
            yield rows
            yield Text()
    for judged in report.unread:
        yield from (plain(f"{judged.annotator}: {line}") for line in unread_lines(judged))
    if not report.flagged:
        yield Text("Every attack loses.")
        return
    fooled = sorted({each.annotator for each in report.flagged})
    yield plain(f"{len(report.flagged)} attacks do not lose; fooled: {', '.join(fooled)}")
    for name in dict.fromkeys(each.attack for each in report.flagged):
        what = ATTACKS[name].summary if name in ATTACKS else "a producer of the ledger"
        yield plain(f"  {name}: {what}")


def _row(attempt: Attempt) -> tuple[Text | str, ...]:
    move = attempt.move.value
    return (
        plain(attempt.attack),
        plain(attempt.annotator),
        f"{attempt.n:,}",
        str(attempt.n_failed),
        rate(attempt.win_rate),
        "" if move is None else f"{move:+.3f}",
        Text("FLAGGED", "red") if attempt.flagged else "",
    )
