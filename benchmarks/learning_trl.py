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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.learning_side import Keeper
from benchmarks.learning_task import read, said, start, true_reward
from benchmarks.trainer_side import answer_jobs

QUIET = {
    "report_to": "none", "save_strategy": "no", "logging_steps": 10, "disable_tqdm": True, "use_cpu": True,
    "dataloader_pin_memory": False,
}  # fmt: skip


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


def reward(completions: list[str], **_: object) -> list[float]:
    """The true reward of each response."""
    return [true_reward(text) for text in completions]


def rows(task: Path, method: str) -> datasets.Dataset:
    """The rows that a method learns from. Only the reward model gets the noisy labels."""
    if method in ("rloo", "grpo"):
        return datasets.Dataset.from_list([{"prompt": row["prompt"]} for row in read(task, "prompts")])
    if method == "sft":
        return datasets.Dataset.from_list(
            [
                {"prompt": f"{row['prompt']} ", "completion": row["response"]}
                for row in read(task, "demonstrations")
            ]
        )
    found = []
    for row in read(task, "pairs"):
        chosen, rejected = row["better"], row["worse"]
        if method == "reward_model" and row["flipped"]:
            chosen, rejected = rejected, chosen
        found.append({"prompt": f"{row['prompt']} ", "chosen": chosen, "rejected": rejected})
    return datasets.Dataset.from_list(found)


def trainer(job: dict[str, Any], began: Path, out: str) -> tuple[Any, Callable[[Path], None]]:
    """TRL's trainer of a job, and what writes its present model to a folder."""
    method, task = job["method"], Path(job["task"])
    options = {**QUIET, **job["options"], "output_dir": out, "seed": job["seed"], "data_seed": job["seed"]}
    reader = AutoTokenizer.from_pretrained(began)
    if method == "ppo":
        return ppo(job, options, out)
    options["max_steps"] = job["steps"]
    kind = AutoModelForSequenceClassification if method == "reward_model" else AutoModelForCausalLM
    model = kind.from_pretrained(began, dtype=torch.float32)
    common = {"model": model, "train_dataset": rows(task, method), "processing_class": reader}
    if method == "sft":
        made = trl.SFTTrainer(args=trl.SFTConfig(**options), **common)
    elif method == "reward_model":
        made = trl.RewardTrainer(args=trl.RewardConfig(**options), **common)
    elif method in ("dpo", "ipo"):
        reference = kind.from_pretrained(began, dtype=torch.float32)
        made = trl.DPOTrainer(args=trl.DPOConfig(**options), ref_model=reference, **common)
    elif method == "rloo":
        made = trl.RLOOTrainer(args=trl.RLOOConfig(**options), reward_funcs=reward, **common)
    else:
        made = trl.GRPOTrainer(args=trl.GRPOConfig(**options), reward_funcs=reward, **common)
    return made, model.save_pretrained


def ppo(job: dict[str, Any], options: dict[str, Any], out: str) -> tuple[Any, Callable[[Path], None]]:
    """The trainer of PPO, which TRL 1.12 has. Its reward model is replaced by the true reward."""
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer
    from trl.experimental.utils import get_reward

    task, seed = Path(job["task"]), job["seed"]
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
        texts = [said(row) for row in ids[:, prompt:].tolist()]
        return None, torch.tensor([true_reward(text) for text in texts]), None

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
