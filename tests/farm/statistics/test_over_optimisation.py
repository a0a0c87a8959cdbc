"""Points of over-optimisation curves, and best-of-n without drawing."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from farm.statistics.over_optimisation import best_of_n_curve, best_of_n_kl, curve_points
from farm.statistics.win_rates import win_rate


def test_the_kl_of_best_of_n() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(4) == pytest.approx(np.log(4) - 0.75)
    # the best of n of a continuous score has density n F^(n-1): its KL by integration over u = F
    u = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean(16 * u**15 * np.log(16 * u**15)) == pytest.approx(best_of_n_kl(16), abs=1e-4)
    with pytest.raises(ValueError, match="1 sample or more, not 0"):
        best_of_n_kl(0)


@given(st.integers(1, 5), st.integers(0, 1000))
def test_best_of_n_is_the_mean_over_all_subsets(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    proxy, gold = rng.integers(0, 4, (2, 5)).astype(float), rng.normal(size=(2, 5))
    expected = []
    for row in range(2):
        best = []
        for subset in combinations(range(5), n):
            top = max(proxy[row, list(subset)])
            level = [place for place in range(5) if proxy[row, place] == top]
            best.append(np.mean(gold[row, level]))  # samples that tie are exchangeable
        expected.append(np.mean(best))
    found = best_of_n_curve(proxy, gold, [n])[0]
    assert found.gold.value == pytest.approx(np.mean(expected))
    assert found.sqrt_kl == pytest.approx(np.sqrt(best_of_n_kl(n)))


def test_an_over_optimised_proxy_turns_over() -> None:
    # gold rises with the proxy up to a proxy of 1 and falls beyond it, so gold peaks between n = 1 and n = 64
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(400, 64))
    gold = -np.square(proxy - 1) + rng.normal(0, 0.1, proxy.shape)
    curve = best_of_n_curve(proxy, gold, [1, 2, 4, 8, 64])
    values = [point.gold.value for point in curve]
    assert int(np.argmax(values)) in (2, 3)
    assert curve[-1].gold.high < curve[2].gold.low  # type: ignore[operator]
    distances = [point.sqrt_kl for point in curve]
    assert distances == sorted(distances)


def test_failed_instructions_are_counted() -> None:
    proxy = np.arange(12.0).reshape(3, 4)
    gold = np.where(proxy == 5, np.nan, 1.0)
    point = best_of_n_curve(proxy, gold, [2])[0]
    assert (point.n, point.n_failed, point.gold.value) == (2, 1, 1.0)


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


def test_refused_best_of_n() -> None:
    scores = np.zeros((2, 4))
    with pytest.raises(ValueError, match="the best of 5 cannot be taken from 4"):
        best_of_n_curve(scores, scores, [5])
    with pytest.raises(ValueError, match=r"proxy \(2, 4\) and gold \(2, 3\)"):
        best_of_n_curve(scores, scores[:, :3], [1])
    with pytest.raises(ValueError, match="none of the 2 instructions"):
        best_of_n_curve(scores, np.full((2, 4), np.nan), [1])
