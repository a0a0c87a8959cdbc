"""The chapter of annotators: their agreement with people, prices and biases, from an audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from db.records import COMPOSITES
from farm.evaluation.audit_report import (
    HEADLINES,
    AnnotatorAudit,
    AuditReport,
    Coverage,
    ReferenceAudit,
)
from farm.pages.report import figures
from farm.pages.report.content import Headline, Section, Table
from farm.pages.report.drawing import Figure
from farm.statistics.bootstrap import Interval
from farm.studies.results import CROWD_PRICE

SIMULATED = ("llm", "rm", *(kind.value for kind in COMPOSITES))
PEOPLE = 8  # up to so many people are drawn one by one
ANNOTATORS = 60  # so many are shown; the audit's CSV has all
SAME = 0.9  # annotators can be compared where each judged this share of the questions
FEW = 30  # a person with fewer judgements gets no row of a table
NAMED = 3  # simulators named in a sentence; more than one other give a range
COMPARED = {
    "yes": "more often than one person",
    "no": "less often than one person",
    "not decided": "not told apart from one person",
    None: "with no person to compare with",
}
MEASURES = {
    "agreement": "agreement",
    "accuracy": "accuracy",
    "bias": "bias",
    "variance": "variance",
    "position_bias": "first",
    "length_bias": "longer",
    "list_bias": "list",
}
LEANINGS = ("position_bias", "length_bias", "list_bias")


def share(interval: Interval) -> str:
    """A share in percent with its bounds: 65.1 % [63.0, 67.2]. "" without a value."""
    if interval.value is None:
        return ""
    if interval.low is None or interval.high is None:
        return f"{100 * interval.value:.1f} %"
    return f"{100 * interval.value:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def percent(interval: Interval) -> str:
    """A share in percent: 65.1 %. "" without a value."""
    return "" if interval.value is None else f"{100 * interval.value:.1f} %"


def headlines(report: AuditReport) -> list[Headline]:
    """Three headlines: people with each other, the best simulator beside the others, the longer output."""
    people, longest = (report.whole.reference.measures[name] for name in ("agreement", "longest"))
    found = []
    if people.value is not None:
        words = "one person against the majority of the others, on the same pairs: the measure for judges"
        found.append(Headline(f"{100 * people.value:.0f} %", "People agree with people", words))
    if simulated := _simulated(report):
        best, *others = simulated
        price = "" if best.price_per_1000 is None else f", at ${best.price_per_1000:.2f} per 1,000"
        near = sum(_overlap(best.measures["agreement"], each.measures["agreement"]) for each in others)
        first = "the highest of" if near else "the nearest to people of"
        place = f"{first} {len(simulated)} simulated annotators" if others else "simulated"
        place += f", not told apart from {near} of the others" if near else ""
        words = f"{place}{price}; {_interval(best.measures['agreement'])}."
        if others:
            words += f" Beside it {'; '.join(_rates(others))}."
        value = f"{100 * _agreement(best):.0f} %"
        found.append(Headline(value, f"Simulator {best.name} agrees with people", words))
    if longest.value is not None:
        words = "for nothing: what no judge should fall below"
        found.append(Headline(f"{100 * longest.value:.0f} %", "The longer output agrees with people", words))
    return found


def _interval(measure: Interval) -> str:
    low, high = measure.low, measure.high
    return (
        "no interval" if low is None or high is None else f"95 % interval {100 * low:.0f} to {100 * high:.0f}"
    )


def _overlap(best: Interval, other: Interval) -> bool:
    """Whether two intervals overlap, so that neither annotator is shown to be the nearer one."""
    return best.low is None or other.high is None or other.high >= best.low


def _simulated(report: AuditReport) -> list[AnnotatorAudit]:
    """The simulated annotators with an agreement, the best first."""
    found = (each for each in report.whole.annotators if each.kind in SIMULATED and _agreement(each))
    return sorted(found, key=_agreement, reverse=True)


def _rates(simulated: Sequence[AnnotatorAudit], *, beside_people: bool = False) -> list[str]:
    """Phrases with the agreement of the first simulators, and one with the range of the rest.

    beside_people: each simulator is compared with people on the same questions.
    """
    named = NAMED if len(simulated) > NAMED + 1 else NAMED + 1
    said = []
    for each in simulated[:named]:
        compared = f", {COMPARED[each.beats_people]}" if beside_people else ""
        said.append(f"{each.name} on {100 * _agreement(each):.0f} %{compared}")
    if rest := simulated[named:]:
        high, low = (100 * _agreement(each) for each in (rest[0], rest[-1]))
        said.append(f"{len(rest)} more on {low:.0f} to {high:.0f} %")
    return said


def _agreement(each: AnnotatorAudit) -> float:
    return each.measures["agreement"].value or 0.0


def summary(report: AuditReport) -> list[str]:
    """The findings of an audit in sentences; none without people or simulators."""
    people, longest = (report.whole.reference.measures[name] for name in ("agreement", "longest"))
    simulated = _simulated(report)
    if not simulated or people.value is None:
        return []
    said = [
        f"A person agrees with the majority of other people on {100 * people.value:.0f} % of the judgements;"
        f" simulated annotators: {'; '.join(_rates(simulated, beside_people=True))}."
    ]
    behind = [each.name for each in simulated if each.beats_longest != "yes"]
    if longest.value is not None:
        said.append(
            f"Always preferring the longer output would agree on {100 * longest.value:.0f} %. "
            + (
                f"Not shown to be better on what they judged: {', '.join(behind)}."
                if behind
                else "Every simulator beats that on what it judged."
            )
        )
    return said


def chapter(report: AuditReport) -> Section:
    """The chapter of an audit: sentences, figures and tables."""
    reference = report.whole.reference
    shown = sorted(report.whole.annotators, key=lambda each: -_agreement(each))
    sentences: tuple[str, ...] = (
        f"{len(shown)} annotators judged. The reference is {_named(reference)}:"
        f" {reference.annotators} of them, {reference.n:,} judgements of {reference.units:,} questions."
        if reference.units
        else "No person and no gold standard judged here, so nobody can be compared with people.",
        "Agreement is with the majority of people, ties between them counting a half. Variance is how often"
        " an annotator leaves its own majority; bias is what is left of the disagreement when its noise is"
        " averaged out. First, longer and list say how often it prefers the output that is so.",
    )
    judged = [each.measures["agreement"].n for each in shown if each.kind != "human"]
    if judged and min(judged) < SAME * reference.units:
        sentences += (
            "Not everybody judged the same questions: compare figures of annotators within one source alone"
            " (--source).",
        )
    drawn = _figures(report, shown)
    if any(figure.name == "agreement-price" for figure in drawn):
        sentences += (
            f"Agreement against price shows people at what AlpacaFarm paid its crowd, ${CROWD_PRICE:.0f} for"
            " 1,000 judgements, where their own price is not known; the dashed line is their agreement.",
        )
    return Section(
        name="annotators",
        heading="Annotators against people",
        sentences=sentences,
        figures=tuple(drawn),
        tables=(*_tables(shown), *_coverage(report.coverage)),
    )


def _coverage(found: Sequence[Coverage]) -> Iterator[Table]:
    """What panels and cascades decided; nothing where there are none."""
    if found:
        rows = [
            [
                each.annotator,
                share(each.decided),
                f"{each.contested:,}",
                f"{each.parts:.1f}",
                f"{each.promise:.2f}" if each.promise else "",
                each.kept or "",
                "; ".join(f"{who} {n:,}" for who, n in each.by.items()),
            ]
            for each in found
        ]
        columns = ("annotator", "decided", "left open", "members asked", "promise", "kept", "decided by")
        numeric = (False, True, True, True, True, False, False)
        yield Table("Panels and cascades", columns, rows, numeric)


def _named(reference: ReferenceAudit) -> str:
    return "people" if reference.name == "human" else str(reference.name)


def _figures(report: AuditReport, shown: Sequence[AnnotatorAudit]) -> list[Figure]:
    people = report.whole.reference.measures["agreement"].value
    told = [each for each in shown if each.measures["agreement"].value is not None]
    alone, persons = _apart(told)
    one_by_one = [*alone, *(persons if len(persons) <= PEOPLE else [])]
    drawn = []
    if one_by_one:
        data = pd.DataFrame([_agreed(each) for each in one_by_one[:ANNOTATORS]])
        drawn.append(figures.agreement(data, people))
        priced = _priced(data, report.whole.reference.measures["agreement"])
        if priced["price"].nunique() > 1:
            drawn.append(figures.agreement_against_price(priced, people))
    together = _bias_and_variance(alone, people)
    if len(together) > 1:
        drawn.append(figures.bias_and_variance(together))
    leaning = _leanings(*_apart(shown))
    if len(leaning):
        drawn.append(figures.leanings(leaning))
    return drawn


def _priced(data: pd.DataFrame, people: Interval) -> pd.DataFrame:
    """The rows with a known price. Where no person has one, a row of people at AlpacaFarm's price is
    added."""
    rows = data.dropna(subset="price")
    if people.value is None or rows.empty or (rows["kind"] == "human").any():
        return rows
    crowd = {"annotator": "people, at AlpacaFarm's price", "kind": "human", "price": CROWD_PRICE}
    crowd |= {"agreement": people.value, "low": people.low, "high": people.high}
    return pd.concat([rows, pd.DataFrame([crowd])], ignore_index=True)


def _bias_and_variance(alone: Sequence[AnnotatorAudit], people: float | None) -> pd.DataFrame:
    """Rows of annotators with a known variance and bias, and one of people, whose bias is 0 by definition."""
    names = ("variance", "bias")
    rows = [{"annotator": a.name, "kind": a.kind} | {m: a.measures[m].value for m in names} for a in alone]
    if people is not None:
        rows.append({"annotator": "people", "kind": "human", "variance": 1 - people, "bias": 0.0})
    return pd.DataFrame(rows, columns=["annotator", "kind", *names]).dropna()


def _apart(shown: Sequence[AnnotatorAudit]) -> tuple[list[AnnotatorAudit], list[AnnotatorAudit]]:
    """Split the annotators in two: those that are not people, and people."""
    persons = [each for each in shown if each.kind == "human"]
    return [each for each in shown if each.kind != "human"], persons


def _agreed(each: AnnotatorAudit) -> dict[str, object]:
    found = each.measures["agreement"]
    facts = {"annotator": each.name, "kind": each.kind, "agreement": found.value}
    return {**facts, "low": found.low, "high": found.high, "price": each.price_per_1000}


def _leanings(alone: Sequence[AnnotatorAudit], persons: Sequence[AnnotatorAudit]) -> pd.DataFrame:
    """The biases of all people together and of each other annotator; rows without any are left out."""
    names = ["people together"] if persons else []
    rates = [[_together(persons, measure) for measure in LEANINGS]] if persons else []
    for each in alone[:ANNOTATORS]:
        names.append(each.name)
        rates.append([each.measures[measure].value for measure in LEANINGS])
    frame = pd.DataFrame(rates, columns=list(figures.LEANINGS), dtype=float)
    frame.insert(0, "annotator", names)
    return frame.dropna(subset=list(figures.LEANINGS), how="all").reset_index(drop=True)


def _together(persons: Sequence[AnnotatorAudit], name: str) -> float | None:
    """The mean of a measure over people, weighted by each one's number of questions; None without any."""
    found = [(each.measures[name].value, each.measures[name].n) for each in persons]
    told = [(value, n) for value, n in found if value is not None]
    total = sum(n for _, n in told)
    return sum(value * n for value, n in told) / total if total else None


