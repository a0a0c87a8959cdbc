"""AlpacaEval's published leaderboards, from a fresh ledger through the command."""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import once
from tests.support.command_line import told

BOARDS = {
    "weighted_alpaca_eval_gpt4_turbo": "v2",
    "alpaca_eval_gpt4": "v1",
    "alpaca_eval_cot_gpt4_turbo_fn": "v2",
    "alpaca_eval_gpt4_turbo_fn": "v2",
}


@pytest.fixture(scope="module")
def folder() -> Path:
    found = os.environ.get("FARM_REAL_DATA")
    if not found:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    return Path(found) / "alpaca_eval"


@pytest.fixture(scope="module")
def ledger(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(place: Path) -> None:
        place.mkdir()
        assert told(place / "farm.db", "import", "alpaca-eval", folder)["refused"] == 0

    return once(tmp_path_factory, "alpaca_eval", make) / "farm.db"


def board(ledger: Path, judge: str, *options: object) -> dict[str, Any]:
    found = told(ledger, "leaderboard", "--annotator", judge, "--draws", 0, *options)
    return {each["model"]: each for each in found["models"]}


@pytest.mark.parametrize(
    "judge", [*list(BOARDS)[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in list(BOARDS)[2:])]
)
def test_every_published_figure(folder: Path, ledger: Path, judge: str) -> None:
    found = board(ledger, judge)
    file = folder / "leaderboards" / f"{BOARDS[judge]}_{judge}_leaderboard.csv"
    published = pd.read_csv(file, index_col=0)
    known = [model for model in found if model in published.index]
    assert len(known) >= len(found) - 2
    gaps = []
    for model in known:
        ours, row = found[model], published.loc[model]
        assert ours["win_rate"] == pytest.approx(row["win_rate"], abs=1e-6)
        assert ours["standard_error"] == pytest.approx(row["standard_error"], abs=1e-6)
        counts = (ours["n"], ours["n_wins"], ours["n_losses"], ours["n_draws"])
        assert counts == (row["n_total"], row["n_wins"], row["n_wins_base"], row["n_draws"])
        assert ours["n"] + ours["n_failed"] == 805
        controlled = row.get("length_controlled_winrate")
        if pd.isna(controlled):
            continue
        if ours["lc_win_rate_by_row_position"] is None:
            gaps.append(abs(ours["length_controlled_win_rate"] - controlled))
        else:
            assert ours["lc_win_rate_by_row_position"] == pytest.approx(controlled, abs=0.01)
    if gaps:
        assert max(gaps) < 0.16
        assert np.median(gaps) < 0.001


def test_a_model_with_missing_rows_has_both_figures(ledger: Path) -> None:
    found = board(ledger, "weighted_alpaca_eval_gpt4_turbo")
    both = {
        model: (each["length_controlled_win_rate"], each["lc_win_rate_by_row_position"])
        for model, each in found.items()
        if each["lc_win_rate_by_row_position"] is not None
    }
    assert list(both) == ["text_davinci_001"]
    assert both["text_davinci_001"] == pytest.approx((6.48, 9.03), abs=0.005)


def results(folder: Path, out: Path, judge: str, models: tuple[str, ...]) -> None:
    """The tables' rows of some models, as the public repository keeps them."""

    def rows(name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt") as lines:
            yield from map(json.loads, lines)

    outputs, judged = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    texts: dict[tuple[str, str], str] = {}
    asked = {row["instruction_id"]: row["instruction"] for row in rows("instructions")}
    for row in rows("outputs"):
        texts[row["model"], row["instruction_id"]] = row["output"]
        if row["model"] in models:
            outputs[row["model"]].append(
                {name: row[name] for name in ("dataset", "instruction", "output")}
                | {"generator": row["model"]}
            )
    for row in rows(f"annotations_{judge}"):
        if row["model"] in models:
            own = row["judged_output_override"] or texts[row["model"], row["instruction_id"]]
            judged[row["model"]].append(
                {
                    "instruction": asked[row["instruction_id"]],
                    "output_1": texts[row["reference"], row["instruction_id"]],
                    "generator_1": row["reference"],
                    "output_2": own,
                    "generator_2": row["model"],
                    "annotator": judge,
                    "preference": row["preference"],
                    "raw_completion": row["raw_completion"],
                }
            )
    for model in models:
        (out / model / judge).mkdir(parents=True)
        (out / model / "model_outputs.json").write_text(json.dumps(outputs[model]))
        (out / model / judge / "annotations.json").write_text(json.dumps(judged[model]))


def test_the_public_results_folder_gives_the_same(folder: Path, ledger: Path, tmp_path: Path) -> None:
    judge, models = "weighted_alpaca_eval_gpt4_turbo", ("claude-2", "gpt4_gamed", "text_davinci_001")
    results(folder, tmp_path / "results", judge, models)
    told(tmp_path / "x.db", "import", "alpaca-eval", tmp_path / "results")
    difficulty = folder / "derived" / "instruction_difficulty.csv"
    found = board(tmp_path / "x.db", judge, "--difficulty", difficulty)
    expected = board(ledger, judge)
    compared = ("win_rate", "standard_error", "n", "n_failed", "n_wins", "length_controlled_win_rate",
                "lc_standard_error", "lc_win_rate_by_row_position", "avg_length")  # fmt: skip
    for model in models:
        for name in compared:
            assert found[model][name] == pytest.approx(expected[model][name], abs=1e-9), (model, name)
