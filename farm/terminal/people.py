"""Views of `farm people` on a terminal: a judge beside people, and rankings."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from farm.evaluation.people_report import PeopleWinRate, Replacement
from farm.evaluation.rankings import RankComparison, Sensitivity
from farm.statistics.bootstrap import Interval
from farm.terminal.common import figure, plain, rate, table

WORDS = {
    "judge": "judge",
    "people": "people",
    "rogan_gladen": "corrected",
    "prediction_powered": "prediction-powered",
}
"""An estimate's name in the JSON -> its name on the screen."""


def replacement_view(found: Sequence[Replacement]) -> RenderableType:
    """One row for each annotator and epsilon. Annotators that could not be tested stand below."""
    rows = table(
        "annotator", "epsilon#", "people#", "items#", "omega#", "rho#", "people's own#", "may replace"
    )
    refused = []
    for each in found:
        if each.refused:
            refused.append(plain(f"{each.annotator}: {each.refused}"))
        for test in each.tests:
            own = sum(person.person_advantage for person in test.people) / len(test.people)
            rows.add_row(
                plain(each.annotator),
                f"{test.epsilon:g}",
                str(len(test.people)),
                f"{test.n:,}",
                figure(test.winning_rate),
                figure(test.advantage),
                figure(own),
                "yes" if test.passes else "no",
            )
    said = Text(
        "\nomega is the share of people whom the annotator matches to within epsilon; it must be 0.5 or more."
    )
    return Group(rows, said, *refused)


def win_rate_view(found: PeopleWinRate) -> RenderableType:
    """The estimates side by side, and what was refused."""
    head = plain(f"Win rate of {found.of!r} by {found.annotator}, {found.pool:,} questions").append("\n")
    rows = table("estimate", "instructions#", "labels#", "verdicts#", "win rate#")
    counts = found.counts()
    notes = []
    for name, interval, meaning in _estimates(found):
        each = counts[name]
        numbers = (f"{number:,}" for number in (each.instructions, each.labels, each.verdicts))
        rows.add_row(WORDS[name], *numbers, rate(interval))
        notes.append(Text(f"{WORDS[name]}: {meaning}"))
    notes += [plain(f"{name}: {why}") for name, why in _refusals(found)]
    if not isinstance(found.powered, str):
        gain = found.powered.effective_labels / found.powered.n
        worth = f"{found.powered.effective_labels:,.0f} (x{gain:.2f})"
        notes.append(Text(f"{found.powered.n:,} human labels are worth {worth}"))
    if found.plan and not isinstance(found.plan, str):
        plan = found.plan
        notes.append(
            Text(
                f"+-{plan.half_width:g} needs {plan.n:,} human labels beside this judge, "
                f"{plan.n_without_judge:,} without it; as far as this pilot tells, {plan.n:,} labels "
                f"give +-{plan.low:.3f} to +-{plan.high:.3f}"
            )
        )
    if found.outside:
        notes.append(Text(f"{found.outside:,} labelled questions are no part of this"))
    return Group(head, rows, *notes)


def _estimates(found: PeopleWinRate) -> list[tuple[str, Interval, str]]:
    made = []
    if found.judge:
        made.append(("judge", found.judge, "its own verdicts; whatever it is biased by, this is too"))
    if found.people:
        made.append(("people", found.people, "their labels alone"))
    if not isinstance(found.corrected, str):
        made.append(("rogan_gladen", found.corrected.interval, "Rogan and Gladen, without ties"))
    if not isinstance(found.powered, str):
        made.append(("prediction_powered", found.powered.interval, "people's labels and the judge's"))
    return made


def _refusals(found: PeopleWinRate) -> list[tuple[str, str]]:
    each = {"corrected": found.corrected, "prediction-powered": found.powered, "plan": found.plan}
    return [(name, why) for name, why in each.items() if isinstance(why, str)]


def next_view(pairs: Sequence[int]) -> RenderableType:
    """Ids alone, one to a line."""
    return Text("\n".join(map(str, pairs)))


def comparisons_view(found: Sequence[RankComparison]) -> RenderableType:
    """One row for each pair of evaluators. Refusals stand below."""
    rows = table("what differs", "evaluator", "evaluator", "models#", "Spearman#", "Kendall#", "agreement#")
    refused = []
    for each in found:
        if each.spearman is None or each.kendall is None:
            refused.append(plain(f"{each.a} and {each.b}: {each.refused}"))
            continue
        by = each.spearman.over_instructions or each.spearman.over_models
        rows.add_row(
            each.kind,
            plain(each.a),
            plain(each.b),
            str(each.spearman.n_models),
            rate(by),
            figure(each.kendall.value),
            "" if each.agreement is None else figure(each.agreement.value),
        )
    return Group(rows, *refused)


def sensitivity_view(found: Sensitivity) -> RenderableType:
    """The comparisons, then each evaluator's ranking on a line."""
    lines = []
    for each in found.rankings:
        against = f" (against {each.reference})" if each.reference else ""
        scores = " > ".join(f"{model} {score:.2f}" for model, score in each.scores.items())
        lines.append(plain(f"{each.evaluator}{against}: {scores}"))
    return Group(comparisons_view(found.comparisons), Text(), Text("Rankings"), *lines)
