"""The time that each part of our optimizer step takes, on the inputs of trainers.py: milliseconds per step.

    python benchmarks/trainer_parts.py [--methods rloo,grpo,ppo] [--steps 9] [--operators 8]
    python benchmarks/trainer_parts.py --methods sft,reward_model [--length-window 32] [--micro-batch 4]

An indented part is contained in the part above it. On a CPU the times are CPU time. On a GPU they are
wall-clock time, and each part waits for the GPU, so that the parts add up to more than an undisturbed step.
--operators lists the slowest operators, from a second run under torch's profiler, which slows small operators
down. --whole runs every row whole, to show what is saved by running a prompt once that several rows share.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch.optim import AdamW

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainers import PROMPT, make_inputs, rows
from benchmarks.trainers_ours import Clock, make
from farm.config import TrainConfig
from farm.models import forward, generation
from farm.models.policy import Policy
from farm.training import loop, rollout
from farm.training.method import Method

PARTS = {
    "draw": (rollout, "sample"),
    "  the model's steps": (Policy, "step_logits"),
    "  picking tokens": (generation._Batch, "pick"),
    "rate (reference, value)": (rollout, "rated"),
    "reward": (rollout, "scored"),
    "backward": (torch.Tensor, "backward"),
    "clip": (loop, "clip_gradients"),
    "optimizer": (AdamW, "step"),
    "metrics": (loop.Meter, "add"),
}


def now() -> float:
    """The time in seconds, after all work on the GPU is done; on a CPU, the CPU time."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(owner: object, name: str, part: str, seconds: defaultdict[str, float]) -> None:
    """Replace a function by one that adds the time of every call to a part's seconds."""
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: object, **options: object) -> object:
        start = now()
        try:
            return inner(*args, **options)
        finally:
            seconds[part] += now() - start

    setattr(owner, name, outer)


def by_operator(method: Method[Any], config: TrainConfig) -> list[tuple[str, float]]:
    """The operators of a run and their seconds, slowest first; the GPU's seconds where there is one."""
    with torch.profiler.profile() as found:
        loop.fit(method, config, lambda *_: None, Clock())
    gpu = torch.cuda.is_available()
    spent = [
        (each.key, (each.self_device_time_total if gpu else each.self_cpu_time_total) / 1e6)
        for each in found.key_averages()
    ]
    return sorted(spent, key=lambda pair: -pair[1])


def main() -> None:
    """Time the methods that the options name, and print their parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="rloo,grpo,ppo")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--operators", type=int, default=0, help="how many")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--prompt", type=int, nargs=2, default=PROMPT, help="words, at least and at most")
    parser.add_argument("--length-window", type=int, default=1)
    parser.add_argument("--micro-batch", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.whole:
        forward.LEAST_WORK = sys.maxsize
    seconds: defaultdict[str, float] = defaultdict(float)
    for part, (owner, name) in PARTS.items():
        timed(owner, name, part, seconds)
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder), options.hidden, options.layers, rows(options), tuple(options.prompt))
        for each in options.methods.split(","):
            further = {"length_window": options.length_window, "micro_batch": options.micro_batch}
            method, config = make(
                each, Path(folder), options.steps, options.precision, options.batch, **further
            )
            timed(method, "loss", "loss", seconds)
            seconds.clear()
            start = now()
            loop.fit(method, config, lambda *_: None, Clock())
            print(f"{each}: {(now() - start) / options.steps * 1000:.0f} ms")
            for part in (*PARTS, "loss"):
                if seconds[part]:
                    print(f"  {part:24} {seconds[part] / options.steps * 1000:6.1f}")
            if options.operators:
                for operator, spent in by_operator(method, config)[: options.operators]:
                    print(f"    {operator:50} {spent / options.steps * 1000:6.1f}")


if __name__ == "__main__":
    main()
