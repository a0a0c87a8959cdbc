"""An alignment on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from db.ids import Json
from farm.terminal.annotate import estimate_json, estimate_view
from farm.terminal.common import counted, plain, table

if TYPE_CHECKING:
    from annotators.clients.budget import Estimate
    from farm.aligning.report import Alignment, PaidNow
    from farm.statistics.bootstrap import Interval

SHARE, BOUNDS, GAIN = (".3f", ".2f", "+.3f")


def alignment_view(found: Alignment) -> RenderableType:
    """The candidates on the validation side, the test, and what to do with the result."""
    pairs = ", ".join(f"{count:,} {side}" for side, count in found.pairs.items())
    head = plain(
        f"People ({found.people}) judged {pairs} pairs. On {found.differ:,} of the training side they "
        f"disagree with {found.judge}; {found.proposer} read some of them."
    )
    return Group(head, Text(), *_candidates(found), Text(), *map(plain, _ends(found)))


def _candidates(found: Alignment) -> Iterator[RenderableType]:
    """A line for each candidate, with its rule."""
    rows = table("candidate", "agreement#", "gain#", "no verdict#", "rule")
    for each in found.tried:
        seen = each.validation
        rows.add_row(
            plain(each.candidate.name),
            seen.candidate.text(SHARE, BOUNDS),
            seen.gain.text(GAIN, "+.2f"),
            f"{seen.failed[1]:,}",
            plain(each.candidate.rule),
        )
    yield rows
    for rule in found.left_out:
        yield plain(f"left out, {rule.why}: {rule.text}")


def _ends(found: Alignment) -> Iterator[str]:
    """What the test says, what was paid, and where the result is."""
    if found.best is None or found.test is None:
        yield f"No candidate is better on the validation side. Nothing was tested; {found.judge} stays."
    else:
        seen = found.test
        yield (
            f"On {seen.gain.n:,} instructions of the test side people agree with {found.judge} on "
            f"{_share(seen.judge)} and with {found.best.name} on {_share(seen.candidate)}, a gain of "
            f"{seen.gain.text(GAIN, '+.2f')} ({found.level:.0%} bounds)."
        )
        yield _verdict(found, found.best.name)
    yield from (bill_line(who, bill) for who, bill in found.paid.items() if bill.requests)


def _verdict(found: Alignment, best: str) -> str:
    if found.accepted:
        path = f"./{found.out}" if len(found.out.parts) == 1 else str(found.out)
        return f"Accepted: {found.out} is {best}. Read its rules, then `farm annotate {path}`."
    return f"NOT accepted: {best} is not shown to be better than {found.judge}, which stays."


def _share(interval: Interval) -> str:
    return interval.text(SHARE, BOUNDS)


def bill_line(who: str, bill: PaidNow) -> str:
    cost = "cost unknown" if bill.cost is None else f"${bill.cost:.4f}"
    return f"paid for {who}: {counted(bill.requests, 'request')}, {counted(bill.tokens, 'token')}, {cost}"


def plan_json(plan: Mapping[str, Estimate]) -> Json:
    """The estimates as a JSON object, by who is asked."""
    return {who: estimate_json(each) for who, each in plan.items()}


def plan_view(plan: Mapping[str, Estimate]) -> RenderableType:
    """A line for each that is asked: the most that it can be."""
    lines: list[RenderableType] = []
    for who, each in plan.items():
        lines += [plain(f"{who}, at most:"), estimate_view(each)]
    return Group(*lines)
