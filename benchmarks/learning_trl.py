"""TRL's side of learning.py: trains the runs that come on standard input as lines of JSON. Needs trl."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
import trl
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning_side import Keeper
from benchmarks.learning_tasks import learnt_pairs, read, start, task_of
from benchmarks.trainer_side import answer_jobs

QUIET = {
    "report_to": "none", "save_strategy": "no", "logging_steps": 10, "disable_tqdm": True, "use_cpu": True,
    "dataloader_pin_memory": False,
}  # fmt: skip


UNPAIRED = ("kto", "apo_zero_unpaired")
GROUPS = ("grpo", "dr_grpo", "gspo", "cispo")
ON_POLICY = ("rloo", *GROUPS)
TRAINERS = {
    "sft": (trl.SFTConfig, trl.SFTTrainer),
    "reward_model": (trl.RewardConfig, trl.RewardTrainer),
    "cpo": (CPOConfig, CPOTrainer),
    "simpo": (CPOConfig, CPOTrainer),
    "orpo": (ORPOConfig, ORPOTrainer),
    "rloo": (trl.RLOOConfig, trl.RLOOTrainer),
    **dict.fromkeys(UNPAIRED, (trl.KTOConfig, trl.KTOTrainer)),
    **dict.fromkeys(GROUPS, (trl.GRPOConfig, trl.GRPOTrainer)),
}
"""TRL's trainer of a method; of all others, DPOTrainer."""


class Marks(TrainerCallback):
    """A keeper that TRL's trainers call."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Keep the model of step 0."""
        self.keeper.begin()

    def on_step_end(self, args: object, state: Any, control: object, **_: object) -> None:
        """Keep the model where that is due."""
        self.keeper.after(state.global_step)


def reward_of(task: Path) -> Callable[..., list[float]]:
    """The true reward of a task, as TRL calls it."""
    worth = task_of(task).reward

    def reward(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [worth(*each) for each in zip(prompts, completions, strict=True)]

    return reward


def rows(task: Path, method: str, seed: int) -> datasets.Dataset:
    """The rows that a method learns from. A response has the space before it, which the tokens hold."""
    if method in ON_POLICY:
        return datasets.Dataset.from_list([{"prompt": row["prompt"]} for row in read(task, "prompts")])
    if method == "sft":
        shown = read(task, "demonstrations")
        found = [{"prompt": row["prompt"], "completion": f" {row['response']}"} for row in shown]
        return datasets.Dataset.from_list(found)
    pairs = [(asked, f" {chosen}", f" {other}") for asked, chosen, other in learnt_pairs(task, method)]
    if method in UNPAIRED:  # TRL takes these in order
        judged = [
            {"prompt": asked, "completion": text, "label": good}
            for asked, *both in pairs
            for text, good in zip(both, (True, False), strict=True)
        ]
        return datasets.Dataset.from_list(judged).shuffle(seed=seed)
    return datasets.Dataset.from_list(
        [{"prompt": asked, "chosen": chosen, "rejected": other} for asked, chosen, other in pairs]
    )


def trainer(job: dict[str, Any], began: Path, out: str) -> tuple[Any, Callable[[Path], None]]:
    """TRL's trainer of a job, and what writes its present model to a folder."""
    method, task = job["method"], Path(job["task"])
    options = {**QUIET, **job["options"], "output_dir": out, "seed": job["seed"], "data_seed": job["seed"]}
    if method == "ppo":
        return ppo(job, options, out)
    options["max_steps"] = job["steps"]
    reader = AutoTokenizer.from_pretrained(began)
    reader.bos_token = None  # neither task's texts begin with one, and some trainers would put it
    kind = AutoModelForSequenceClassification if method == "reward_model" else AutoModelForCausalLM
    model, data = kind.from_pretrained(began, dtype=torch.float32), rows(task, method, job["seed"])
    common = {"model": model, "train_dataset": data, "processing_class": reader}
    config, made = TRAINERS.get(method, (trl.DPOConfig, trl.DPOTrainer))
    if method in UNPAIRED or method not in TRAINERS:
        common["ref_model"] = kind.from_pretrained(began, dtype=torch.float32)
    elif method in ON_POLICY:
        common["reward_funcs"] = reward_of(task)
    return made(args=config(**options), **common), model.save_pretrained


def ppo(job: dict[str, Any], options: dict[str, Any], out: str) -> tuple[Any, Callable[[Path], None]]:
    """The trainer of PPO, which TRL 1.12 has. Its reward model is replaced by the true reward."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer
    from trl.experimental.utils import get_reward

    task, seed = Path(job["task"]), job["seed"]
    known = task_of(task)
    scored, base = start(task, "scorer", seed), start(task, "base", seed)
    reader = AutoTokenizer.from_pretrained(base, padding_side="left")
    prompts = [row["prompt"] for row in read(task, "prompts")]
    asked = datasets.Dataset.from_list([{"input_ids": reader(prompt)["input_ids"]} for prompt in prompts])
    policy, reference = (AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32) for _ in range(2))
    value, judge = (
        AutoModelForSequenceClassification.from_pretrained(scored, num_labels=1, dtype=torch.float32)
        for _ in range(2)
    )

    def score(model: Any, ids: torch.Tensor, pad: int, prompt: int) -> Any:
        if model is not judge:
            return get_reward(model, ids, pad, prompt)
        both = ([known.said(row) for row in part.tolist()] for part in (ids[:, :prompt], ids[:, prompt:]))
        return None, torch.tensor([known.reward(*each) for each in zip(*both, strict=True)]), None

    ppo_trainer.get_reward = score
    batch = options["per_device_train_batch_size"]
    config = PPOConfig(
        **options, total_episodes=batch * job["steps"], stop_token="eos", num_sample_generations=0
    )
    made = PPOTrainer(
        args=config, processing_class=reader, model=policy, ref_model=reference, reward_model=judge,
        value_model=value, train_dataset=asked, eval_dataset=asked.select(range(batch)), callbacks=[],
    )  # fmt: skip

    def save(folder: Path) -> None:
        policy.save_pretrained(folder)
        value.save_pretrained(folder / "value")

    return made, save


def run(job: dict[str, Any]) -> dict[str, object]:
    """Train the run of a job. Its models are kept in job["out"]; step and seconds of each are returned.

    scores: of ppo, the mean score of each rollout.
    """
    began = start(Path(job["task"]), job["start"], job["seed"])
    transformers.set_seed(job["seed"])
    with tempfile.TemporaryDirectory() as out:
        made, save = trainer(job, began, out)
        keeper = Keeper(Path(job["out"]), job["steps"], job["marks"], save)
        made.add_callback(Marks(keeper))
        made.train()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__}
    scores = [line["objective/scores"] for line in made.state.log_history if "objective/scores" in line]
    return {"kept": keeper.whole(), "versions": versions, "scores": scores}


if __name__ == "__main__":
    datasets.disable_progress_bars()
    answers, sys.stdout = sys.stdout, sys.stderr  # trainers print their logs to standard output
    answer_jobs(run, answers)
