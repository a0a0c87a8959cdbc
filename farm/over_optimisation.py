"""Over-optimisation curves: gold utility or win rate against sqrt(KL), for several reward models.

After Gao, Schulman and Hilton 2023 (arXiv 2210.10760, figure 1) and AlpacaFarm (figure 4). Each strength of
optimisation gives one point: an n of best-of-n, a KL penalty, a checkpoint. A curve has turned where the last
point is significantly below the peak, paired by instruction. The peak is the best of several measured values,
so it is a little too high; the interval of the drop is wider for that reason (Bonferroni over the points).
Drops that are equal on all instructions show no spread: win rates follow the rule of three, utilities get no
bounds and have not turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from db.errors import ConfigError, FormatError
from db.ids import Json
from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.bounds import clustered_error, difference_interval, student_interval
from farm.statistics.over_optimisation import CurvePoint, best_of_n_kl, curve_points
from farm.statistics.ranking import levels

NEEDED = ("curve", "level", "instruction", "gold")


@dataclass(frozen=True)
class Curve:
    """One reward model's curve, its points in the order of sqrt(KL).

    peak: the position of the highest point. drop: gold at the last point minus gold at the peak, paired by
    instruction.
    """

    name: str
    points: tuple[CurvePoint, ...]
    peak: int
    drop: Interval

    @property
    def turned(self) -> bool:
        """Whether the whole interval of the drop is below 0."""
        return self.drop.high is not None and self.drop.high < 0

    def to_json(self) -> dict[str, Json]:
        """The curve as a JSON object."""
        return {
            "curve": self.name,
            "points": [_point_json(point) for point in self.points],
            "peak": {"level": self.points[self.peak].level, "sqrt_kl": self.points[self.peak].sqrt_kl},
            "drop": asdict(self.drop),
            "turned": self.turned,
        }


def curves(frame: pd.DataFrame, *, share: bool = False) -> list[Curve]:
    """The curves of a frame, in the order of their names.

    frame: one row per judgement with the columns curve (the reward model), level (what was varied),
    instruction, gold and kl. gold is a utility, or with `share` a preference in [0, 1]; it is NaN where the
    judgement failed. kl is in nats, one value per curve and level; without this column the levels are the n
    of best-of-n. Raises ConfigError where a column is missing or its values are not possible."""
    missing = [name for name in NEEDED if name not in frame.columns]
    if missing or frame.empty:
        what = f"a curve needs the column {missing[0]!r}" if missing else "there are no points"
        raise ConfigError(what, where="frame", remedy=f"columns: {', '.join(NEEDED)}, and kl")
    try:
        rows = frame.astype({"level": float, "gold": float})
        _require_known(rows, share)
        rows = rows if "kl" in rows.columns else rows.assign(kl=_best_of_n(rows["level"]))
        points = curve_points(rows, share=share)
    except ValueError as error:
        raise ConfigError(str(error), where="frame") from error
    return [_curve(str(name), own, points, share) for name, own in rows.groupby("curve", sort=True)]


def read_curves(path: Path) -> pd.DataFrame:
    """Read a CSV file as the frame of `curves`. Raises FormatError where the file cannot be
    read or is no CSV file.
    """
    try:
        return pd.read_csv(path)
    except OSError as error:
        what = f"the file cannot be read: {error.strerror}"
        raise FormatError(what, where=str(path), remedy="check the path") from error
    except ValueError as error:
        raise FormatError(
            "this is no CSV file", where=str(path), remedy="docs/over_optimisation.md"
        ) from error


def _require_known(rows: pd.DataFrame, share: bool) -> None:
    for name in ("curve", "level", "instruction"):
        if rows[name].isna().any():
            raise ValueError(f"{rows[name].isna().sum()} rows have no {name}")
    if share and ((rows["gold"] < 0) | (rows["gold"] > 1)).any():
        raise ValueError("a win rate is made of preferences from 0 to 1: leave --share out for utilities")


def _best_of_n(samples: pd.Series[float]) -> list[float]:
    if (samples % 1 != 0).any():
        raise ValueError("without a column kl the levels are the n of best-of-n: whole numbers")
    return [best_of_n_kl(int(number)) for number in samples]


def _curve(name: str, rows: pd.DataFrame, points: Sequence[CurvePoint], share: bool) -> Curve:
    own = sorted(
        (point for point in points if point.curve == name), key=lambda each: (each.sqrt_kl, each.level)
    )
    values = [np.nan if point.gold.value is None else point.gold.value for point in own]
    peak = int(np.argmax(levels(np.array([values]))))
    table = rows.pivot_table(index="instruction", columns="level", values="gold", aggfunc="mean")
    change = (table[own[-1].level] - table[own[peak].level]).dropna().to_numpy(float)
    return Curve(name, tuple(own), peak, _drop(change, len(own), share))


def _drop(change: np.ndarray[tuple[int], np.dtype[np.float64]], points: int, share: bool) -> Interval:
    """The mean change (n,) with its interval, at 95 % for all points that could be the peak together."""
    n = len(change)
    if n < 2:
        return Interval(float(change.mean()) if n else None, None, None, n)
    level = 1 - (1 - LEVEL) / max(points - 1, 1)
    mean, error = float(change.mean()), clustered_error(change, np.arange(n))
    return (difference_interval if share else student_interval)(mean, error, n, level)


def _point_json(point: CurvePoint) -> Json:
    error = None if np.isnan(point.standard_error) else point.standard_error
    return asdict(point) | {"standard_error": error}
