"""Length control against alpaca_eval's own figures on made-up data, and what must not change them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from farm.statistics import foldings, length_control
from farm.statistics.difficulty import Difficulty, fit_difficulty
from farm.statistics.firth import firth_logistic
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


@pytest.mark.parametrize("anchors", [ANCHORS, None], ids=["anchors", "hashes"])
def test_row_order_plays_no_part(anchors: pd.DataFrame | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same to 1e-9 under 20 shuffles, whether folds are AlpacaEval's or drawn from hashes."""
    monkeypatch.setattr(foldings, "FOLDINGS", 3)
    monkeypatch.setattr(foldings, "FOLDED_ROWS", 3)
    rows = rows_of(VECTORS["cases"][0]).head(60)

    def figures(rows: pd.DataFrame) -> list[float | None]:
        found = controlled_win_rate(rows, difficulty=DIFFICULTY, anchors=anchors, draws=4)
        return [found.value, found.interval.low, found.interval.high, found.bootstrap_error, found.strength]

    first = figures(rows)
    for seed in range(20):
        assert figures(rows.sample(frac=1, random_state=seed)) == pytest.approx(first, abs=1e-9)


def test_how_many_weightings_are_fitted_together_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foldings, "FOLDINGS", 3)
    monkeypatch.setattr(foldings, "FOLDED_ROWS", 3)
    rows = rows_of(VECTORS["cases"][0]).head(60)
    whole = controlled_win_rate(rows, difficulty=DIFFICULTY, draws=6)
    monkeypatch.setattr(length_control, "HELD", 130)  # two weightings of 60 rows
    few = controlled_win_rate(rows, difficulty=DIFFICULTY, draws=6)
    assert (few.value, few.bootstrap_error) == pytest.approx((whole.value, whole.bootstrap_error), abs=1e-9)
    assert few.strength == whole.strength


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


@pytest.mark.parametrize("losses", [0, 1, 9])
def test_a_rate_near_1_has_bounds_that_reach_beyond_the_penalty(losses: int) -> None:
    """The penalty pulls it towards one half; the bounds hold it, and are wider on that side."""
    rows = made_up(100).assign(preference=[0.0] * losses + [1.0] * (100 - losses))
    for frame in (rows, rows.assign(preference=1 - rows["preference"])):
        found = controlled_win_rate(frame).interval
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
        centre = 0.5 + np.sign(found.value - 0.5) * (0.5 - losses / 100)
        assert found.low - 1e-9 <= centre <= found.high + 1e-9
        assert 0.03 < found.high - found.low < 0.2


def test_the_reference_against_itself_is_even() -> None:
    rows = made_up().assign(length=0.0, preference=0.5)
    found = controlled_win_rate(rows, difficulty=None, draws=10)
    assert (found.value, found.standard_error, found.bootstrap_error) == (0.5, 0, 0)


def test_draws_are_repeatable() -> None:
    rows = made_up(seed=1)
    found = controlled_win_rate(rows, draws=30, seed=5)
    assert repr(found) == repr(controlled_win_rate(rows, draws=30, seed=5))  # an error is NaN
    other = controlled_win_rate(rows, draws=30, seed=6)
    assert found.bootstrap_error != other.bootstrap_error
    assert found.interval == other.interval == controlled_win_rate(rows).interval  # nothing is drawn for it


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
    with pytest.raises(ValueError, match=r"penalty \(C = 0.0001\) leaves nothing of the model"):
        controlled_win_rate(rows, strength=1e-4)


def test_a_model_that_is_as_good_as_the_reference_is_not_said_to_be_so_for_certain() -> None:
    """A win and a loss at each of 40 differences: every C leaves the model nothing, and nothing is known."""
    rows = pd.DataFrame(
        {
            "instruction": np.arange(80),
            "preference": np.tile([0.0, 1.0], 40),
            "length": np.repeat(np.linspace(-2, 3, 40), 2),
        }
    )
    with pytest.raises(ValueError, match=r"do not tell its\s+controlled rate from 50 %"):
        controlled_win_rate(rows, draws=20)


def test_no_error_where_the_penalty_removed_the_difficulty() -> None:
    """The published kind of error is of the spread of predictions: it is unknown, and not 0, without one."""
    rows = made_up(300, seed=2)
    noise = pd.Series(np.random.default_rng(1).normal(0, 1e-3, 300))
    found = controlled_win_rate(rows, difficulty=Difficulty(noise, "noise"), strength=1.0, draws=50)
    assert found.coefficients["difficulty"] == 0
    assert found.coefficients["model"] != 0
    assert np.isnan(found.standard_error)
    assert found.bootstrap_error > 0.01


