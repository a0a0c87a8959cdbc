"""What a study found, as records that a file holds and a report shows. Rates are shares, intervals 95 %."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from db.errors import ConfigError
from db.ids import Json

PEOPLE, SIMULATORS = "people", "simulators"  # the two kinds of feedback, and the two worlds made of them


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """The win rate of a method, trained on one kind of feedback and judged by another."""

    method: str
    trained_on: str
    judged_by: str
    win_rate: Rate
    n: int
    n_failed: int


@dataclass(frozen=True)
class RankAgreement:
    """Do the two worlds rank the methods alike? resolved_by: the share of pairs that each tells apart."""

    spearman: Rate
    kendall: float
    methods: int
    resolved_by_people: float
    resolved_by_simulators: float


@dataclass(frozen=True)
class CurvePoint:
    """One point of an over-optimisation curve. proxy: the reward model's mean score; gold: the truth's."""

    curve: str
    feedback: str
    level: float
    sqrt_kl: float
    gold: Rate
    proxy: float


@dataclass(frozen=True)
class StudyResults:
    """A validation: win rates in both worlds, how far their rankings agree, over-optimisation."""

    baseline: str
    seed: int
    judged: tuple[Judged, ...]
    ranking: RankAgreement | None
    curves: tuple[CurvePoint, ...] = ()
    seconds: float = 0.0

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
            ranking = given["ranking"]
            return cls(
                given["baseline"],
                given["seed"],
                tuple(Judged(**{**each, "win_rate": Rate(**each["win_rate"])}) for each in given["judged"]),
                ranking and RankAgreement(**{**ranking, "spearman": Rate(**ranking["spearman"])}),
                tuple(CurvePoint(**{**each, "gold": Rate(**each["gold"])}) for each in given["curves"]),
                given["seconds"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            remedy = "give the study.json that `farm validate` or `farm quickstart` wrote"
            raise ConfigError(f"no results of a study: {error}", where=str(path), remedy=remedy) from None
