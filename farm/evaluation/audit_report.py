"""The report of an audit as records, as JSON, and as flat rows.

Rates are shares in [0, 1] with 95 % bounds by instruction. docs/audit.md defines the measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from db.ids import Json
from farm.evaluation.benchmarks import BenchmarkAudit
from farm.evaluation.drift_audit import Drift
from farm.evaluation.family_audit import FamilyAudit
from farm.evaluation.json_figures import interval_json
from farm.evaluation.pair_audit import PairAudit
from farm.evaluation.strength_audit import StrengthAudit
from farm.evaluation.trait_audit import TraitAudit
from farm.evaluation.worst_pairs import ToldPair
from farm.statistics.agreement import Ints
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import Told, answer
from farm.statistics.dawid_skene import Consensus
from farm.statistics.panel import Effective, PairAgreement

CATEGORIES = ("second", "tie", "first")  # the order of a confusion table's rows and columns
PRICES = ("price_per_1000", "seconds_per_1000")
PAIR = ("other", "pair_agreement", "cohen_kappa", "pair_ac1")  # the columns of two annotators in the CSV file
HEADLINES = ("agreement", "accuracy")  # these are objects in JSON, the other measures numbers


def measures_json(measures: Mapping[str, Interval]) -> dict[str, Json]:
    """The measures by name, and the interval of each under `intervals`."""
    intervals = {name: interval_json(each) for name, each in measures.items()}
    values = {name: intervals[name] if name in HEADLINES else each.value for name, each in measures.items()}
    return {**values, "intervals": intervals}


@dataclass(frozen=True)
class Confusion:
    """Counts of judgements: table (3, 3) by the annotator's category (rows) and the reference's mode
    (columns)."""

    table: Ints

    def to_json(self) -> Json:
        """The table with what its rows and columns are."""
        return {
            "rows": "annotator",
            "columns": "reference",
            "order": list(CATEGORIES),
            "table": self.table.tolist(),
        }


class Agreement(NamedTuple):
    """The agreement of one annotator with the reference. n: judgements."""

    name: str
    kind: str
    n: int
    agreement: Interval


@dataclass(frozen=True)
class AnnotatorAudit:
    """The audit of one annotator. measures: by name; prices are in US dollars, times in seconds."""

    name: str
    kind: str
    n: int  # judgements
    measures: Mapping[str, Interval]
    price_per_1000: float | None
    seconds_per_1000: float | None
    confusion: Confusion
    reliability: float | None  # P(true category) by Dawid and Skene; None unless their consensus is usable

    @property
    def beats_longest(self) -> Told | None:
        """Whether it agrees with the reference more than a judge that takes the longer output."""
        return answer(self.measures["over_longest"])

    @property
    def beats_people(self) -> Told | None:
        """Whether it agrees with people more than people with each other, on the same questions."""
        return answer(self.measures["over_people"])

    def to_json(self) -> Json:
        """The audit of this annotator as a JSON object."""
        return {
            "annotator": self.name,
            "kind": self.kind,
            "n": self.n,
            **measures_json(self.measures),
            "beats_longest": self.beats_longest,
            "beats_people": self.beats_people,
            "price_per_1000": self.price_per_1000,
            "seconds_per_1000": self.seconds_per_1000,
            "reliability": self.reliability,
            "confusion": self.confusion.to_json(),
        }


@dataclass(frozen=True)
class ReferenceAudit:
    """The reference, and the agreement of its members with each other."""

    name: str | None  # None where nobody can be a reference
    kinds: tuple[str, ...]
    annotators: int
    units: int  # questions with a verdict
    n: int  # judgements
    measures: Mapping[str, Interval]

    def to_json(self) -> Json:
        """The reference as a JSON object; its bias is 0 by definition."""
        agreement = self.measures["agreement"].value
        return {
            "name": self.name,
            "kinds": list(self.kinds),
            "annotators": self.annotators,
            "units": self.units,
            "n": self.n,
            **measures_json(self.measures),
            "bias": 0.0 if self.units else None,  # by definition
            "variance": None if agreement is None else 1 - agreement,
        }


@dataclass(frozen=True)
class Panel:
    """All annotators outside the reference, together: their names, in the order of the consensus's fit."""

    members: tuple[str, ...]
    effective: Effective | None
    consensus: Consensus | str  # or why there is none

    def reliability(self, name: str) -> float | None:
        """P(this member gives the true category). None unless the consensus is usable."""
        if isinstance(self.consensus, str) or self.consensus.usable != "yes" or name not in self.members:
            return None
        return float(self.consensus.fit.reliability()[self.members.index(name)])

    def to_json(self) -> Json:
        """The panel as a JSON object; a refused consensus is its reason."""
        effective = self.effective
        made: dict[str, Json] = {
            "effective_judges": effective
            and {"value": effective.value, "judges": effective.judges, "n": effective.n}
        }
        if isinstance(self.consensus, str):
            return made | {"dawid_skene": {"refused": self.consensus}}
        consensus = self.consensus
        fit: dict[str, Json] = {
            "anchors": consensus.anchors,
            "accuracy": consensus.accuracy,
            "best_single": consensus.rival.accuracy,
            "best_single_annotator": self.members[consensus.rival.annotator],
            "accuracy_beside_best_single": consensus.rival.consensus,
            "lead": interval_json(consensus.lead),
            "usable": consensus.usable,
        }
        return made | {"dawid_skene": fit}


