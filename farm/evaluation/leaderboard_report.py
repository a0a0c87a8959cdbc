"""The report of a leaderboard as records with shares in [0, 1], and as JSON in percent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from db.ids import Json
from farm.statistics.bootstrap import Interval
from farm.statistics.length_control import ControlledWinRate
from farm.statistics.win_rates import WinRate

NOT_ASKED = "not asked for"  # the reason why nothing was controlled, with `--control none`


@dataclass(frozen=True)
class Controlled:
    """A controlled win rate, or the reason why there is none.

    by_row_position: only for a model with missing rows, the number that AlpacaEval's code gives, because it
    joins difficulty by row position (docs/leaderboard.md).
    """

    rate: ControlledWinRate | None
    by_row_position: float | None
    reason: str


@dataclass(frozen=True)
class LeaderboardEntry:
    """One model of a leaderboard. length, reference_length: mean characters of an output. cluster: 1 is the
    best. best, worst: the range of its rank. published: the score that others give it, in their own unit."""

    model: str
    rate: WinRate
    controlled: Controlled
    length: float
    reference_length: float
    cluster: int | None
    best: int | None
    worst: int | None
    published: float | None = None

    def to_json(self) -> dict[str, Json]:
        """The model as a JSON object, rates in percent."""
        rate, controlled = self.rate, self.controlled.rate
        return {
            "model": self.model,
            "n": rate.n,
            "n_failed": rate.n_failed,
            "n_instructions": rate.interval.n,
            "win_rate": percent(rate.value),
            "standard_error": percent(rate.standard_error),
            "interval": bounds(rate.interval),
            "annotator_error": percent(rate.annotator_error),
            "n_wins": rate.n_wins,
            "n_losses": rate.n_losses,
            "n_draws": rate.n_draws,
            "discrete_win_rate": percent(rate.discrete),
            "length_controlled_win_rate": percent(controlled.value) if controlled else None,
            "lc_standard_error": percent(controlled.standard_error) if controlled else None,
            "lc_bootstrap_error": percent(controlled.bootstrap_error) if controlled else None,
            "lc_interval": bounds(controlled.interval) if controlled else None,
            "lc_win_rate_by_row_position": percent(self.controlled.by_row_position),
            "lc_missing": self.controlled.reason or None,
            "avg_length": self.length,
            "avg_length_reference": self.reference_length,
            "cluster": self.cluster,
            "best_rank": self.best,
            "worst_rank": self.worst,
            "published": self.published,
        }


@dataclass(frozen=True)
class Leaderboard:
    """Models by win rate against one reference, best first.

    difficulty: where the difficulties of instructions come from, or `none`. lacking: why there are none.
    controls: the features that win rates are controlled for.
    """

    annotator: str
    reference: str
    set_name: str | None
    difficulty: str
    lacking: str
    controls: tuple[str, ...]
    places: tuple[LeaderboardEntry, ...]

    def to_json(self) -> dict[str, Json]:
        """The leaderboard as a JSON object, rates in percent."""
        return {
            "annotator": self.annotator,
            "reference": self.reference,
            "evaluation_set": self.set_name,
            "difficulty": self.difficulty,
            "difficulty_missing": self.lacking or None,
            "controls": list(self.controls),
            "models": [place.to_json() for place in self.places],
        }


@dataclass(frozen=True)
class Strength:
    """The Bradley-Terry strength of one model, in log-odds; the mean of all models is 0."""

    model: str
    strength: Interval
    n: int
    n_failed: int
    cluster: int
    best: int
    worst: int

    def to_json(self) -> dict[str, Json]:
        """The model as a JSON object, in log-odds."""
        return {
            "model": self.model,
            "strength": self.strength.value,
            "interval": [self.strength.low, self.strength.high],
            "n": self.n,
            "n_failed": self.n_failed,
            "cluster": self.cluster,
            "best_rank": self.best,
            "worst_rank": self.worst,
        }


@dataclass(frozen=True)
class Strengths:
    """Models by Bradley-Terry strength, from pairs of any models; the strongest first."""

    annotator: str
    n: int
    n_failed: int
    places: tuple[Strength, ...]

    def to_json(self) -> Json:
        """The strengths as a JSON object, in log-odds."""
        return {
            "annotator": self.annotator,
            "n": self.n,
            "n_failed": self.n_failed,
            "models": [place.to_json() for place in self.places],
        }


def percent(share: float | None) -> float | None:
    """A share in percent; None where it is unknown."""
    return None if share is None or math.isnan(share) else 100 * share


def bounds(interval: Interval) -> Json:
    """The bounds of an interval of shares, in percent."""
    return [percent(interval.low), percent(interval.high)]
