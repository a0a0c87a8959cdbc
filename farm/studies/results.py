"""The results of a study, as records that a file stores and a report shows.

Rates are shares in [0, 1]. Intervals are 95 % intervals.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from db.errors import ConfigError
from db.ids import Json
from db.whole_files import Kind, write_bytes_whole
from farm.statistics.bootstrap import Interval

# The two kinds of feedback. A world of a study is what one of them trains and judges.
PEOPLE, SIMULATORS = "people", "simulators"
CROWD_PRICE = 300.0
"""US dollars for 1,000 judgements by crowd workers, as AlpacaFarm paid (Dubois et al. 2023, section 4.2)."""


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The share in percent, with its interval."""
        return f"{100 * self.value:.1f} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)  # the least and the largest possible value


def rate_of(interval: Interval, limits: tuple[float, float] = SHARE) -> Rate:
    """An interval as a rate. A missing bound becomes the least or largest possible value: nothing is known.

    A missing value becomes 0.
    """
    value = interval.value or 0.0
    low = limits[0] if interval.low is None else interval.low
    return Rate(value, low, limits[1] if interval.high is None else interval.high)


@dataclass(frozen=True)
class Annotators:
    """Simulators compared with people on the same pairs. The bias of people is 0 by definition."""

    pairs: int
    people: Rate  # agreement of one person with the mode of the other people
    simulators: Rate  # agreement of one simulator with the mode of people
    people_variance: float  # 1 - `people`
    simulators_variance: Rate  # 1 - agreement of one judgement with the mode of the simulator's others
    simulators_bias: Rate  # error of the simulators' mode against the mode of people
    price_per_1000: float | None  # US dollars for 1,000 judgements of the simulators; None where unknown
    crowd_price_per_1000: float = CROWD_PRICE


@dataclass(frozen=True)
class MethodWinRate:
    """The win rate of a method that was trained on one kind of feedback and judged by one kind of judge."""

    method: str
    trained_on: str
    judged_by: str
    win_rate: Rate
    n: int  # instructions with a judgement
    n_failed: int  # instructions without one
    gain: Rate | None = None  # win rate minus the supervised model's, paired by instruction; None for itself


@dataclass(frozen=True)
class RankAgreement:
    """Agreement of the two worlds' rankings of the methods."""

    spearman: Rate
    kendall: float
    methods: int
    resolved_by_people: float  # share of the pairs of methods that differ significantly in the people's world
    resolved_by_simulators: float  # the same in the simulators' world


@dataclass(frozen=True)
class OverOptimisationPoint:
    """One point of an over-optimisation curve."""

    curve: str  # the way to optimise: best-of-n or PPO
    feedback: str  # what the reward model has learnt from
    level: float  # n of best-of-n, or the step of PPO
    sqrt_kl: float  # square root of the KL from the SFT policy, in nats
    gold: Rate  # mean gold utility
    proxy: float  # mean score of the reward model


@dataclass(frozen=True)
class TurningPoint:
    """Whether an over-optimisation curve turns down, and where."""

    curve: str
    feedback: str
    peak: float  # level with the highest gold utility
    last: float  # level with the largest KL
    drop: Rate  # gold at `last` minus gold at `peak`; the interval allows for the choice of the peak

    @property
    def turned(self) -> bool:
        """Whether the drop is significant: its interval lies below 0."""
        return self.drop.high < 0


RESULTS = Kind(b'{\n "baseline": ')
"""Files of results, by which a later run knows its own."""


@dataclass(frozen=True)
class StudyResults:
    """The results of a validation: win rates in both worlds, their rankings, over-optimisation."""

    baseline: str
    seed: int
    judged: tuple[MethodWinRate, ...]
    ranking: RankAgreement | None
    curves: tuple[OverOptimisationPoint, ...] = ()
    seconds: float = 0.0
    turns: tuple[TurningPoint, ...] = ()
    annotators: Annotators | None = None

    def rates(self, trained_on: str, judged_by: str) -> dict[str, Rate]:
        """Win rate of each method that was trained on and judged by these kinds of feedback."""
        return {
            each.method: each.win_rate
            for each in self.judged
            if (each.trained_on, each.judged_by) == (trained_on, judged_by)
        }

    def to_json(self) -> Json:
        """The results as JSON."""
        return asdict(self)

    def write(self, path: Path) -> None:
        """Write the results to a JSON file. Raises as db.whole_files.write_whole does."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        write_bytes_whole(path, f"{text}\n".encode(), RESULTS)

    @classmethod
    def read(cls, path: Path) -> StudyResults:
        """Read what `write` wrote. Raises ConfigError where the file is something else."""
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
    """Make a record of its JSON object, in which rates are objects."""
    return kind(**{name: Rate(**each) if isinstance(each, dict) else each for name, each in given.items()})
