"""Over-optimisation curves: made by hand, from best-of-n scores, and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError, FormatError
from farm.over_optimisation import curves, read_curves
from farm.statistics.over_optimisation import best_of_n_kl


def gao(seed: int = 0) -> pd.DataFrame:
    """Gold d (alpha - beta d) by sqrt(KL) d, for a starved and a good reward model, on 60 instructions."""
    rng, rows = np.random.default_rng(seed), []
    for curve, beta in (("good", 0.05), ("starved", 0.45)):
        for n in (1, 4, 16, 64, 256):
            d = best_of_n_kl(n) ** 0.5
            for instruction in range(60):
                gold = d * (1 - beta * d) + 0.3 * rng.standard_normal()
                rows.append((curve, n, instruction, gold))
    return pd.DataFrame(rows, columns=["curve", "level", "instruction", "gold"])


def test_the_starved_reward_model_turns_and_the_good_one_does_not() -> None:
    good, starved = curves(gao())
    assert (good.name, starved.name) == ("good", "starved")
    assert (good.turned, starved.turned) == (False, True)
    assert [point.level for point in starved.points] == [1, 4, 16, 64, 256]
    assert starved.points[starved.peak].level in (4, 16)
    assert good.peak == 4
    assert good.drop.value == 0
    assert starved.points[-1].sqrt_kl == pytest.approx(math.sqrt(math.log(256) - 255 / 256))


def test_a_flat_curve_rarely_turns() -> None:
    """The peak of nothing but noise is not taken for one."""
    turned = 0
    for seed in range(80):
        rng = np.random.default_rng(seed)
        frame = gao().query("curve == 'good'").assign(gold=rng.standard_normal(300))
        turned += curves(frame)[0].turned
    assert turned <= 6


@pytest.mark.parametrize("instructions", [2, 3])
def test_a_flat_curve_of_wins_and_losses_rarely_turns(instructions: int) -> None:
    rng, turned = np.random.default_rng(0), 0
    for _ in range(50):
        rows = [
            ("a", level, i, float(rng.random() < 0.5)) for level in (1, 2, 4, 8) for i in range(instructions)
        ]
        frame = pd.DataFrame(rows, columns=["curve", "level", "instruction", "gold"])
        turned += curves(frame, share=True)[0].turned
    assert turned <= 2


def test_by_hand() -> None:
    rows = [("a", 0.5, i, g) for i, g in enumerate([1.0, 0.0, 1.0])]
    rows += [("a", 2.0, i, g) for i, g in enumerate([0.0, 0.0, 1.0])]
    frame = pd.DataFrame(rows, columns=["curve", "level", "instruction", "gold"])
    [found] = curves(frame.assign(kl=frame["level"] ** 2), share=True)
    assert [point.gold.value for point in found.points] == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert [point.sqrt_kl for point in found.points] == [0.5, 2.0]
    # the changes are -1, 0, 0: mean -1/3, error 1/3, t(2) at 97.5 % is 4.3027
    assert found.drop.value == pytest.approx(-1 / 3)
    assert not found.turned
    # as a share: mean 1/3, error 1/6; Wilson with 4.3027^2 (1/36) / (2/9) = 2.3141 in place of z^2 / n
    low = (1 / 3 + 2.3141 / 2 - math.sqrt(2.3141 * 2 / 9 + 2.3141**2 / 4)) / 3.3141
    assert found.drop.low == pytest.approx(2 * low - 1, abs=1e-4)
    [utility] = curves(frame.assign(kl=frame["level"] ** 2))
    assert utility.drop.low == pytest.approx(-1 / 3 - 4.3027 / 3, abs=1e-4)


@pytest.mark.parametrize(("n", "share", "turned"), [(2, True, False), (2, False, False), (60, True, True)])
def test_drops_that_are_equal_everywhere_are_not_certain(n: int, share: bool, turned: bool) -> None:
    """Gold 0, 1, 0.9 on all instructions: two of them show nothing, and utilities have no limits."""
    rows = [("a", level, i, gold) for level, gold in ((1, 0.0), (2, 1.0), (4, 0.9)) for i in range(n)]
    [found] = curves(pd.DataFrame(rows, columns=["curve", "level", "instruction", "gold"]), share=share)
    assert found.drop.value == pytest.approx(-0.1)
    assert found.turned == turned
    if share:
        assert found.drop.low is not None
        assert found.drop.high is not None
        assert found.drop.high - found.drop.low > 0.05
    else:
        assert (found.drop.low, found.points[1].gold.low) == (None, None)


def test_a_peak_is_no_matter_of_rounding() -> None:
    """Both points are at 0.3, though one sum rounds to more: the first of them is the peak."""
    gold = {1: (0.3, 0.3, 0.3), 2: (0.1, 0.2, 0.6), 4: (0.0, 0.0, 0.0)}
    rows = [("a", level, i, value) for level, values in gold.items() for i, value in enumerate(values)]
    for turn in range(3):
        moved = [(c, level, (i + turn) % 3, value) for c, level, i, value in rows]
        [found] = curves(pd.DataFrame(moved, columns=["curve", "level", "instruction", "gold"]))
        assert found.peak == 0


def test_one_instruction_and_failures() -> None:
    frame = pd.DataFrame(
        {
            "curve": "a",
            "level": [1, 1, 2, 2],
            "instruction": [0, 1, 0, 1],
            "gold": [0.1, math.nan, 0.2, math.nan],
        }
    )
    [found] = curves(frame)
    assert [(point.n, point.n_failed) for point in found.points] == [(1, 1), (1, 1)]
    assert found.points[0].gold.low is None
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="gold"), "column 'gold'"),
        (lambda f: f.iloc[:0], "no points"),
        (lambda f: f.assign(level=1.5), "whole numbers"),
        (lambda f: f.assign(level=0), "best of 1 sample"),
        (lambda f: f.assign(gold="high"), "could not convert"),
        (lambda f: f.assign(curve=None), "rows have no curve"),
        (lambda f: f.assign(kl=range(len(f))), "needs one KL"),
        (lambda f: f.assign(gold=math.nan), "none of its"),
    ],
)
def test_what_is_no_curve_is_refused(change: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        curves(change(gao()))  # type: ignore[operator]


def test_a_win_rate_is_made_of_preferences() -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        curves(gao(), share=True)


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    gao().to_csv(path, index=False)
    command = ["over-optimisation", str(path)]
    found = json.loads(CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False).stdout)
    assert [each["turned"] for each in found["curves"]] == [False, True]
    shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    assert "Past their peak for certain: starved" in shown
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        read_curves(tmp_path / "none.csv")
