"""How far a judge that imitates a person agrees with that person, and whether it is the person that it found.

Three judges give a verdict on each pair that a person judged and that was held out: the person's own
imitation, the judge alone, and the imitation of somebody else. Own less alone is what the imitation gains.
Own less somebody else's is what of it is the person's: where worked examples only teach what all people like,
it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.ids import Json
from farm.aligning.verdicts import agreed
from farm.evaluation.json_figures import interval_json
from farm.statistics.agreement import Floats
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_error, difference_interval, share_interval

NOTHING = Interval(None, None, None, 0)


@dataclass(frozen=True)
class Resemblance:
    """Agreement with one person, or with all, each of whom counts the same.

    pairs: held out. own, alone, others: how often the person agrees with the own imitation, with the judge
    alone, and with somebody else's imitation. gain: own less alone. personal: own less others. retest: how
    often the person agrees with the person's other judgements of the same pair. Bounds by instruction; an
    interval without a value where there is nothing to compare. failed: own verdicts that are missing.
    """

    pairs: int
    own: Interval
    alone: Interval
    others: Interval
    gain: Interval
    personal: Interval
    retest: Interval
    failed: int

    def to_json(self) -> dict[str, Json]:
        """The figures as a JSON object."""
        intervals = ("own", "alone", "others", "gain", "personal", "retest")
        figures = {name: interval_json(getattr(self, name)) for name in intervals}
        return {"pairs": self.pairs, **figures, "failed": self.failed}


def likeness(rows: pd.DataFrame, again: pd.DataFrame, level: float) -> Resemblance:
    """Compare the verdicts on the pairs of one person or of several, each of whom counts the same.

    rows: a row for each person and pair: person, instruction, mean (of the person's judgements for output_a),
    and the verdicts own, alone, others (1, 0, 0.5; NaN without one, which counts as a coin's). others is NaN
    throughout where there is one person. again: person, instruction, agreement, as of `Imitated.again`.
    level: of the intervals of differences.
    """
    mean = rows["mean"].to_numpy(float)
    own, alone, others = (agreed(rows[name].to_numpy(float), mean) for name in ("own", "alone", "others"))
    there = bool(rows["others"].notna().any())
    return Resemblance(
        pairs=len(rows),
        own=_share(own, rows),
        alone=_share(alone, rows),
        others=_share(others, rows) if there else NOTHING,
        gain=_difference(own - alone, rows, level),
        personal=_difference(own - others, rows, level) if there else NOTHING,
        retest=_share(again["agreement"].to_numpy(float), again) if len(again) else NOTHING,
        failed=int(rows["own"].isna().sum()),
    )


def _share(values: Floats, rows: pd.DataFrame) -> Interval:
    mean, error, n = _clustered(values, rows)
    return share_interval(mean, error, n)


def _difference(values: Floats, rows: pd.DataFrame, level: float) -> Interval:
    mean, error, n = _clustered(values, rows)
    return difference_interval(mean, error, n, level)


def _clustered(values: Floats, rows: pd.DataFrame) -> tuple[float, float, int]:
    """The mean in which each person counts the same, its standard error, and the number of instructions."""
    weights = 1 / rows.groupby("person")["person"].transform("size").to_numpy(float)
    clusters = np.unique(rows["instruction"].to_numpy(str), return_inverse=True)[1].astype(np.intp)
    error = clustered_error(values, clusters, weights)
    return float(np.average(values, weights=weights)), error, int(clusters.max()) + 1
