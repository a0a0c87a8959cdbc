"""Our side of learning.py: trains the runs that come on standard input as lines of JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning_side import Keeper
from benchmarks.learning_tasks import learnt_pairs, read, start, task_of
from benchmarks.trainer_side import answer_jobs
from farm.config import TrainConfig, build
from farm.methods import load
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.training.data import Data, Demonstration, PreferencePair, judged_outputs
from farm.training.loop import fit
from farm.training.method import Method, RewardFn
from farm.training.run_models import LoadedModels


class Models(LoadedModels):
    """Models of a run. A reward model begins with the head of its folder, which both sides begin with."""

    def scorer(self, outputs: int = 1, keeps: str | None = None) -> Scorer:
        """The scorer to train."""
        return Scorer.load(self.source, self.config, seed=self.config.seed)


class Marks:
    """A keeper in the place of the loop's checkpoints: the loop asks after each step whether one is due."""

    latest = ""

    def __init__(self, keeper: Keeper, steps_a_mark: int) -> None:
        self.keeper, self.steps_a_mark = keeper, steps_a_mark

    def restore(self, *_: object) -> int:
        """Begin at step 0."""
        self.keeper.begin()
        return 0

    def due(self, step: int) -> bool:
        """Keep the model where that is due; no checkpoint is."""
        if step % self.steps_a_mark == 0:
            self.keeper.after(step // self.steps_a_mark)
        return False

    def save(self, *_: object) -> None:
        """Save nothing."""


def reward_of(task: Path) -> RewardFn:
    """The true reward of a task, as a function of prompts and responses."""
    worth = task_of(task).reward

    def reward(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
        asked = zip(prompts, responses, strict=True)
        return torch.tensor([worth(prompt.instruction, text) for prompt, text in asked])

    return reward


def data(kind: str, task: Path, method: str) -> Data[Any]:
    """The records that a method learns from."""
    if kind == "demonstrations":
        rows = read(task, "demonstrations")
        return Data([Demonstration(Prompt(row["prompt"]), row["response"]) for row in rows])
    if kind == "instructions":
        return Data([Prompt(row["prompt"]) for row in read(task, "prompts")])
    told = learnt_pairs(task, method)
    pairs = [PreferencePair(Prompt(asked), chosen, other, 1.0) for asked, chosen, other in told]
    return Data(judged_outputs(pairs) if kind == "judged" else pairs)


def run(job: dict[str, Any]) -> dict[str, object]:
    """Train the run of a job. Its models are kept in job["out"]; step and seconds of each are returned."""
    name, seed, task, out = job["method"], job["seed"], Path(job["task"]), Path(job["out"])
    trainer = load(name)
    a_rollout = job["options"].get("rollout_epochs", 1) * job["options"].get("minibatches", 1)
    given = {**job["options"], "seed": seed, "max_steps": job["steps"] * a_rollout}
    config: TrainConfig = build(trainer.Config, given, where=[job["arm"]])
    models = Models(
        str(start(task, job["start"], seed)),
        config,
        reward=reward_of(task),
        value=str(start(task, "scorer", seed)) if name == "ppo" else None,
    )
    method: Method[Any] = trainer(config, data(trainer.data_kind, task, name), models)

    def save(folder: Path) -> None:
        method.product.save(folder)
        if name == "ppo":
            method.value.save(folder / "value")  # type: ignore[attr-defined]

    # the reference's log-probabilities are known before the clock starts
    if trainer.data_kind in ("pairs", "judged") and name != "tr_dpo":
        for _ in method.feed.batches(0):
            pass
    keeper = Keeper(out, job["steps"], job["marks"], save)
    fit(method, config, lambda *_: None, Marks(keeper, a_rollout))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return {"kept": keeper.whole(), "versions": versions}


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    answer_jobs(run, answers)
