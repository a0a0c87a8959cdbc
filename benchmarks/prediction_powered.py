"""Measures coverage and width of prediction-powered intervals: few human labels and a judge, on real data.

    python benchmarks/prediction_powered.py DATA --json benchmarks/results/prediction_powered.json

DATA is the folder of preference rows (pandalm, autoj, llmfao as JSON lines). The truth is people's win rate
of the first output over all pairs of a source. Each draw takes 100 human labels and all verdicts of the
judge. The labels are drawn at random, or by doubt and then weighted by their inclusion probabilities. The
interval is for a population, but the truth is that of a finite pool, so that coverage is above 95 %.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from farm.evaluation.label_order import shrunk
from farm.statistics.bootstrap import Interval
from farm.statistics.label_budget import label_next
from farm.statistics.prediction_powered import PredictionPowered, prediction_powered_win_rate

JUDGES = (
    ("autoj", "auto-j-13b"),
    ("pandalm", "gpt-3.5-turbo/pandalm-prompt"),
    ("pandalm", "pandalm-7b"),
    ("llmfao", "gpt-4/llmfao-prompt"),
    ("llmfao", "gpt-3.5-turbo-instruct/llmfao-prompt"),
)
LABELS = 100
DESIGNS = ("random", "doubt", "bare doubt")  # doubt: as `farm people next`; bare doubt: by the judge's means


class Pool(NamedTuple):
    """The T questions of a source."""

    human: np.ndarray  # (T,) mean of people's preferences
    judge: np.ndarray  # (T,) mean of the judge's preferences, NaN where it gave no verdict
    judgements: np.ndarray  # (T,) number of the judge's verdicts


def read_pool(folder: Path, source: str, judge: str) -> Pool:
    """Read the questions of a source with the verdicts of people and one judge."""
    rows = pd.read_json(folder / f"{source}.jsonl.gz", lines=True)
    rows = rows.assign(preference=rows["preference"].map({1: 1.0, 0: 0.5, 2: 0.0}))
    human = rows[rows["annotator_kind"] == "human"].groupby("item_id")["preference"].mean()
    own = rows[rows["annotator"] == judge].groupby("item_id")["preference"].agg(["mean", "count"])
    own = own.reindex(human.index)
    return Pool(human.to_numpy(float), own["mean"].to_numpy(float), own["count"].fillna(0).to_numpy(float))


def study(pool: Pool, draws: int, design: str) -> dict[str, float]:
    """Coverage, mean widths and effective labels over repeated draws of human labels."""
    truth, rng = float(pool.human.mean()), np.random.default_rng(0)
    found = []
    for draw in range(draws):
        inclusion, chosen = None, rng.permutation(len(pool.human)) < LABELS
        if design != "random":
            doubted = pool.judge if design == "bare doubt" else shrunk(pool.judge, pool.judgements)
            plan = label_next(doubted, LABELS, seed=draw)
            inclusion, chosen = plan["inclusion"].to_numpy(), plan["chosen"].to_numpy()
        human = np.where(chosen, pool.human, np.nan)
        found.append(prediction_powered_win_rate(human, pool.judge, inclusion=inclusion))
    return {
        "coverage": float(np.mean([_holds(each.interval, truth) for each in found])),
        "coverage_human_only": float(np.mean([_holds(each.human_only, truth) for each in found])),
        "width": _width(found, "interval"),
        "width_human_only": _width(found, "human_only"),
        "effective_labels_per_label": float(np.mean([each.effective_labels / each.n for each in found])),
    }


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high


def _width(found: list[PredictionPowered], name: str) -> float:
    intervals = [getattr(each, name) for each in found]
    return float(np.mean([each.high - each.low for each in intervals]))


def main() -> None:
    """Measure every judge with every design, and print and write the results."""
    parser = argparse.ArgumentParser(description="Prediction-powered win rates on real people.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started, rows = time.perf_counter(), []
    print(f"{'source':8} {'judge':38} {'pairs':>5} {'labels':10} coverage  width  vs alone  effective")
    for source, judge in JUDGES:
        pool = read_pool(options.data, source, judge)
        for design in DESIGNS:
            row = study(pool, options.draws, design)
            rows.append({"source": source, "judge": judge, "pairs": len(pool.human), "design": design, **row})
            ratio, gain = row["width"] / row["width_human_only"], row["effective_labels_per_label"]
            print(
                f"{source:8} {judge:38} {len(pool.human):5} {design:10} {row['coverage']:8.3f} "
                f"{row['width']:6.3f} {ratio:9.2f} {gain:9.2f}"
            )
    if options.json:
        told = {
            "command": f"python benchmarks/prediction_powered.py DATA --draws {options.draws}",
            "python": platform.python_version(),
            "seconds": round(time.perf_counter() - started, 1),
            "labels": LABELS,
            "draws": options.draws,
            "rows": rows,
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
