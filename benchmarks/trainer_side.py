"""What both sides of trainers.py share: a clock for steps, and answers to jobs. Needs torch alone."""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import TextIO

import torch

ROLLOUTS = ("rloo", "grpo", "ppo", "dapo", "gspo", "online_dpo")  # methods that draw their own responses
WARM_UP = 3  # steps that are not counted
JOB = ("steps", "precision", "batch", "compile")  # options of a job, in the order in which sides take them


class StepClock:
    """The moments at which steps ended, after all work on the GPU was done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def mark(self) -> None:
        """Note that a step has ended, or that the first one begins."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def step_and_peak(clock: StepClock) -> dict[str, float]:
    """The median step in seconds, and the peak memory in MB: the GPU's where there is one."""
    seconds = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)][WARM_UP:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    return {"step_s": statistics.median(seconds), "peak_mb": peak}


def answer_jobs(run: Callable[[dict[str, object]], dict[str, object]], answers: TextIO) -> None:
    """For each line of JSON on standard input, run the job and write its result as a line of JSON."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
