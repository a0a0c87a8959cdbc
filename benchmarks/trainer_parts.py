"""Where the time of a step of ours goes, on the inputs of trainers.py: milliseconds of CPU time a step.

    python benchmarks/trainer_parts.py [--methods rloo,grpo,ppo] [--steps 9]

Parts that stand indented are within the one above them.
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
from trainers import make_inputs
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


def timed(owner: object, name: str, part: str, seconds: Counter[str]) -> None:
    """Book the time of every call of a function under a part."""
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: object, **options: object) -> object:
        start = time.process_time()
        try:
            return inner(*args, **options)
        finally:
            seconds[part] += time.process_time() - start

    setattr(owner, name, outer)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", default="rloo,grpo,ppo")
    parser.add_argument("--steps", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    seconds: Counter[str] = Counter()
    for part, (owner, name) in PARTS.items():
        timed(owner, name, part, seconds)
    with tempfile.TemporaryDirectory() as folder:
        make_inputs(Path(folder), 256, 4, 512)
        for each in options.methods.split(","):
            method, config = make(each, Path(folder), options.steps, "fp32")
            timed(method, "loss", "loss", seconds)
            seconds.clear()
            start = time.process_time()
            loop.fit(method, config, lambda *_: None, Clock())
            print(f"{each}: {(time.process_time() - start) / options.steps * 1000:.0f} ms")
            for part in (*PARTS, "loss"):
                if seconds[part]:
                    print(f"  {part:24} {seconds[part] / options.steps * 1000:6.1f}")


if __name__ == "__main__":
    main()
