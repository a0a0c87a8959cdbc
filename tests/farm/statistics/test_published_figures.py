"""Real judgements: AlpacaEval's leaderboards, its rank correlations, and judges beside real people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from farm.statistics.alt_test import alt_test
from farm.statistics.difficulty import Difficulty, fit_difficulty
from farm.statistics.length_control import controlled_win_rate
from farm.statistics.prediction_powered import prediction_powered_win_rate
from farm.statistics.ranking import rank_correlation
from farm.statistics.win_rates import win_rates
from tests.support.benchmark_scripts import benchmark

FEBRUARY = "Arena Elo\n[Feb 2, 2024]"


BENCHMARK = benchmark("length_control")


@pytest.fixture(scope="module")
def studies() -> dict[str, Any]:
    return {}


def study(studies: dict[str, Any], folder: Path, judge: str) -> Any:
    if judge not in studies:
        studies[judge] = BENCHMARK.read_study(folder / "alpaca_eval", judge)
    return studies[judge]


def control(read: Any, **options: Any) -> dict[str, Any]:
    difficulty = Difficulty(read.difficulty, "instruction_difficulty.csv")
    rows = read.rows[["model", "instruction", "preference", "length"]]
    return {
        str(model): controlled_win_rate(own, difficulty=difficulty, anchors=read.anchors, **options)
        for model, own in rows.groupby("model", sort=False)
    }


@pytest.mark.parametrize("judge", BENCHMARK.JUDGES)
def test_win_rates_equal_the_leaderboard(real_data: Path, studies: dict[str, Any], judge: str) -> None:
    read = study(studies, real_data, judge)
    found = win_rates(read.rows, evaluation_set=read.difficulty.index)
    published = read.published.loc[[model for model in found if model in read.published.index]]
    assert len(published) >= len(found) - 2
    for model, row in published.iterrows():
        ours = found[str(model)]
        assert 100 * ours.value == pytest.approx(row["win_rate"], abs=1e-6)
        assert 100 * ours.standard_error == pytest.approx(row["standard_error"], abs=1e-6)
        counts = (ours.n, ours.n_wins, ours.n_losses, ours.n_draws)
        assert counts == (row["n_total"], row["n_wins"], row["n_wins_base"], row["n_draws"])
        assert ours.n + ours.n_failed == 805
        if "discrete_win_rate" in row and pd.notna(row["discrete_win_rate"]):
            assert 100 * ours.discrete == pytest.approx(row["discrete_win_rate"], abs=1e-6)


@pytest.mark.parametrize("judge", BENCHMARK.LENGTH_CONTROLLED)
def test_length_controlled_win_rates_equal_the_leaderboard(
    real_data: Path, studies: dict[str, Any], judge: str
) -> None:
    read = study(studies, real_data, judge)
    found = control(read, evaluation_set=read.difficulty.index)
    published = read.published["length_controlled_winrate"]
    whole = [model for model, ours in found.items() if ours.n == 805 and model in published.index]
    gaps = [abs(100 * found[model].value - published[model]) for model in whole]
    assert max(gaps) < 0.16
    assert np.median(gaps) < 0.001
    errors = read.published.get("lc_standard_error", pd.Series(dtype=float)).reindex(whole).dropna()
    for model, error in errors.items():
        assert 100 * found[model].standard_error == pytest.approx(error, abs=1e-3)


def test_missing_rows_are_aligned(real_data: Path, studies: dict[str, Any]) -> None:
    read = study(studies, real_data, "weighted_alpaca_eval_gpt4_turbo")
    rows = read.rows[read.rows["model"] == "text_davinci_001"]
    difficulty = Difficulty(read.difficulty, "instruction_difficulty.csv")
    options: dict[str, Any] = {"difficulty": difficulty, "anchors": read.anchors, "strength": 10 ** (4 / 9)}
    aligned = controlled_win_rate(rows, **options)
    assert 100 * aligned.value == pytest.approx(6.58, abs=0.005)
    # the published figure comes out where difficulty is taken by row position, two rows short
    positions = rows.assign(instruction=read.difficulty.index[: len(rows)])
    published = read.published["length_controlled_winrate"]["text_davinci_001"]
    assert 100 * controlled_win_rate(positions, **options).value == pytest.approx(published, abs=0.002)


def test_the_bootstrap_is_wider_than_the_published_error(real_data: Path, studies: dict[str, Any]) -> None:
    read = study(studies, real_data, "weighted_alpaca_eval_gpt4_turbo")
    rows = read.rows[read.rows["model"] == "claude-2"]
    found = control(read._replace(rows=rows), draws=300)["claude-2"]
    assert 100 * found.standard_error == pytest.approx(0.88, abs=0.005)
    assert 100 * found.bootstrap_error == pytest.approx(1.77, abs=0.2)


def test_our_own_difficulty_ranks_instructions_alike(real_data: Path, studies: dict[str, Any]) -> None:
    read = study(studies, real_data, "weighted_alpaca_eval_gpt4_turbo")
    found = fit_difficulty(read.rows)
    assert found.source == "joint fit over 21 models"
    assert np.corrcoef(found.values, read.difficulty.reindex(found.values.index))[0, 1] > 0.8


@pytest.mark.parametrize(
    ("board", "spearman"),
    [("LC AlpacaEval 2.0", 0.973), ("AlpacaEval 2.0", 0.934), ("AlpacaEval 1.0", 0.798)],
)
def test_rank_correlation_with_the_arena(real_data: Path, board: str, spearman: float) -> None:
    table = pd.read_csv(real_data / "alpaca_eval/leaderboards/benchmarks.csv").dropna(subset="Model")
    table = table.set_index("Model")
    found = rank_correlation(table[board], table[FEBRUARY])
    assert found.value == pytest.approx(spearman, abs=5e-4)
    assert found.over_models.low < spearman < found.over_models.high  # type: ignore[operator]


def judged(folder: Path, source: str) -> pd.DataFrame:
    rows = pd.read_json(folder / f"{source}.jsonl.gz", lines=True)
    return rows.assign(p=rows["preference"].map({1: 1.0, 0: 0.5, 2: 0.0}))


# Effective labels per human label at n = 100, as measured with ppi-python on these studies.
@pytest.mark.parametrize(
    ("source", "judge", "gain"),
    [("autoj", "auto-j-13b", 1.50), ("pandalm", "gpt-3.5", 1.34), ("llmfao", "gpt-4", 1.05)],
)
def test_prediction_powered_on_real_people(real_data: Path, source: str, judge: str, gain: float) -> None:
    rows = judged(real_data, source)
    people = rows[rows["annotator_kind"] == "human"].groupby("item_id")["p"].mean()
    own = rows[rows["annotator"].str.startswith(judge)].groupby("item_id")["p"].mean()
    simulated = own.reindex(people.index).to_numpy(float)
    truth, rng = float(people.mean()), np.random.default_rng(0)
    held, effective, width, alone = [], [], [], []
    for _ in range(400):
        human = np.full(len(people), np.nan)
        chosen = rng.choice(len(people), 100, replace=False)
        human[chosen] = people.to_numpy()[chosen]
        found = prediction_powered_win_rate(human, simulated)
        low, high = float(found.interval.low or 0), float(found.interval.high or 0)
        held.append(low <= truth <= high)
        width.append(high - low)
        alone.append(float(found.human_only.high or 0) - float(found.human_only.low or 0))
        effective.append(found.effective_labels / 100)
    assert np.mean(held) >= 0.94
    assert np.mean(width) < np.mean(alone)
    assert np.mean(effective) == pytest.approx(gain, abs=0.15)
    assert max(effective) <= 2


@pytest.mark.parametrize(
    ("source", "judge", "epsilon", "omega", "rho", "people"),
    [
        ("pandalm", "gpt-3.5-turbo/pandalm-prompt", 0.2, 0.0, 0.72, 3),
        ("pandalm", "pandalm-7b", 0.2, 0.0, 0.69, 3),
        ("llmfao", "gpt-4/llmfao-prompt", 0.1, 0.05, 0.69, 37),
        ("llmfao", "gpt-4/llmfao-prompt", 0.2, 0.14, 0.69, 37),
    ],
)
def test_no_judge_replaces_people(
    real_data: Path, source: str, judge: str, epsilon: float, omega: float, rho: float, people: int
) -> None:
    rows = judged(real_data, source)
    human = rows[rows["annotator_kind"] == "human"]
    labels = human.rename(columns={"item_id": "item", "p": "label"})[["item", "annotator", "label"]]
    found = alt_test(labels, rows[rows["annotator"] == judge].set_index("item_id")["p"], epsilon)
    assert found.winning_rate == pytest.approx(omega, abs=0.005)
    assert found.advantage == pytest.approx(rho, abs=0.005)
    assert len(found.people) == people
    assert not found.passes
