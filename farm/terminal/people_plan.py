"""View of `farm people plan` on a terminal: the answer first, then the reasoning."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from farm.evaluation.plan_report import PeoplePlan
from farm.terminal.common import counted, plain, table

SUBJECTS = {
    "win-rate": "win rates",
    "agreement": "agreement with people",
    "alpha": "alpha of people",
    "gap": "gaps of neighbours, as P(better beats worse)",
}
"""What is planned -> its words."""


def plan_view(found: PeoplePlan) -> RenderableType:
    """The labels to get, the annotators to buy, and how this was found."""
    parts: list[RenderableType] = [*_answer(found), Text(), _intervals(found)]
    if found.judges:
        parts += [
            Text(f"\nAnnotators beside people, compared in {found.runs:,} simulated pilots"),
            _judges(found),
        ]
    if len(found.votes) > 1:
        parts += [Text("\nPeople on each question"), _votes(found)]
    parts += [plain(f"{name} is left out: {why}") for name, why in found.left_out]
    return Group(*parts)


def _answer(found: PeoplePlan) -> list[Text]:
    aim = f"+-{found.half_width:g} in {found.assurance:.0%} of studies: {SUBJECTS[found.kind]}"
    questions = found.labels // found.people
    on_each = "1 person" if found.people == 1 else f"{found.people} people"
    shared = -(-found.still // max(1, found.persons))
    labels = (
        f"{counted(found.still, 'label')} still to get: {found.labels:,} in all, of {on_each} on each of "
        f"{questions:,} questions; {found.there:,} are there"
    )
    lines = [Text(aim), Text(labels)]
    if found.still:
        those = "the 1 person" if found.persons == 1 else f"each of the {found.persons:,} people"
        lines.append(Text(f"{shared:,} for {those} of the pilot"))
    if found.label_cost is not None:
        lines.append(Text(f"${found.label_cost:,.2f} for these labels"))
    if found.kind == "win-rate":
        limit = "" if found.budget is None else f" of ${found.budget:,.2f}"
        who = ", ".join(found.buy) or "nobody"
        how = " (the mean of their verdicts: a panel)" if len(found.buy) > 1 else ""
        lines.append(plain(f"Buy {who}{how}: ${found.cost:,.2f}{limit}"))
        if found.unpriced:
            lines.append(
                plain(f"The price of {', '.join(found.unpriced)} is unknown and counts as 0: --price")
            )
    return lines


def _intervals(found: PeoplePlan) -> RenderableType:
    rows = table("estimate", "pilot#", "questions#", "labelled#", "needed#", "half-width#", "narrow enough#")
    for each in found.intervals:
        rows.add_row(
            plain(each.of),
            f"{each.value:.3f}",
            f"{each.questions:,}",
            f"{each.there:,}",
            f"{each.needed:,}",
            f"{each.low:.4f} to {each.high:.4f}",
            f"{each.reached:.1%}",
        )
    return rows


def _judges(found: PeoplePlan) -> RenderableType:
    rows = table("annotators", "$#", "explained#", "fewer labels in#", "questions#", "taken")
    for each in found.judges:
        rows.add_row(
            plain(", ".join(each.annotators) or "people alone"),
            f"{each.cost:,.2f}",
            f"{each.explained:.3f}",
            "" if each.better is None else f"{each.better:.1%}",
            "more than there are" if each.labels is None else f"{each.labels:,}",
            "yes" if each.taken else "no",
        )
    return rows


def _votes(found: PeoplePlan) -> RenderableType:
    rows = table("people#", "questions#", "labels#", "taken")
    for each in found.votes:
        taken = "yes" if each.people == found.people else "no"
        if each.questions is None or each.labels is None:
            rows.add_row(str(each.people), "", "", each.why)
        else:
            rows.add_row(str(each.people), f"{each.questions:,}", f"{each.labels:,}", taken)
    return rows
