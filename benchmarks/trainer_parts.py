"""Where the time of a step of ours goes, on the inputs of trainers.py: milliseconds a step.

    python benchmarks/trainer_parts.py [--methods rloo,grpo,ppo] [--steps 9]

Parts that stand indented are within the one above them. On a CPU it is CPU time; on a GPU it is the clock's,
and every part waits until the GPU has done it, so parts add up to more than an undisturbed step.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from torch.optim import AdamW
from trainers import make_inputs, rows
from trainers_ours import Clock, make

from farm import loop, rollout
from farm.policies import Policy
from farm.sampler import _Batch

PARTS = {
    "draw": (rollout, "sample"),
    "  the model's steps": (Policy, "step_logits"),
    "  picking tokens": (_Batch, "pick"),
    "rate (reference, value)": (rollout, "rated"),
    "reward": (rollout, "scored"),
    "backward": (torch.Tensor, "backward"),
    "clip": (loop, "clip_gradients"),
    "optimizer": (AdamW, "step"),
    "metrics": (loop.Meter, "add"),
}


def now() -> float:
    """Seconds, when all that was asked for is done."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(owner: object, name: str, part: str, seconds: Counter[str]) -> None:
    """Book the time of every call of a function under a part."""
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: object, **options: object) -> object:
        start = now()
        try:
            return inner(*args, **options)
        finally:
            seconds[part] += now() - start

    setattr(owner, name, outer)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="rloo,grpo,ppo")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seconds: Counter[str] = Counter()
    for part, (owner, name) in PARTS.items():
        timed(owner, name, part, seconds)
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder), options.hidden, options.layers, rows(options))
        for each in options.methods.split(","):
            method, config = make(each, Path(folder), options.steps, options.precision, options.batch)
            timed(method, "loss", "loss", seconds)
            seconds.clear()
            start = now()
            loop.fit(method, config, lambda *_: None, Clock())
            print(f"{each}: {(now() - start) / options.steps * 1000:.0f} ms")
            for part in (*PARTS, "loss"):
                if seconds[part]:
                    print(f"  {part:24} {seconds[part] / options.steps * 1000:6.1f}")


if __name__ == "__main__":
    main()
