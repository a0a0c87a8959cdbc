"""The report of `farm people plan` as records, and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from db.ids import Json


@dataclass(frozen=True)
class PlannedInterval:
    """One estimate. value: the pilot's. questions: of its pool. there: labelled ones. needed: those to label.

    low, high: between these lie the half-widths of nine simulated studies of ten. reached: the share of
    simulated studies that are narrow enough.
    """

    of: str
    value: float
    questions: int
    there: int
    needed: int
    low: float
    high: float
    reached: float


@dataclass(frozen=True)
class JudgesLookedAt:
    """A set of annotators that was compared. annotators: () for people alone. cost: in US dollars.

    explained: the share of a label's variance that their mean verdict explains in the pilot. better: the
    share of simulated pilots in which they need less than the choice of fewer annotators; None for people
    alone. labels: as planned for them; None where the pool is too small for that.
    """

    annotators: tuple[str, ...]
    cost: float
    explained: float
    better: float | None
    labels: int | None
    taken: bool


@dataclass(frozen=True)
class VotesLookedAt:
    """So many people on each question. questions, labels: None where the pool or the pilot is too small."""

    people: int
    questions: int | None
    labels: int | None
    why: str = ""


@dataclass(frozen=True)
class PeoplePlan:
    """How many labels people must give, by how many people, and which annotators to buy.

    kind: what is estimated. people: on each question. persons: who labelled in the pilot. labels: all that
    are needed. there: those of the pilot that count. still: those to get. buy: the annotators whose mean
    verdict stands beside people. cost: theirs, in US dollars, for what they have not judged. label_cost: that
    of the labels to get, None without a price. unpriced: those of `buy` whose price is unknown and counts as
    0.
    """

    kind: str
    half_width: float
    assurance: float
    runs: int
    seed: int
    people: int
    persons: int
    labels: int
    there: int
    still: int
    buy: tuple[str, ...]
    cost: float
    budget: float | None
    label_cost: float | None
    unpriced: tuple[str, ...]
    intervals: tuple[PlannedInterval, ...]
    judges: tuple[JudgesLookedAt, ...]
    votes: tuple[VotesLookedAt, ...]
    left_out: tuple[tuple[str, str], ...]

    def to_json(self) -> Json:
        """The plan as one JSON object; half-widths and rates are shares."""
        found: dict[str, Json] = asdict(self)
        found["left_out"] = [{"annotator": name, "why": why} for name, why in self.left_out]
        return found
