"""Our side of trainers.py: runs the jobs that come on standard input as lines of JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainer_side import JOB, StepClock, answer_jobs, step_and_peak
from farm.config import TrainConfig
from farm.methods import load
from farm.models.tokens import Prompt
from farm.training.conversions import MADE
from farm.training.data import Data, Demonstration, PreferencePair
from farm.training.loop import fit
from farm.training.method import Method, RewardFn
from farm.training.run_models import LoadedModels

DRAWN = {"max_new_tokens": 64, "rollout_epochs": 1, "minibatches": 1}
OWN_ROLLOUTS: dict[str, dict[str, Any]] = {
    "rloo": DRAWN | {"n": 4, "beta": 0.05},
    "grpo": DRAWN | {"n": 4, "beta": 0.05},
    "ppo": DRAWN | {"n": 1, "beta": 0.05, "lam": 0.95},
    "dapo": DRAWN | {"n": 4, "redraws": 0},  # TRL draws no group again
    "gspo": DRAWN | {"n": 4},
    "online_dpo": DRAWN,
}
DRAWS = {"online_dpo": 2}  # responses to a prompt, where `n` does not say it
BEFORE = ("dpo", "kto")  # the reference's log-probabilities are computed before the clock starts


class Clock(StepClock):
    """A clock in the place of the loop's checkpoints: the loop asks once a step whether one is due."""

    latest = ""

    def restore(self, *_: object) -> int:
        """Note the time and begin at step 0."""
        self.mark()
        return 0

    def due(self, _: int) -> bool:
        """Note the time; no checkpoint is due."""
        self.mark()
        return False

    def save(self, *_: object) -> None:
        """Save nothing."""


def mean_word(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """A reward that costs nothing: the mean number of a response's words, modulo 7."""
    numbers = [[int(word[1:]) % 7 for word in text.split() if word[1:].isdigit()] for text in responses]
    return torch.tensor([sum(of) / max(1, len(of)) for of in numbers])


def make(
    name: str,
    folder: Path,
    steps: int,
    precision: Literal["fp32", "bf16"],
    batch: int,
    compile: bool = False,
    **further: Any,
) -> tuple[Method[Any], TrainConfig]:
    """The method of this name on the data and models in the folder, and its options.

    further: options of the method that no other side has.
    """
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    method = load("dpo" if name == "dpo_online" else name)
    own: dict[str, Any] = OWN_ROLLOUTS.get(name, {})
    config = method.Config(
        batch_size=batch // DRAWS.get(name, own.get("n", 1)),
        max_steps=steps,
        epochs=1.0,
        learning_rate=1e-5,
        template="{instruction}",
        precision=precision,
        compile=compile,
        **own,
        **further,
    )
    data: Data[Any]
    if method.data_kind == "demonstrations":
        data = Data([Demonstration(Prompt(row["prompt"]), row["chosen"]) for row in rows])
    elif method.data_kind == "instructions":
        data = Data([Prompt(row["prompt"]) for row in rows])
    else:
        pairs = [PreferencePair(Prompt(row["prompt"]), row["chosen"], row["rejected"], 1.0) for row in rows]
        data = Data(pairs if method.data_kind == "pairs" else list(MADE["pairs", method.data_kind](pairs)))
    reward: str | RewardFn = str(folder / "reward") if name == "ppo" else mean_word
    return method(config, data, LoadedModels(str(folder / "model"), config, reward=reward)), config


def run(job: dict[str, Any]) -> dict[str, object]:
    """The median step in seconds, peak memory in MB, the version of what ran."""
    name = str(job["method"])
    method, config = make(name, Path(str(job["folder"])), **{key: job[key] for key in JOB})
    if name in BEFORE:
        for _ in method.feed.batches(0):  # computes the reference's log-probabilities before the clock starts
            pass
    clock = Clock()
    fit(method, config, lambda *_: None, clock)
    return {**step_and_peak(clock), "transformers": transformers.__version__}


if __name__ == "__main__":
    answer_jobs(run, sys.stdout)
