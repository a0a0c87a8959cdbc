"""What a study found, as records that a file holds and a report shows. Rates are shares, intervals 95 %."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from db.errors import ConfigError
from db.ids import Json
from farm.statistics.bootstrap import Interval

PEOPLE, SIMULATORS = "people", "simulators"  # the two kinds of feedback, and the two worlds made of them
CROWD_PRICE = 300.0
"""US dollars for 1,000 judgements by crowd workers, as AlpacaFarm paid (Dubois et al. 2023, section 4.2)."""


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    value: float
    low: float
    high: float


def rate_of(interval: Interval) -> Rate:
    """An interval as a rate; where it has no bounds, it reaches no further than its value."""
    value = interval.value or 0.0
    low, high = (value if bound is None else bound for bound in (interval.low, interval.high))
    return Rate(value, low, high)


@dataclass(frozen=True)
class Annotators:
    """Simulators beside people on the same pairs. people: one person with the mode of others; simulators:
    one simulator with the mode of people. Variance is 1 - agreement with one's own others, bias the error of
    the simulators' mode; people have none by definition. Prices in US dollars, None where unknown."""

    pairs: int
    people: Rate
    simulators: Rate
    people_variance: float
    simulators_variance: Rate
    simulators_bias: Rate
    price_per_1000: float | None
    crowd_price_per_1000: float = CROWD_PRICE


@dataclass(frozen=True)
class MethodWinRate:
    """The win rate of a method, trained on one kind of feedback and judged by another.

    gain: how far it is above the supervised model's, paired by instruction; None for that model.
    """

    method: str
    trained_on: str
    judged_by: str
    win_rate: Rate
    n: int
    n_failed: int
    gain: Rate | None = None


@dataclass(frozen=True)
class RankAgreement:
    """Do the two worlds rank the methods alike? resolved_by: the share of pairs that each tells apart."""

    spearman: Rate
    kendall: float
    methods: int
    resolved_by_people: float
    resolved_by_simulators: float


@dataclass(frozen=True)
class OverOptimisationPoint:
    """One point of an over-optimisation curve. proxy: the reward model's mean score; gold: the truth's."""

    curve: str
    feedback: str
    level: float
    sqrt_kl: float
    gold: Rate
    proxy: float


@dataclass(frozen=True)
class TurningPoint:
    """Does a curve turn down? peak: the level with the highest gold; last: that with the largest KL.

    drop: gold at the last less gold at the peak, paired by instruction, its interval wide enough for any of
    the points to be the peak.
    """

    curve: str
    feedback: str
    peak: float
    last: float
    drop: Rate

    @property
    def turned(self) -> bool:
        return self.drop.high < 0


@dataclass(frozen=True)
class StudyResults:
    """A validation: win rates in both worlds, how far their rankings agree, over-optimisation."""

    baseline: str
    seed: int
    judged: tuple[MethodWinRate, ...]
    ranking: RankAgreement | None
    curves: tuple[OverOptimisationPoint, ...] = ()
    seconds: float = 0.0
    turns: tuple[TurningPoint, ...] = ()
    annotators: Annotators | None = None

    def rates(self, trained_on: str, judged_by: str) -> dict[str, Rate]:
        """Win rate of each method in one world."""
        return {
            each.method: each.win_rate
            for each in self.judged
            if (each.trained_on, each.judged_by) == (trained_on, judged_by)
        }

    def to_json(self) -> Json:
        return asdict(self)

    def write(self, path: Path) -> None:
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> StudyResults:
        """Raises ConfigError where the file is none of ours."""
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            ranking, annotators = given["ranking"], given.get("annotators")
            return cls(
                given["baseline"],
                given["seed"],
                tuple(_with_rates(MethodWinRate, each) for each in given["judged"]),
                ranking and _with_rates(RankAgreement, ranking),
                tuple(_with_rates(OverOptimisationPoint, each) for each in given["curves"]),
                given["seconds"],
                tuple(_with_rates(TurningPoint, each) for each in given.get("turns", ())),
                annotators and _with_rates(Annotators, annotators),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "give the study.json that `farm validate` or `farm quickstart` wrote"
            raise ConfigError(f"no results of a study: {error}", where=str(path), remedy=remedy) from None


Record = TypeVar("Record")


def _with_rates(kind: Callable[..., Record], given: Mapping[str, Any]) -> Record:
    """A record whose rates stand in the file as objects."""
    return kind(**{name: Rate(**each) if isinstance(each, dict) else each for name, each in given.items()})
