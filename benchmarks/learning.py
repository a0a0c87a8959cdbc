"""Measures whether our methods learn as well as TRL's: at equal steps, and in seconds to TRL's end value.

    python benchmarks/learning.py FOLDER --trl-python PYTHON --trl-old-python PYTHON \
        --json benchmarks/results/learning.json

--task chain is that of learning_task.py: its optimum is known, and a run takes seconds. --task world is that
of learning_world.py: the embedded world's instructions, people and small model. learning.yaml and
learning_world.yaml have all options of both sides; start weights, tokens and rows are the same. --trl-python
is an interpreter with trl==1.16.*, --trl-old-python one with trl==1.12.* (PPO; TRL 1.16 has none). Runs are
made one after another, on one thread. Models are kept on the way, while the clock stands, and measured by
learning_measures.py, which is neither side's. Seconds are CPU seconds of the steps alone: without loading and
measuring, and for methods that learn from pairs without the reference's log-probabilities.

A run that stands in the JSON file is not made again, so runs can be made in pieces: --arms, --sides, --seeds.
--arms-file names a file of further arms, in the form of learning.yaml, that are measured beside its own.
--table prints the tables of what is there and runs nothing. Intervals are Student's 95 % intervals over
seeds; that of a difference is Welch's. Seconds are read off the mean curve over seeds, on straight lines
between marks: ours / TRL's.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS, TRL = "ours", "trl"
OPTIONS = Path(__file__).with_suffix(".yaml")
FILES = {"chain": OPTIONS, "world": OPTIONS.with_name("learning_world.yaml")}
DRAWN = ("reward", "kl", "entropy", "length", "explained_variance")
PAIRS = ("loss", "accuracy", "reward", "kl")
FIGURES = {
    "sft": ("nll", "reward", "entropy", "length"),
    "reward_model": ("loss", "accuracy"),
    "dpo": PAIRS,
    "ipo": PAIRS,
}  # else DRAWN
"""Figures that the table shows, by method. Seconds are those to the first one."""

Runs = Mapping[str, Mapping[str, Any]]


def jobs(
    options: Mapping[str, Any], arms: Sequence[str], sides: Sequence[str], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """The runs that are asked for, each with all that its side needs to know."""
    found = []
    for seed in seeds:
        for name in arms:
            arm = options["arms"][name]
            for side in (side for side in sides if side in arm):
                known = {key: arm[key] for key in ("method", "start", "steps", "marks")}
                own = {**options[side], **arm[side]}
                found.append({"arm": name, "side": side, "seed": seed, **known, "options": own})
    return found


def key_of(job: Mapping[str, Any]) -> str:
    """The name of a run in the results."""
    return f"{job['arm']} {job['side']} {job['seed']}"


class Side:
    """A process of one side, ours or TRL's, which makes one run after another."""

    def __init__(self, side: str, python: str, errors: Path) -> None:
        self.errors, pipe = errors, subprocess.PIPE
        hidden = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
        command = [python, str(ROOT / "benchmarks" / f"learning_{side}.py")]
        with errors.open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=os.environ | hidden
            )

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Steps and seconds of the models that a run kept, and versions. Ends the program if it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(job), file=self.process.stdin, flush=True)
        if line := self.process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            return found
        sys.exit(f"{key_of(job)} failed:\n{self.errors.read_text()[-3000:]}")

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def made(job: dict[str, Any], folder: Path, side: Side) -> dict[str, Any]:
    """Train a run and measure the models that it kept."""
    from benchmarks.learning_measures import measured

    out, task = folder / key_of(job).replace(" ", "-"), folder / "task"
    shutil.rmtree(out, ignore_errors=True)
    found = side.run({**job, "task": str(task), "out": str(out)})
    curve = []
    for mark in found["kept"]:
        last = mark["step"] == job["steps"]
        curve.append({**mark, **measured(job["method"], out / f"at-{mark['step']}", task, last)})
    shutil.rmtree(out)
    return {"options": job["options"], "versions": found["versions"], "curve": curve}


def ends(runs: Runs, arm: str, side: str) -> list[dict[str, float]]:
    """The figures of every run's last model, seed by seed."""
    return [run["curve"][-1] for name, run in runs.items() if name.split()[:2] == [arm, side]]


def student(values: Sequence[float]) -> str:
    """Mean and half the width of Student's 95 % interval, which one value does not give."""
    if len(values) < 2:
        return " ".join(f"{value:.3f}" for value in values)
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return f"{np.mean(values):.3f} ± {half:.3f}"


def difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Mean of ours minus mean of theirs, with Welch's 95 % interval."""
    found = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return f"{np.mean(ours) - np.mean(theirs):+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


class Curve(NamedTuple):
    """CPU seconds of learning and a figure, at every mark of a run."""

    seconds: list[float]
    values: list[float]


def mean_curve(runs: Runs, arm: str, side: str, figure: str) -> Curve:
    """The mean over seeds."""
    curves = [run["curve"] for name, run in runs.items() if name.split()[:2] == [arm, side]]
    marks = range(len(curves[0]))
    seconds, values = (
        [float(np.mean([curve[mark][name] for curve in curves])) for mark in marks]
        for name in ("seconds", figure)
    )
    return Curve(seconds, values)