@dataclass(frozen=True)
class Coverage:
    """What a panel or a cascade decided.

    decided: the share of its judgements with a verdict, with bounds by instruction. contested, failed: the
    numbers of judgements that stay open, and that failed. by: decided judgements by the members of the stage
    that decided. parts: judgements of members, on average. price_per_1000: US dollars, None where unknown.
    promise: the agreement with people that was promised, 0 where none was. agreement: with the people's
    majority where there is one, on what was decided. kept: whether that reaches the promise.
    """

    annotator: str
    decided: Interval
    contested: int
    failed: int
    by: Mapping[str, int]
    parts: float
    price_per_1000: float | None
    promise: float
    agreement: Interval

    @property
    def kept(self) -> Told | None:
        """By the bounds of the agreement; None without a promise or a reference."""
        found = self.agreement
        if not self.promise or found.value is None:
            return None
        if found.low is None or found.high is None:
            return "not decided"
        return "yes" if found.low >= self.promise else "no" if found.high < self.promise else "not decided"

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        return {
            "annotator": self.annotator,
            "decided": interval_json(self.decided),
            "contested": self.contested,
            "failed": self.failed,
            "by": dict(self.by),
            "parts": self.parts,
            "price_per_1000": self.price_per_1000,
            "promise": self.promise or None,
            "agreement": interval_json(self.agreement),
            "kept": self.kept,
        }


@dataclass(frozen=True)
class Slice:
    """An audit of some of the questions. where: their source, subset or tries; empty for all."""

    where: Mapping[str, str | None]
    reference: ReferenceAudit
    annotators: tuple[AnnotatorAudit, ...]
    pairs: tuple[PairAgreement, ...]
    panel: Panel

    def to_json(self) -> dict[str, Json]:
        """The slice as a JSON object, with its source, subset or tries first."""
        return {
            **self.where,
            "reference": self.reference.to_json(),
            "annotators": [each.to_json() for each in self.annotators],
            "pairs": [pair._asdict() for pair in self.pairs],
            "panel": self.panel.to_json(),
        }


@dataclass(frozen=True)
class RaterAudit:
    """Who judged outputs alone. n: ratings. mean: of the labels in [0, 1], one of each output."""

    name: str
    kind: str
    n: int
    mean: Interval


@dataclass(frozen=True)
class RatingAudit:
    """The ratings: judgements of outputs alone. n: ratings. shared: outputs that several raters rated.

    measures: `alpha` on the interval scale, and `difference`, the mean distance of two ratings of one output.
    """

    n: int
    outputs: int
    shared: int
    measures: Mapping[str, Interval]
    raters: tuple[RaterAudit, ...]

    def to_json(self) -> Json:
        """The audit of ratings as a JSON object."""
        counts = {"n": self.n, "outputs": self.outputs, "shared": self.shared}
        measures = {name: interval_json(each) for name, each in self.measures.items()}
        raters = [
            {"annotator": each.name, "kind": each.kind, "n": each.n, "mean": interval_json(each.mean)}
            for each in self.raters
        ]
        return {**counts, **measures, "raters": raters}


@dataclass(frozen=True)
class CheckedRule:
    """A rule, whether it holds, and the figure that decides: the one that is furthest from holding."""

    rule: str
    holds: bool
    who: str
    value: float | None

    def to_json(self) -> Json:
        """The rule as a JSON object."""
        return {"rule": self.rule, "holds": self.holds, "annotator": self.who, "value": self.value}


