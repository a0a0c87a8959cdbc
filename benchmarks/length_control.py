"""Compares length-controlled win rates of AlpacaEval's models: ours, alpaca_eval's own, and the published.

    python benchmarks/length_control.py --data FOLDER/alpaca_eval [--peer PYTHON] [--draws 1000]
                                        --json benchmarks/results/length_control.json

PYTHON is an interpreter with alpaca_eval==0.6.6. It gets the same rows in the same order, and a local copy of
the file of anchors that it would download. A time is the fastest of three runs of one process, wall-clock,
from judged rows in memory to the figures of all models.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

JUDGES = {
    "weighted_alpaca_eval_gpt4_turbo": "v2_weighted_alpaca_eval_gpt4_turbo",
    "alpaca_eval_gpt4": "v1_alpaca_eval_gpt4",
    "alpaca_eval_cot_gpt4_turbo_fn": "v2_alpaca_eval_cot_gpt4_turbo_fn",
    "alpaca_eval_gpt4_turbo_fn": "v2_alpaca_eval_gpt4_turbo_fn",
}
LENGTH_CONTROLLED = ("weighted_alpaca_eval_gpt4_turbo", "alpaca_eval_gpt4")


class Study(NamedTuple):
    """The data of one judge."""

    rows: pd.DataFrame  # model, instruction, preference in [0, 1], length (reference minus model), texts
    difficulty: pd.Series  # by instruction
    anchors: pd.DataFrame  # instruction, preference, length
    published: pd.DataFrame  # by model


def read_study(folder: Path, judge: str) -> Study:
    """Read the data of a judge from AlpacaEval's tables."""
    annotations = pd.read_json(folder / f"annotations_{judge}.jsonl.gz", lines=True)
    outputs = pd.read_json(folder / "outputs.jsonl.gz", lines=True)
    texts = outputs.set_index(["model", "instruction_id"])["output"]
    reference = texts["gpt4_1106_preview"]
    if judge == "alpaca_eval_gpt4":
        v1 = pd.read_json(folder / "reference_v1_text_davinci_003.jsonl.gz", lines=True)
        reference = v1.set_index("instruction_id")["output"]
    own = texts.reindex(pd.MultiIndex.from_frame(annotations[["model", "instruction_id"]])).to_numpy(object)
    override = annotations["judged_output_override"].to_numpy(object)
    judged = np.where(pd.notna(override), override, own)
    against = reference.reindex(annotations["instruction_id"]).to_numpy(object)
    rows = pd.DataFrame(
        {
            "model": annotations["model"],
            "instruction": annotations["instruction_id"],
            "preference": annotations["preference"].astype(float) - 1,
            "length": [float(len(theirs) - len(ours)) for theirs, ours in zip(against, judged, strict=True)],
            "output_1": against,
            "output_2": judged,
        }
    )
    difficulty = pd.read_csv(folder / "derived/instruction_difficulty.csv", index_col="index").iloc[:, 0]
    difficulty.index = pd.Index([f"ae:{place:03d}" for place in difficulty.index])
    gamed = pd.read_csv(folder / "derived/df_gamed_surrogate.csv")
    anchors = pd.DataFrame(
        {
            "instruction": [f"ae:{place:03d}" for place in gamed["index"]],
            "preference": gamed["preference"],
            "length": gamed["std_delta_len"],
        }
    )
    published = pd.read_csv(folder / f"leaderboards/{JUDGES[judge]}_leaderboard.csv", index_col=0)
    return Study(rows, difficulty, anchors, published)


def ours(study: Study, draws: int) -> dict[str, Any]:
    """Our win rate of every model. draws: of the bootstrap; 0 for none."""
    # The peer's interpreter, which runs `theirs`, has none of our dependencies.
    from farm.statistics.difficulty import Difficulty
    from farm.statistics.length_control import controlled_win_rate

    difficulty = Difficulty(study.difficulty, "instruction_difficulty.csv")
    rows = study.rows[["model", "instruction", "preference", "length"]]
    return {
        str(model): controlled_win_rate(own, difficulty=difficulty, anchors=study.anchors, draws=draws)
        for model, own in rows.groupby("model", sort=False)
    }