def _tables(shown: Sequence[AnnotatorAudit]) -> tuple[Table, ...]:
    """A table of annotators that are not people, and one of people, the busiest first, folded."""
    alone, persons = _apart(shown)
    found = [_table("Annotators; intervals are 95 %, by question", alone[:ANNOTATORS])] if alone else []
    busy = sorted((each for each in persons if each.n >= FEW), key=lambda each: -each.n)[:ANNOTATORS]
    if busy:
        few = len(persons) - len(busy)
        words = "The people, the busiest first" + (
            f"; {few} with fewer judgements are left out" if few else ""
        )
        found.append(_table(words, busy, folded=bool(alone)))
    return tuple(found)


def _table(caption: str, shown: Sequence[AnnotatorAudit], *, folded: bool = False) -> Table:
    """A table of annotators. Empty columns are left out; agreement and accuracy have intervals."""
    told = [name for name in MEASURES if any(each.measures[name].value is not None for each in shown)]
    priced = any(each.price_per_1000 is not None for each in shown)
    rows = [
        [
            each.name,
            each.kind,
            f"{each.n:,}",
            *((share if name in HEADLINES else percent)(each.measures[name]) for name in told),
            *([f"${each.price_per_1000:,.2f}" if each.price_per_1000 is not None else ""] if priced else []),
        ]
        for each in shown
    ]
    columns = ("annotator", "kind", "judgements", *(MEASURES[name] for name in told))
    columns = (*columns, "per 1,000") if priced else columns
    return Table(
        caption=caption,
        columns=columns,
        rows=rows,
        numeric=(False, False, *(True for _ in columns[2:])),
        folded=folded,
    )
