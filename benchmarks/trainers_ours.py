"""Our side of trainers.py: a line of JSON for each line of JSON, to the end."""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from farm.methods import load
from farm.models.tokens import Prompt
from farm.training.data import Data, Demonstration, PreferencePair
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.run_models import LoadedModels

WARM_UP = 3
DRAWN = {"max_new_tokens": 64, "rollout_epochs": 1, "minibatches": 1}
OWN_ROLLOUTS = {
    "rloo": DRAWN | {"n": 4, "beta": 0.05},
    "grpo": DRAWN | {"n": 4, "beta": 0.05},
    "ppo": DRAWN | {"n": 1, "beta": 0.05, "lam": 0.95},
}


class Clock:
    """Takes the place of checkpoints, for the loop asks it once a step."""

    latest = ""

    def __init__(self) -> None:
        self.times: list[float] = []

    def restore(self, *_: object) -> int:
        self.mark()
        return 0

    def due(self, _: int) -> bool:
        self.mark()
        return False

    def save(self, *_: object) -> None:
        pass

    def mark(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def mean_word(_: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """A reward that costs nothing: the mean number of a response's words, modulo 7."""
    numbers = [[int(word[1:]) % 7 for word in text.split() if word[1:].isdigit()] for text in responses]
    return torch.tensor([sum(of) / max(1, len(of)) for of in numbers])


def make(
    name: str, folder: Path, steps: int, precision: str, batch: int, compile: bool = False
) -> tuple[Method, object]:
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    method = load(name.removesuffix("_online"))
    own = OWN_ROLLOUTS.get(name, {})
    config = method.Config(
        batch_size=batch // own.get("n", 1),
        max_steps=steps,
        epochs=1.0,
        learning_rate=1e-5,
        template="{instruction}",
        precision=precision,
        compile=compile,
        **own,
    )
    if method.data_kind == "demonstrations":
        data = Data([Demonstration(Prompt(row["prompt"]), row["chosen"]) for row in rows])
    elif method.data_kind == "instructions":
        data = Data([Prompt(row["prompt"]) for row in rows])
    else:
        data = Data(
            [PreferencePair(Prompt(row["prompt"]), row["chosen"], row["rejected"], 1.0) for row in rows]
        )
    reward = str(folder / "reward") if name == "ppo" else mean_word
    return method(config, data, LoadedModels(str(folder / "model"), config, reward=reward)), config


def run(job: dict[str, object]) -> dict[str, object]:
    """The median step in seconds, peak memory in MB, the version of what ran."""
    name = str(job["method"])
    given = (job[key] for key in ("steps", "precision", "batch", "compile"))
    method, config = make(name, Path(str(job["folder"])), *given)
    if name == "dpo":
        for _ in method.feed.batches(0):  # reference log-probabilities
            pass
    clock = Clock()
    fit(method, config, lambda *_: None, clock)
    seconds = [b - a for a, b in zip(clock.times, clock.times[1:], strict=False)][WARM_UP:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**20
    return {"step_s": statistics.median(seconds), "peak_mb": peak, "transformers": transformers.__version__}


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    main()
