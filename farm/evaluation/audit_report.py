"""The report of an audit as records, as JSON, and as flat rows.

Rates are shares in [0, 1] with 95 % bootstrap intervals by question. docs/audit.md defines the measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from db.ids import Json
from farm.statistics.agreement import Ints
from farm.statistics.bootstrap import Interval
from farm.statistics.dawid_skene import Consensus
from farm.statistics.panel import Effective, PairAgreement

CATEGORIES = ("second", "tie", "first")  # the order of a confusion table's rows and columns
HEADLINES = ("agreement", "accuracy")  # these are objects in JSON, the other measures numbers


def interval_json(interval: Interval) -> Json:
    """An interval as a JSON object: value, low, high, n."""
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}


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
    def beats_longest(self) -> bool | None:
        """Whether it agrees with the reference more than a judge that takes the longer output."""
        lead = self.measures["over_longest"].value
        return None if lead is None else lead > 0

    def to_json(self) -> Json:
        """The audit of this annotator as a JSON object."""
        return {
            "annotator": self.name,
            "kind": self.kind,
            "n": self.n,
            **measures_json(self.measures),
            "beats_longest": self.beats_longest,
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
        if isinstance(self.consensus, str) or not self.consensus.usable or name not in self.members:
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
            "usable": consensus.usable,
        }
        return made | {"dawid_skene": fit}


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
class AuditReport:
    """The audit of all questions that were asked for, and of each slice of them.

    nulls: how unreadable verdicts were counted. draws: of the bootstrap.
    """

    whole: Slice
    slices: tuple[Slice, ...]
    nulls: str
    draws: int

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return {
            **self.whole.to_json(),
            "slices": [each.to_json() for each in self.slices],
            "nulls": self.nulls,
            "draws": self.draws,
        }

    def rows(self) -> Iterator[dict[str, str | float | None]]:
        """One flat row for each slice and annotator, as in the CSV file."""
        for part in (self.whole, *self.slices):
            for each in part.annotators:
                row: dict[str, str | float | None] = {
                    "source": part.where.get("source"),
                    "subset": part.where.get("subset"),
                    "tries": part.where.get("tries"),
                    "annotator": each.name,
                    "kind": each.kind,
                    "n": each.n,
                }
                for name, interval in each.measures.items():
                    row |= {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
                    row[f"{name}_n"] = interval.n
                row |= {"price_per_1000": each.price_per_1000, "seconds_per_1000": each.seconds_per_1000}
                row["reliability"] = each.reliability
                yield row
