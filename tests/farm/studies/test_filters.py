"""R² of the filters of pf_ppo: by numpy, by the command, and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError
from farm.statistics.bootstrap import Interval
from farm.studies.filters import filters

N = 5


def responses(seed: int = 0, prompts: int = 300) -> pd.DataFrame:
    """Scores that are right about good and bad responses, and noise between."""
    rng = np.random.default_rng(seed)
    gold = rng.standard_normal((prompts, N))
    proxy = np.where(np.abs(gold) < 1, rng.uniform(-1, 1, gold.shape), gold)
    asked = np.repeat(np.arange(prompts), N)
    return pd.DataFrame(
        {"curve": "crowd", "instruction": asked, "proxy": proxy.ravel(), "gold": gold.ravel()}
    )


def squared(frame: pd.DataFrame) -> float:
    return float(np.corrcoef(frame["proxy"], frame["gold"])[0, 1] ** 2)


def test_each_filter_is_numpys_correlation_over_what_it_keeps() -> None:
    frame = responses()
    found: dict[str, Interval] = {each.filter: each.r_squared for each in filters(frame)}
    by_prompt = frame.groupby("instruction")["proxy"]
    best, worst = frame.loc[by_prompt.idxmax()], frame.loc[by_prompt.idxmin()]
    rest = frame.drop(best.index)
    expected = {
        "best": best,
        "best_worst": pd.concat([best, worst]),
        "best_random": pd.concat([*[best] * (N - 1), rest]),
        "all": frame,
    }
    assert found.keys() == expected.keys()
    for how, kept in expected.items():
        assert found[how].value == pytest.approx(squared(kept), abs=1e-9), how
        assert found[how].n == 300
    assert found["best_worst"].low is not None
    assert found["all"].high is not None
    assert found["best_worst"].low > found["all"].high, "the ends are what can be trusted"


def test_the_order_of_rows_and_other_reward_models_change_nothing() -> None:
    frame = responses(prompts=20)
    both = pd.concat([frame, responses(1, 30).assign(curve="other")]).sample(frac=1, random_state=0)
    mine = [each for each in filters(both) if each.curve == "crowd"]
    for one, other in zip(mine, filters(frame), strict=True):
        assert one.r_squared.value == pytest.approx(other.r_squared.value)
        assert one.r_squared.low == pytest.approx(other.r_squared.low)


def test_what_has_no_gold_is_counted_and_left_out(tmp_path: Path) -> None:
    """The best response of one instruction and the worst of another: two of all, one of the best."""
    frame = responses(prompts=20)
    by_prompt = frame.groupby("instruction")["proxy"]
    frame.loc[[by_prompt.idxmax()[3], by_prompt.idxmin()[4]], "gold"] = np.nan
    file = tmp_path / "responses.csv"
    frame.to_csv(file, index=False)
    shown = CliRunner().invoke(app, ["over-optimisation", str(file), "--filters", "--json"])
    told = {each["filter"]: each for each in json.loads(shown.stdout)["filters"]}
    assert {how: each["n_failed"] for how, each in told.items()} == {
        "best": 1,
        "best_random": 2,
        "best_worst": 2,
        "all": 2,
    }
    assert told["best"]["r_squared"]["n"] == 19
    table = CliRunner().invoke(app, ["over-optimisation", str(file), "--filters"])
    assert "best_worst" in table.stdout
    assert "may be equally good" in table.stdout


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda frame: frame.drop(columns="proxy"), "'proxy'"),
        (lambda frame: frame.iloc[1:], "4 to 5 responses"),
        (lambda frame: frame.groupby("instruction").head(1), "1 to 1 responses"),
        (lambda frame: frame.assign(proxy=np.nan), "not finite"),
        (lambda frame: frame.assign(instruction=np.nan), "15 rows have no instruction"),
        (lambda frame: frame.iloc[:0], "no responses"),
        (lambda frame: frame.assign(gold="much"), "could not convert"),
    ],
)
def test_what_tells_nothing_is_refused(change: object, why: str) -> None:
    assert callable(change)
    with pytest.raises(ConfigError, match=why):
        filters(change(responses(prompts=3)))
