"""What a training step or a draw on a CPU gains by keeping the memory that the last one freed.

    python benchmarks/kept_memory.py [--rounds 12] [--threads 2]

Two processes do the same work, one that keeps memory and one that does not. They take turns, and who comes
first changes from round to round, so that other load on the machine meets both alike. Printed: for each task
the time without divided by the time with it, as a mean over the rounds with Student's 95 % interval (both of
logarithms). Tasks: a training step of rloo and of ppo on the made-up Llama of trainers.py, and a
draw of 256 answers as `farm sample` has them from the embedded world's model.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainers import PROMPT, make_inputs
from benchmarks.trainers_ours import make
from farm.config import Decoding
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training import loop, processes
from farm.training.rollout import draw
from farm.world import families
from farm.world.language import ANSWER_TOKENS, base_model

TASKS = ("rloo", "ppo", "sample")
ANSWERS = 256
WARM_UP = 3  # rounds that do not count


class Turns:
    """Takes the place of checkpoints: the loop asks it once a step, and it waits for its turn."""

    latest = ""

    def __init__(self, wait: Callable[[], None]) -> None:
        self.wait = wait

    def restore(self, *_: object) -> int:
        """Wait, and begin at step 0."""
        self.wait()
        return 0

    def due(self, _: int) -> bool:
        """Wait; no checkpoint is due."""
        self.wait()
        return False

    def save(self, *_: object) -> None:
        """Save nothing."""


def work(task: str, folder: Path, rounds: int, wait: Callable[[], None]) -> None:
    """One piece of work between two calls of wait."""
    if task == "sample":
        policy, decoding = Policy.load(str(base_model())), Decoding(max_new_tokens=ANSWER_TOKENS)
        asked = [families.draw(f"benchmark/{number}").instruction for number in range(ANSWERS)]
        prompts = [Prompt.of(each) for each in asked]
        wait()
        for seed in range(rounds):
            draw(policy, prompts, decoding, seed=seed)
            wait()
        return
    method, config = make(task, folder, rounds, "fp32", 32)
    loop.fit(method, config, lambda *_: None, Turns(wait))


def worker(task: str, on: bool, folder: Path, rounds: int) -> None:
    """A line in, a piece of work, its seconds out."""
    if on:
        processes.keep_freed_memory()
    began: list[float] = []

    def wait() -> None:
        if began:
            print(time.perf_counter() - began.pop(), flush=True)
        if sys.stdin.readline():
            began.append(time.perf_counter())

    work(task, folder, rounds, wait)


class Side:
    """A process that keeps freed memory, or one that does not."""

    def __init__(self, options: argparse.Namespace, folder: Path, task: str, on: bool) -> None:
        given = [task, str(int(on)), str(folder), str(options.rounds + WARM_UP)]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", *given],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    def seconds(self) -> float:
        """Those of one more piece of work."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def ratios(options: argparse.Namespace, folder: Path, task: str) -> Iterator[float]:
    """Of each round: the time without kept memory divided by the time with it."""
    sides = {on: Side(options, folder, task, on) for on in (True, False)}
    for number in range(options.rounds + WARM_UP):
        order = (True, False) if number % 2 else (False, True)
        spent = {on: sides[on].seconds() for on in order}
        if number >= WARM_UP:
            yield spent[False] / spent[True]
    for side in sides.values():
        side.process.communicate()


def main() -> None:
    """Measure the tasks that the options name, and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        task, on, folder, rounds = options.worker
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        worker(task, on == "1", Path(folder), int(rounds))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder), options.hidden, options.layers, 32 * (options.rounds + WARM_UP), PROMPT)
        for task in options.tasks:
            logs = np.log(list(ratios(options, Path(folder), task)))
            half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
            mean, low, high = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half])
            print(f"{task:7} {mean:.3f} [{low:.3f}, {high:.3f}]", flush=True)


if __name__ == "__main__":
    main()
