"""Length control against alpaca_eval's own figures on made-up data, and what must not change them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from farm.statistics.difficulty import Difficulty, fit_difficulty
from farm.statistics.length_control import (
    FEATURES,
    STRENGTHS,
    controlled_win_rate,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "golden" / "vectors" / "length_control.json").read_text(encoding="utf-8")
)
NAMES = [f"i{place:03d}" for place in range(len(VECTORS["difficulty"]))]
DIFFICULTY = Difficulty(pd.Series(VECTORS["difficulty"], index=NAMES), "the vectors")
ANCHORS = pd.DataFrame(VECTORS["anchors"]).assign(
    instruction=lambda rows: [NAMES[place] for place in rows["instruction"]]
)


def rows_of(case: dict[str, Any]) -> pd.DataFrame:
    length = np.subtract(case["reference_length"], case["length"]).astype(float)
    return pd.DataFrame({"instruction": NAMES, "preference": case["preference"], "length": length})


def made_up(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    longer, listed = rng.normal(-0.5, 1, n), rng.choice([-1.0, 0, 1], n)
    chance = expit(-0.3 - 1.2 * np.tanh(longer / longer.std()) - 0.8 * np.tanh(listed / listed.std()))
    verdict = (rng.random(n) < chance).astype(float)
    return pd.DataFrame(
        {"instruction": np.arange(n), "preference": verdict, "length": longer, "lists": listed, "model": "m"}
    )


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_equals_alpaca_eval(case: dict[str, Any]) -> None:
    options: dict[str, Any] = {"difficulty": DIFFICULTY, "anchors": ANCHORS}
    found = controlled_win_rate(rows_of(case), strength=case["strength"], **options)
    assert 100 * found.value == pytest.approx(case["length_controlled_win_rate"], abs=1e-6)
    assert 100 * found.standard_error == pytest.approx(case["lc_standard_error"], abs=1e-6)
    assert found.difficulty == "the vectors"
    # between strengths that predict equally well, liblinear's own error decides which C alpaca_eval takes
    chosen = controlled_win_rate(rows_of(case), **options)
    assert 100 * chosen.value == pytest.approx(case["length_controlled_win_rate"], abs=0.05)


def test_row_order_plays_no_part() -> None:
    rows = rows_of(VECTORS["cases"][0])
    options: dict[str, Any] = {"difficulty": DIFFICULTY, "anchors": ANCHORS, "draws": 20}
    found = controlled_win_rate(rows, **options)
    shuffled = controlled_win_rate(rows.sample(frac=1, random_state=1), **options)
    assert shuffled == found


def test_a_model_with_missing_rows_is_joined_by_instruction() -> None:
    rows = rows_of(VECTORS["cases"][1]).drop(index=[3, 50])
    found = controlled_win_rate(rows, difficulty=DIFFICULTY, anchors=ANCHORS, evaluation_set=NAMES)
    assert (found.n, found.n_failed) == (118, 2)
    by_position = rows.assign(instruction=NAMES[: len(rows)])  # as a join by position would have it
    assert controlled_win_rate(by_position, difficulty=DIFFICULTY, anchors=ANCHORS).value != pytest.approx(
        found.value, abs=1e-4
    )


def test_a_failed_judgement_is_predicted_and_counted() -> None:
    rows = made_up()
    failed = rows.assign(preference=rows["preference"].where(rows["instruction"] != 7))
    found = controlled_win_rate(failed)
    assert (found.n, found.n_failed) == (199, 1)


def test_control_recovers_the_rate_without_the_features() -> None:
    rows = made_up(4000)
    truth = float(expit(-0.3))
    both = controlled_win_rate(rows, ["length", "lists"], draws=50)
    assert both.value == pytest.approx(truth, abs=0.02)
    assert both.coefficients["length"] == pytest.approx(-1.2, abs=0.15)
    assert both.coefficients["lists"] == pytest.approx(-0.8, abs=0.15)
    assert both.bootstrap_error == pytest.approx(0.0085, abs=0.003)  # a little more than sqrt(p (1 - p) / n)
    assert rows["preference"].mean() > truth + 0.05


def test_a_feature_without_any_difference_changes_nothing() -> None:
    rows = made_up().assign(lists=0.0)
    with_it, without = controlled_win_rate(rows, ["length", "lists"]), controlled_win_rate(rows)
    assert with_it.value == pytest.approx(without.value, abs=1e-9)
    assert with_it.coefficients["lists"] == 0


def test_the_reference_against_itself_is_even() -> None:
    rows = made_up().assign(length=0.0, preference=0.5)
    found = controlled_win_rate(rows, difficulty=None, draws=10)
    assert (found.value, found.standard_error, found.bootstrap_error) == (0.5, 0, 0)


def test_draws_are_repeatable() -> None:
    rows = made_up(seed=1)
    found = controlled_win_rate(rows, draws=30, seed=5)
    assert repr(found) == repr(controlled_win_rate(rows, draws=30, seed=5))  # an error is NaN
    assert found.interval != controlled_win_rate(rows, draws=30, seed=6).interval


def test_only_wins_with_anchors_or_without() -> None:
    rows = rows_of(VECTORS["cases"][0]).assign(preference=1.0)
    assert controlled_win_rate(rows, difficulty=DIFFICULTY, anchors=ANCHORS, draws=20).value > 0.99
    assert controlled_win_rate(rows, draws=20).value > 0.99


def test_a_given_strength_is_used() -> None:
    rows = made_up()
    found = controlled_win_rate(rows)
    assert found.strength in STRENGTHS
    fixed = controlled_win_rate(rows, strength=found.strength)
    assert fixed.value == pytest.approx(found.value, abs=1e-9)
    assert controlled_win_rate(rows, strength=1e-4).value == 0.5  # nothing but the penalty is left


def test_features_of_texts() -> None:
    assert FEATURES["length"]("- one\n- two\nthree") == 17
    assert FEATURES["list_share"]("- one\n- two\nthree") == pytest.approx(2 / 3)
    assert FEATURES["list_share"]("1. a\n2) b") == 1
    assert FEATURES["markdown"]("# Head\n**bold** text") == 2
    assert FEATURES["language"]("абв abc") == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.head(4), "5 judged instructions"),
        (lambda rows: rows.assign(preference=np.nan), "5 judged instructions"),
        (lambda rows: rows.assign(length=3.0), "difference in length is the same"),
        (lambda rows: rows.assign(length=rows["length"].where(rows["instruction"] != 2)), "is missing"),
        (lambda rows: rows.assign(preference=2.0), "found 2"),
    ],
)
def test_refusals(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        controlled_win_rate(change(made_up()))


def test_refused_difficulties_and_features() -> None:
    with pytest.raises(ValueError, match="lacks 80 of the instructions, '120' for one"):
        controlled_win_rate(made_up(), difficulty=Difficulty(pd.Series(np.zeros(120)), "a file"))
    with pytest.raises(ValueError, match="stands in it twice"):
        Difficulty(pd.Series([1.0, 2.0], index=["a", "a"]), "a file")
    with pytest.raises(ValueError, match="missing or infinite"):
        Difficulty(pd.Series([1.0, np.nan]), "a file")
    with pytest.raises(ValueError, match="cannot be called difficulty or model"):
        controlled_win_rate(made_up(), ["model"])


def many_models(rng: np.random.Generator, models: int, instructions: int, ease: np.ndarray) -> pd.DataFrame:
    parts = []
    for place, strength in enumerate(np.linspace(-2, 1, models)):
        longer = rng.normal(0, 1, instructions)
        verdict = (rng.random(instructions) < expit(strength + ease - np.tanh(longer))).astype(float)
        columns = {"model": f"m{place}", "instruction": np.arange(instructions), "preference": verdict}
        parts.append(pd.DataFrame(columns | {"length": longer}))
    return pd.concat(parts, ignore_index=True)


def test_the_joint_fit_finds_the_difficulties() -> None:
    rng = np.random.default_rng(4)
    ease = rng.normal(0, 1.5, 150)
    frame = many_models(rng, 40, 150, ease)
    found = fit_difficulty(frame)
    assert found.source == "joint fit over 40 models"
    assert np.corrcoef(found.values.loc[list(range(150))], ease)[0, 1] > 0.95
    assert fit_difficulty(frame.sample(frac=1, random_state=0)).values.to_numpy() == pytest.approx(
        found.values.to_numpy(), abs=1e-6
    )


def test_the_joint_fit_is_stationary() -> None:
    # d/d gamma_i of the penalised likelihood is 0: sum over models of (label - p) = gamma_i
    rng = np.random.default_rng(5)
    frame = many_models(rng, 6, 30, rng.normal(0, 1, 30))
    gamma = fit_difficulty(frame, features=[]).values
    wide = frame.pivot(index="instruction", columns="model", values="preference")
    theta = np.zeros(6)
    for _ in range(200):
        p = expit(theta + gamma.loc[wide.index].to_numpy()[:, None])
        theta += ((wide.to_numpy() - p).sum(axis=0) - theta) / 8.5
    p = expit(theta + gamma.loc[wide.index].to_numpy()[:, None])
    assert (wide.to_numpy() - p).sum(axis=1) == pytest.approx(gamma.loc[wide.index].to_numpy(), abs=1e-5)


def test_ties_alone_say_nothing_of_difficulty() -> None:
    rng = np.random.default_rng(6)
    frame = many_models(rng, 3, 20, np.zeros(20))
    itself = frame[frame["model"] == "m0"].assign(model="reference", preference=0.5, length=0.0)
    assert fit_difficulty(pd.concat([frame, itself])).source == "joint fit over 3 models"
    with pytest.raises(ValueError, match="2 models and 2 instructions"):
        fit_difficulty(frame[frame["model"] == "m0"])
