"""What was judged and paid, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from db.ids import Json

if TYPE_CHECKING:
    from annotators.clients.budget import Estimate
    from farm.annotate import AnnotateReport
    from farm.evaluation.audit_report import AuditReport
from farm.terminal.common import counted, plain


def annotate_view(report: AnnotateReport, scored: AuditReport | None = None) -> RenderableType:
    """One line of what became of the pairs. Below it: the members, what could not be read, what was refused,
    what a panel or a cascade left open, and what the judge scored on a benchmark."""
    new = sum(report.statuses.values())
    parts = ", ".join(f"{count:,} {status}" for status, count in report.statuses.items()) or "none"
    elsewhere = f", {report.elsewhere:,} being asked by another run" if report.elsewhere else ""
    made = f"{counted(new, 'new judgement')} ({parts})"
    line = (
        f"{report.annotator} judged {counted(report.pairs, 'pair')}: {made}, "
        f"{report.known:,} there already{elsewhere}{_bill(report)}"
    )
    below = [*_held(report), *unread_lines(report), *_refused(report), *_open(report)]
    members = (annotate_view(each) for each in report.members)
    return Group(plain(line), *members, *map(plain, below), *_scored(scored))


def _scored(report: AuditReport | None) -> Iterator[RenderableType]:
    """The tables of a benchmark; they need numpy, which a short command does without."""
    if report is not None:
        from farm.terminal.audit_parts import benchmark

        yield from benchmark(report)


def _held(report: AnnotateReport) -> list[str]:
    """How likely the replies that were held to names would have been something else."""
    if report.outside is None:
        return []
    return [f"held to the names: the model gives other first tokens {report.outside:.1%} of the probability"]


REASONS = 3  # why pairs were left open, of which so many are told
_INSTEAD = {
    "max_tokens": "went as max_completion_tokens",
    "max_completion_tokens": "went as max_tokens",
    "system": "went into the user's message",
    "single replies": "came as streams",
}


def unread_lines(report: AnnotateReport) -> list[str]:
    """The commonest reasons why replies could not be read, with one reply each."""
    told = [
        f"{each.times:,} unreadable: {each.reason}" + (f"; one reply: {each.reply}" if each.reply else "")
        for each in report.unreadable
    ]
    unread = report.statuses.get("unreadable", 0)
    if 2 * unread > sum(report.statuses.values()):
        told.append(
            f"more than half is unreadable: this judge's parser does not fit its replies; "
            f"`farm trace {report.annotator}` shows some"
        )
    return told


def _refused(report: AnnotateReport) -> list[str]:
    """The fields that the server refused, each once."""
    return [
        f"the server refuses {name}, which {_INSTEAD.get(name, 'was left out')} ({said})"
        for name, said in (report.refused or {}).items()
    ]


def _open(report: AnnotateReport) -> list[str]:
    """Who decided how much, where there are stages, and what stays open, by reason."""
    told = []
    if len(report.decided or {}) > 1:
        told.append(
            "decided by " + "; by ".join(f"{who}: {n:,}" for who, n in (report.decided or {}).items())
        )
    told += [f"{n:,} left open: {reason}" for reason, n in _commonest(report.contested or {})]
    if report.contested:
        told.append(f"`farm label --contested {report.annotator} --annotator YOU` shows them to people")
    return told


def _commonest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: -each[1])[:REASONS]


def members_view(reports: Sequence[AnnotateReport]) -> RenderableType:
    """One line for each member of a pool."""
    return Group(*map(annotate_view, reports))


def _bill(report: AnnotateReport) -> str:
    """What was asked and paid, and what the server did otherwise than it was told."""
    if not report.requests:
        return ""
    cost = "cost unknown" if report.cost is None else f"${report.cost:.4f}"
    if report.cost_bound != report.cost:
        cost += f" (${report.cost_bound:.4f} at most: some replies came without their bill)"
    told = [f"{counted(n, 'request')} failed: {name}" for name, n in (report.failures or {}).items()]
    told += [f"{counted(n, 'reply')}: {name}" for name, n in (report.warnings or {}).items()]
    asked = f"{counted(report.requests, 'request')}, {counted(report.tokens, 'token')}"
    return "; ".join(["", asked + f", {cost}", *told])


def estimate_json(estimate: Estimate) -> Json:
    """The estimate as a JSON object. cost: US dollars, or null where unknown."""
    return {
        "requests": estimate.requests,
        "prompt_tokens": estimate.prompt_tokens,
        "completion_tokens": estimate.completion_tokens,
        "cost": estimate.cost,
    }


def estimate_view(estimate: Estimate) -> RenderableType:
    """One line of what a run would ask and cost."""
    cost = "at an unknown price" if estimate.cost is None else f"for about ${estimate.cost:.4f}"
    return plain(
        f"would ask {counted(estimate.requests, 'request')}, about {estimate.prompt_tokens:,} prompt and "
        f"{estimate.completion_tokens:,} completion tokens, {cost}"
    )