@dataclass(frozen=True)
class AuditReport:
    """The audit of all questions that were asked for, and of each slice of them.

    nulls: how unreadable verdicts were counted. ratings: None where no output was judged alone. aspect: the
    criterion whose verdicts were audited in place of the overall ones. aspects: those that the ledger has.
    """

    whole: Slice
    slices: tuple[Slice, ...]
    nulls: str
    ratings: RatingAudit | None = None
    coverage: tuple[Coverage, ...] = ()  # of the panels and cascades, on all questions
    benchmark: BenchmarkAudit | None = None  # where it was asked for
    traits: TraitAudit | None = None  # where it was asked for
    families: FamilyAudit | None = None  # where it was asked for
    drift: tuple[Drift, ...] | None = None  # where it was asked for
    pairs: PairAudit | None = None  # where it was asked for
    strengths: StrengthAudit | None = None  # where somebody says how much better
    aspect: str | None = None
    aspects: tuple[str, ...] = ()
    rules: tuple[CheckedRule, ...] = ()  # that were required
    disagreements: tuple[ToldPair, ...] = ()  # as many as were asked for

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return {
            **self.whole.to_json(),
            "slices": [each.to_json() for each in self.slices],
            "nulls": self.nulls,
            "ratings": self.ratings.to_json() if self.ratings else None,
            "coverage": [each.to_json() for each in self.coverage],
            "benchmark": self.benchmark.to_json() if self.benchmark else None,
            "traits": self.traits.to_json() if self.traits else None,
            "families": self.families.to_json() if self.families else None,
            "drift": None if self.drift is None else [each.to_json() for each in self.drift],
            "odd_pairs": self.pairs.to_json() if self.pairs else None,
            "strengths": self.strengths.to_json() if self.strengths else None,
            "aspect": self.aspect,
            "aspects": list(self.aspects),
            "rules": [each.to_json() for each in self.rules],
            "disagreements": [each.to_json() for each in self.disagreements],
        }

    def rows(self) -> Iterator[dict[str, str | float | None]]:
        """The flat rows of the CSV file, slice by slice, all with the same columns.

        First the reference's members with each other (kind `reference`), then the annotators, then every two
        annotators (kind `pair`, the second one under `other`). At the end all raters together and one by one
        (kind `ratings`).
        """
        parts = (self.whole, *self.slices)
        found = [row for part in parts for row in _rows(part)]
        found += _rating_rows(self.ratings) if self.ratings else []
        columns = dict.fromkeys(name for row in found for name in row)
        last = dict.fromkeys((*PRICES, "reliability", *PAIR))
        for row in found:
            yield {name: row.get(name) for name in (*(each for each in columns if each not in last), *last)}


def _rows(part: Slice) -> Iterator[dict[str, str | float | None]]:
    where = {name: part.where.get(name) for name in ("source", "subset", "tries")}
    if part.reference.name is not None:
        reference = part.reference
        yield {
            **where,
            **{"annotator": reference.name, "kind": "reference", "n": reference.n},
            **_cells(reference.measures),
        }
    for each in part.annotators:
        yield {
            **where,
            **{"annotator": each.name, "kind": each.kind, "n": each.n},
            **_cells(each.measures),
            **dict(zip(PRICES, (each.price_per_1000, each.seconds_per_1000), strict=True)),
            "reliability": each.reliability,
        }
    for pair in part.pairs:
        yield {
            **where,
            **{"annotator": pair.a, "kind": "pair", "n": pair.n},
            **dict(zip(PAIR, (pair.b, pair.agreement, pair.cohen_kappa, pair.ac1), strict=True)),
        }


def _rating_rows(ratings: RatingAudit) -> list[dict[str, str | float | None]]:
    where = dict.fromkeys(("source", "subset", "tries"))
    measures = {f"rating_{name}": each for name, each in ratings.measures.items()}
    rows: list[dict[str, str | float | None]] = [
        {**where, "annotator": None, "kind": "ratings", "n": ratings.n, **_cells(measures)}
    ]
    for each in ratings.raters:
        cells = _cells({"rating_mean": each.mean})
        rows.append({**where, "annotator": each.name, "kind": "ratings", "n": each.n, **cells})
    return rows


def _cells(measures: Mapping[str, Interval]) -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name, interval in measures.items():
        cells |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
        cells[f"{name}_n"] = interval.n
    return cells
