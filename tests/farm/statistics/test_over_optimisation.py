"""Points of over-optimisation curves, and the KL of best-of-n."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from farm.statistics.over_optimisation import best_of_n_kl, curve_points
from farm.statistics.win_rates import win_rate


def test_the_kl_of_best_of_n() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(4) == pytest.approx(np.log(4) - 0.75)
    # the best of n of a continuous score has density n F^(n-1): its KL by integration over u = F
    u = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean(16 * u**15 * np.log(16 * u**15)) == pytest.approx(best_of_n_kl(16), abs=1e-4)
    with pytest.raises(ValueError, match="1 sample or more, not 0"):
        best_of_n_kl(0)


def points() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        {
            "curve": curve,
            "level": n,
            "kl": best_of_n_kl(n),
            "instruction": i,
            "gold": float(rng.random() < 0.6),
        }
        for curve in ("small", "large")
        for n in (1, 4)
        for i in range(30)
    ]
    return pd.DataFrame(rows)


def test_points_of_several_curves() -> None:
    frame = points()
    frame.loc[0, "gold"] = np.nan
    found = curve_points(frame, share=True)
    assert [(point.curve, point.level) for point in found] == [
        ("large", 1),
        ("large", 4),
        ("small", 1),
        ("small", 4),
    ]
    assert [point.n_failed for point in found] == [0, 0, 1, 0]
    rows = frame[(frame["curve"] == "large") & (frame["level"] == 4)]
    assert found[1].gold == win_rate(rows["gold"]).interval
    assert found[1].sqrt_kl == pytest.approx(np.sqrt(np.log(4) - 0.75))


def test_utilities_have_students_interval() -> None:
    frame = points()
    found = curve_points(frame)[1]
    gold = frame[(frame["curve"] == "large") & (frame["level"] == 4)]["gold"]
    reach = student.ppf(0.975, 29) * gold.std() / np.sqrt(30)
    assert [found.gold.low, found.gold.high] == pytest.approx([gold.mean() - reach, gold.mean() + reach])


def test_one_instruction_has_no_interval() -> None:
    found = curve_points(points().query("instruction == 3"))[0]
    assert found.gold.low is None
    assert found.n == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(kl=np.arange(len(frame))), "needs one KL"),
        (lambda frame: frame.assign(kl=-1.0), "needs one KL, 0 or more"),
        (lambda frame: frame.assign(kl=np.nan), "needs one KL"),
        (lambda frame: frame.assign(gold=np.nan), "none of its 30 judgements"),
    ],
)
def test_refused_points(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve_points(change(points()))