def theirs(study: Study, folder: Path) -> dict[str, float]:
    """alpaca_eval's win rate of every model, in percent."""
    from alpaca_eval.metrics import glm_winrate  # only the peer's interpreter has it

    glm_winrate.hf_hub_download = lambda **_: str(folder / "derived/df_gamed_surrogate.csv")
    found = {}
    for model, rows in study.rows.groupby("model", sort=False):
        frame = pd.DataFrame(
            {
                "preference": rows["preference"].to_numpy() + 1,
                "output_1": rows["output_1"].to_numpy(),
                "output_2": rows["output_2"].to_numpy(),
                "generator_1": "reference",
                "generator_2": "reference" if (rows["output_1"] == rows["output_2"]).all() else model,
                "annotator": "judge",
            }
        )
        figures = glm_winrate.get_length_controlled_winrate(
            frame, save_weights_dir=None, is_add_glm_preference_inplace=False, is_warn_extreme_changes=False
        )
        found[str(model)] = float(figures["length_controlled_winrate"])
    return found


def fastest(task: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    """The seconds of the fastest run, and the task's result."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = task()
        times.append(time.perf_counter() - start)
    return min(times), result


def compare(folder: Path, judge: str, peer: str | None, draws: int) -> dict[str, Any]:
    """Times and win rates of one judge, ours and, where `peer` is an interpreter, alpaca_eval's."""
    study = read_study(folder, judge)
    seconds, point = fastest(lambda: ours(study, 0))
    bootstrap_seconds, drawn = fastest(lambda: ours(study, draws), runs=1)
    report: dict[str, Any] = {
        "judge": judge,
        "models": len(point),
        "seconds": seconds,
        "draws": draws,
        "bootstrap_seconds": bootstrap_seconds,
    }
    other: dict[str, float] = {}
    if peer:
        command = [peer, "-W", "ignore", __file__, "--data", str(folder), "--theirs", judge]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        other = answer["figures"]
        report |= {"alpaca_eval_seconds": answer["seconds"], "times_as_fast": answer["seconds"] / seconds}
    published = study.published["length_controlled_winrate"]
    report["figures"] = [
        {
            "model": model,
            "n": result.n,
            "n_rows": result.n + result.n_failed,
            "published": None if pd.isna(published.get(model)) else float(published[model]),
            "alpaca_eval": other.get(model),
            "ours": 100 * result.value,
            "standard_error": 100 * result.standard_error,
            "bootstrap_error": 100 * drawn[model].bootstrap_error,
            "strength": None if np.isnan(result.strength) else result.strength,
        }
        for model, result in point.items()
    ]
    return report


def show(report: dict[str, Any]) -> None:
    """Print the comparison of one judge."""
    print(f"\n{report['judge']}: {report['models']} models in {report['seconds']:.3f} s", end="")
    print(f", with {report['draws']} bootstrap draws each {report['bootstrap_seconds']:.1f} s", end="")
    if "times_as_fast" in report:
        print(
            f"; alpaca_eval {report['alpaca_eval_seconds']:.3f} s ({report['times_as_fast']:.1f} times)",
            end="",
        )
    heads = f"{'published':>10s} {'alpaca_eval':>11s} {'ours':>9s} {'se':>6s} {'boot':>6s}"
    print(f"\n{'model':32s} {'n':>4s} {heads}")
    for row in report["figures"]:
        cells = [
            f"{row[key]:.4f}" if row[key] is not None else "-" for key in ("published", "alpaca_eval", "ours")
        ]
        errors = f"{row['standard_error']:6.3f} {row['bootstrap_error']:6.3f}"
        print(f"{row['model']:32s} {row['n']:4d} {cells[0]:>10s} {cells[1]:>11s} {cells[2]:>9s} {errors}")
    whole = [row for row in report["figures"] if row["published"] is not None and row["n"] == 805]
    gaps = np.abs([row["ours"] - row["published"] for row in whole])
    middle, largest = np.median(gaps), gaps.max()
    print(f"{len(whole)} with all 805 rows: |ours - published| median {middle:.4f}, largest {largest:.4f}")


def main() -> None:
    """Compare the judges, or with --theirs run alpaca_eval's side of one; print and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer", help="an interpreter with alpaca_eval")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--theirs", metavar="JUDGE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.theirs:
        study = read_study(options.data, options.theirs)
        seconds, figures = fastest(lambda: theirs(study, options.data))
        json.dump({"seconds": seconds, "figures": figures}, sys.stdout)
        return
    reports = [compare(options.data, judge, options.peer, options.draws) for judge in LENGTH_CONTROLLED]
    for report in reports:
        show(report)
    if options.json:
        command = (
            "python benchmarks/length_control.py --data FOLDER/alpaca_eval --peer PYTHON "
            "--json benchmarks/results/length_control.json"
        )
        content = {"command": command, "python": platform.python_version(), "reports": reports}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