@pytest.mark.parametrize("soft", [False, True])
def test_the_interval_in_plain_numbers(soft: bool) -> None:
    """Without difficulties the controlled rate is sigmoid(w_0); its error is m (1 - m) times that of w_0."""
    rows = made_up(120)
    if soft:
        rows["preference"] = 0.2 + 0.6 * rows["preference"]
    x = np.column_stack([np.tanh(rows["length"] / rows["length"].std(ddof=1)), np.ones(120)])
    y = rows["preference"].to_numpy()
    fit = firth_logistic(x, y, np.ones(120))
    chance, m = expit(x @ fit.coefficients), float(expit(fit.coefficients[1]))
    meat = (x * np.square(y - chance)[:, None]).T @ x * 120 / 119
    sandwich = (fit.inverse @ meat @ fit.inverse)[1, 1]
    tosses = fit.inverse[1, 1] * (1 - (y * (1 - y)).sum() / (chance * (1 - chance)).sum())
    n_eff = m * (1 - m) / ((m * (1 - m)) ** 2 * max(sandwich, tosses))
    loose = LogisticRegression(
        C=1e4, l1_ratio=1, solver="saga", fit_intercept=False, tol=1e-8, max_iter=10_000
    )
    loose.fit(np.tile(x, (2, 1)), np.repeat([1, 0], 120), sample_weight=np.concatenate([y, 1 - y]))
    p, z = float(expit(loose.coef_[0, 1])), float(student.ppf(0.975, 119))
    centre = (p + z**2 / (2 * n_eff)) / (1 + z**2 / n_eff)
    half = z * np.sqrt(p * (1 - p) / n_eff + z**2 / (4 * n_eff**2)) / (1 + z**2 / n_eff)
    found = controlled_win_rate(rows).interval
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-5)


@pytest.mark.parametrize("anchored", [False, True])
def test_its_error_is_the_jackknifes(anchored: bool) -> None:
    """With difficulties, and two judgements of an instruction that go together."""
    rng = np.random.default_rng(8)
    n, ease = len(NAMES), DIFFICULTY.values.to_numpy(float)
    longer, mood = rng.normal(-0.5, 1, 2 * n), np.tile(rng.random(n), 2)
    said = (mood < expit(0.3 + np.tile(ease, 2) - np.tanh(longer))).astype(float)
    rows = pd.DataFrame({"instruction": NAMES * 2, "preference": said, "length": longer})
    fit = length_control._Fit.of(rows, ["length"], DIFFICULTY, ANCHORS if anchored else None)
    mean, error = fit.prediction_spread(firth_logistic(fit.design, fit.labels, fit.weights))
    parts = []
    for place in range(n):
        kept = (fit.groups != place) | (np.arange(len(fit.groups)) < fit.n_anchors)
        part = replace(
            fit, **{each: getattr(fit, each)[kept] for each in ("design", "labels", "weights", "groups")}
        )
        parts.append(part.prediction_spread(firth_logistic(part.design, part.labels, part.weights))[0])
    jackknife = np.sqrt((n - 1) / n * np.square(np.subtract(parts, np.mean(parts))).sum())
    assert error == pytest.approx(jackknife, rel=0.1)
    assert mean == pytest.approx(np.mean(parts), abs=0.005)


@pytest.mark.parametrize("n", [50, 200])
def test_folds_follow_the_instruction_and_many_foldings_agree(n: int) -> None:
    """Rows in any order give the same; other names of the instructions hardly move it."""
    spreads = []
    for seed in range(3):
        rows = made_up(n, seed=seed + 10)
        shuffled = [rows.sample(frac=1, random_state=other) for other in range(2)]
        assert len({controlled_win_rate(each).value for each in shuffled}) == 1
        renamed = [rows.assign(instruction=rows["instruction"].add(1000 * k)) for k in range(3)]
        values = [100 * controlled_win_rate(each).value for each in renamed]
        assert 50 not in values
        spreads.append(max(values) - min(values))
    assert np.median(spreads) < 0.1
    assert max(spreads) < 4


def test_controlled_rate_by_scikit_learn_with_the_same_foldings() -> None:
    """Folds by their definition, losses and the fit by scikit-learn, whose C is the same objective."""
    rows, n = made_up(60, seed=3), 60
    design = np.column_stack([np.tanh(rows["length"] / rows["length"].std(ddof=1)), np.ones(n)])
    labels = rows["preference"].to_numpy()

    def fitted(strength: float, chosen: np.ndarray) -> Any:
        model = LogisticRegression(
            l1_ratio=1, C=strength, solver="saga", fit_intercept=False, tol=1e-6, max_iter=10_000
        )
        return model.fit(design[chosen], labels[chosen])

    loss = np.zeros(len(STRENGTHS))
    keys = sorted(map(str, range(n)))
    for number in range(3):
        order = sorted(keys, key=lambda key: hashlib.sha256(f"{number} {key}".encode()).hexdigest())
        fold = np.array([order.index(str(i)) % 5 for i in range(n)])
        for k in range(5):
            for place, strength in enumerate(STRENGTHS):
                chance = fitted(strength, fold != k).predict_proba(design[fold == k])
                loss[place] += log_loss(labels[fold == k], chance, labels=[0, 1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(foldings, "FOLDINGS", 3)
        patched.setattr(foldings, "FOLDED_ROWS", 3)
        found = controlled_win_rate(rows)
    assert found.strength == STRENGTHS[loss.argmin()]
    weight = fitted(found.strength, np.ones(n, bool)).coef_[0, 1]
    assert found.value == pytest.approx(expit(weight), abs=1e-4)


def test_features_of_texts() -> None:
    assert FEATURES["length"]("- one\n- two\nthree") == 17
    assert FEATURES["list_share"]("- one\n- two\nthree") == pytest.approx(2 / 3)
    assert FEATURES["list_share"]("1. a\n2) b") == 1
    assert FEATURES["markdown"]("# Head\n**bold** text") == 2
    assert FEATURES["language"]("абв abc") == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.head(49), "50 judged instructions or more, not 49"),
        (lambda rows: rows.assign(preference=np.nan), "50 judged instructions"),
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