def seconds_to(goal: float, seconds: Sequence[float], values: Sequence[float]) -> float | None:
    """When a curve first is at a goal, on straight lines between marks. None: never."""
    for i in range(1, len(values)):
        before, after = values[i - 1], values[i]
        if min(before, after) <= goal <= max(before, after):
            way = (goal - before) / (after - before) if after != before else 0.0
            return seconds[i - 1] + way * (seconds[i] - seconds[i - 1])
    return None


def table(runs: Runs, options: Mapping[str, Any]) -> list[str]:
    """Rows of Markdown: figures at the end on both sides, their difference, and seconds."""
    lines = ["| arm | figure at the end | ours | TRL | difference |", "|---|---|---|---|---|"]
    for arm, known in options["arms"].items():
        beside = known.get("beside", arm)
        ours, theirs = ends(runs, arm, OURS), ends(runs, beside, TRL)
        known_figures = (ours or theirs or [{}])[0]
        for figure in (name for name in FIGURES.get(known["method"], DRAWN) if name in known_figures):
            mine, other = [run[figure] for run in ours], [run[figure] for run in theirs]
            gap = difference(mine, other) if len(mine) > 1 and len(other) > 1 else ""
            who = f"{arm} ({len(mine)}, {len(other)})"
            lines.append(f"| {who} | {figure} | {student(mine)} | {student(other)} | {gap} |")
    lines += ["", "| arm | figure | seconds of the run | to TRL's end value | to the weaker end value |"]
    lines.append("|---|---|---|---|---|")
    for arm, known in options["arms"].items():
        beside, figure = known.get("beside", arm), FIGURES.get(known["method"], DRAWN)[0]
        if ends(runs, arm, OURS) and ends(runs, beside, TRL):
            curves = mean_curve(runs, arm, OURS, figure), mean_curve(runs, beside, TRL, figure)
            lines.append(f"| {arm} | {figure} | {' | '.join(paces(*curves))} |")
    return lines


def paces(ours: Curve, theirs: Curve) -> list[str]:
    """CPU seconds of ours and of TRL's: of the run, to TRL's end value, to the weaker of both end values.

    Each with ours as a share of TRL's, where both are known.
    """
    falls = ours.values[-1] < ours.values[0]
    weaker = (max if falls else min)(ours.values[-1], theirs.values[-1])
    goals = (theirs.values[-1], weaker)
    reached = [(seconds_to(goal, *ours), seconds_to(goal, *theirs)) for goal in goals]
    return [beside(*pair) for pair in ((ours.seconds[-1], theirs.seconds[-1]), *reached)]


def beside(ours: float | None, theirs: float | None) -> str:
    """Seconds of both sides and ours as a share of TRL's; a dash where a value was not reached."""
    shown = " / ".join("-" if each is None else f"{each:.1f}" for each in (ours, theirs))
    return f"{shown} ({ours / theirs:.2f})" if ours is not None and theirs else shown


def prepared(folder: Path, task: str) -> object:
    """Make the task if it is not there, and read what is known of it."""
    import torch

    from benchmarks.learning_tasks import TASKS

    torch.set_num_threads(1)
    import_module(TASKS[task]).make(folder / "task")
    return json.loads((folder / "task" / "task.json").read_text())


def main() -> None:
    """Make the runs that are missing, write each as it is done, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="where the task and the models of a run go")
    parser.add_argument("--task", choices=list(FILES), default="chain")
    parser.add_argument("--trl-python", default="", help="an interpreter with trl==1.16.*")
    parser.add_argument("--trl-old-python", default="", help="an interpreter with trl==1.12.*, for ppo")
    parser.add_argument("--arms", help="names of arms, with commas; default all")
    parser.add_argument("--arms-file", type=Path, help="further arms, or others of the same name")
    parser.add_argument("--sides", nargs="+", choices=[OURS, TRL], default=[OURS, TRL])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--steps", type=int, help="of each run, to try the command; default as in the file")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what is there")
    given = parser.parse_args()
    options = yaml.safe_load(FILES[given.task].read_text())
    if given.arms_file:
        options["arms"] |= yaml.safe_load(given.arms_file.read_text())["arms"]
    runs = json.loads(given.json.read_text())["runs"] if given.json.exists() else {}
    arms = given.arms.split(",") if given.arms else list(options["arms"])
    wanted = [] if given.table else jobs(options, arms, given.sides, given.seeds)
    wanted = [{**job, "steps": given.steps, "marks": 1} for job in wanted] if given.steps else wanted
    pythons = {OURS: sys.executable, TRL: given.trl_python, "ppo": given.trl_old_python}
    sides: dict[str, Side] = {}
    for job in (job for job in wanted if key_of(job) not in runs):
        task = prepared(given.folder, given.task)
        which = "ppo" if (job["side"], job["method"]) == (TRL, "ppo") else job["side"]
        if which not in sides:
            sides[which] = Side(job["side"], pythons[which], given.folder / f"{which}.log")
        runs[key_of(job)] = made(job, given.folder, sides[which])
        shown = {name: round(value, 3) for name, value in runs[key_of(job)]["curve"][-1].items()}
        print(f"{key_of(job)}: {shown}", flush=True)
        written = given.json.with_suffix(".part")
        written.write_text(json.dumps({"task": task, "runs": runs}, indent=1) + "\n")
        written.replace(given.json)
    for side in sides.values():
        side.close()
    print("\n".join(table(runs, options)))


if __name__ == "__main__":
    main()
