"""TRL's side of trainers.py: runs the jobs that come on standard input as lines of JSON. Needs trl alone."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
import trl
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.trainer_side import JOB, ROLLOUTS, StepClock, answer_jobs, step_and_peak

Row = dict[str, Any]
GROUPS: dict[str, Row] = {
    "rloo": {"beta": 0.05},
    "grpo": {"beta": 0.05},
    "dapo": {"beta": 0.0, "loss_type": "dapo", "epsilon_high": 0.28},
    "gspo": {
        "beta": 0.0, "loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 3e-4,
        "epsilon_high": 4e-4,
    },
}  # fmt: skip


class Clock(StepClock, TrainerCallback):
    """A clock that TRL's trainers call."""

    def on_train_begin(self, *_: object, **__: object) -> None:
        """Note the time."""
        self.mark()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Note the time."""
        self.mark()


def trainer(
    name: str, folder: Path, *, steps: int, precision: str, batch: int, compile: bool, out: str, clock: Clock
) -> Any:
    """TRL's trainer of this name on the data and models in the folder."""
    model_dir = folder / "model"
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    settings = {
        "output_dir": out, "per_device_train_batch_size": batch, "max_steps": steps, "learning_rate": 1e-5,
        "gradient_checkpointing": False, "bf16": precision == "bf16", "report_to": "none",
        "save_strategy": "no", "logging_steps": 10, "disable_tqdm": True, "max_length": 512,
        "use_cpu": not torch.cuda.is_available(), "torch_compile": compile,
    }  # fmt: skip
    common = {"processing_class": AutoTokenizer.from_pretrained(model_dir), "callbacks": [clock]}
    lm = partial(AutoModelForCausalLM.from_pretrained, model_dir, dtype=torch.float32)
    if name == "sft":
        data = datasets.Dataset.from_list(
            [{"prompt": r["prompt"] + " ", "completion": r["chosen"]} for r in rows]
        )
        return trl.SFTTrainer(lm(), args=trl.SFTConfig(**settings), train_dataset=data, **common)
    spaced = datasets.Dataset.from_list([row | {"prompt": row["prompt"] + " "} for row in rows])
    if name in ("dpo", "dpo_online"):
        config = trl.DPOConfig(precompute_ref_log_probs=name == "dpo", beta=0.1, **settings)
        return trl.DPOTrainer(lm(), ref_model=lm(), args=config, train_dataset=spaced, **common)
    if name in ("simpo", "cpo", "orpo"):
        return without_reference(name, lm(), spaced, settings, common)
    if name == "kto":
        sides = {"chosen": True, "rejected": False}
        judged = [
            {"prompt": f"{row['prompt']} ", "completion": row[side], "label": good}
            for row in rows
            for side, good in sides.items()
        ]
        config = trl.KTOConfig(precompute_ref_log_probs=True, beta=0.1, **settings)
        data = datasets.Dataset.from_list(judged)
        return trl.KTOTrainer(lm(), ref_model=lm(), args=config, train_dataset=data, **common)
    if name in ROLLOUTS:
        return own_rollouts(name, folder, steps, batch, rows, settings, common)
    scorer = AutoModelForSequenceClassification.from_pretrained(model_dir, num_labels=1, dtype=torch.float32)
    return trl.RewardTrainer(scorer, args=trl.RewardConfig(**settings), train_dataset=spaced, **common)


def without_reference(name: str, model: Any, data: Any, settings: Row, common: Row) -> Any:
    """A trainer on pairs that needs no reference. SimPO is a loss of TRL's CPO."""
    if name == "orpo":
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer

        config = ORPOConfig(beta=0.1, **settings)
        return ORPOTrainer(model, args=config, train_dataset=data, **common)
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    own: Row = {"cpo_alpha": 1.0, "beta": 0.1}
    if name == "simpo":
        own = {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0}
    return CPOTrainer(model, args=CPOConfig(**own, **settings), train_dataset=data, **common)


def mean_word(completion_ids: list[list[int]], **_: object) -> list[float]:
    """A reward that costs nothing: the mean of a response's token ids, each modulo 7."""
    return [sum(i % 7 for i in ids) / max(1, len(ids)) for ids in completion_ids]


def own_rollouts(
    name: str,
    folder: Path,
    steps: int,
    batch: int,
    rows: list[dict[str, Any]],
    settings: dict[str, Any],
    common: dict[str, Any],
) -> Any:
    """A trainer that draws its own responses: in each step `batch` responses of 64 tokens."""
    lm = partial(AutoModelForCausalLM.from_pretrained, folder / "model", dtype=torch.float32)
    settings.pop("max_length")
    if name == "online_dpo":
        from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

        # a batch of so many prompts, two responses each; max_length counts prompt and response
        drawn = {"max_new_tokens": 64, "max_length": 512, "beta": 0.1, "temperature": 0.9}
        settings["per_device_train_batch_size"] = batch // 2
        data = datasets.Dataset.from_list([{"prompt": row["prompt"]} for row in rows])
        return OnlineDPOTrainer(
            lm(), ref_model=lm(), reward_funcs=mean_word, args=OnlineDPOConfig(**drawn, **settings),
            train_dataset=data, **common,
        )  # fmt: skip
    if name in GROUPS:
        data = datasets.Dataset.from_list([{"prompt": row["prompt"]} for row in rows])
        drawn = {"num_generations": 4, "max_completion_length": 64, **GROUPS[name]}
        trainer, config = (
            (trl.RLOOTrainer, trl.RLOOConfig) if name == "rloo" else (trl.GRPOTrainer, trl.GRPOConfig)
        )
        return trainer(
            lm(), reward_funcs=mean_word, args=config(**drawn, **settings), train_dataset=data, **common
        )
    from trl.experimental.ppo import PPOConfig, PPOTrainer  # TRL 1.12 alone has it

    settings.pop("max_steps")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model", padding_side="left")
    data = datasets.Dataset.from_list([{"input_ids": tokenizer(row["prompt"])["input_ids"]} for row in rows])
    scorer = partial(
        AutoModelForSequenceClassification.from_pretrained,
        folder / "reward",
        num_labels=1,
        dtype=torch.float32,
    )
    config = PPOConfig(
        response_length=64, total_episodes=batch * steps, num_ppo_epochs=1, num_mini_batches=1, kl_coef=0.05,
        local_rollout_forward_batch_size=batch, temperature=1.0, stop_token="eos", num_sample_generations=0,
        gradient_accumulation_steps=1, **settings,
    )  # fmt: skip
    return PPOTrainer(
        args=config, processing_class=tokenizer, model=lm(), ref_model=lm(), reward_model=scorer(),
        value_model=scorer(), train_dataset=data, eval_dataset=data.select(range(batch)),
        callbacks=common["callbacks"],
    )  # fmt: skip


def run(job: dict[str, Any]) -> dict[str, object]:
    """The median step in seconds, peak memory in MB, the version of what ran."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        options = {key: job[key] for key in JOB}
        trainer(job["method"], Path(job["folder"]), **options, out=out, clock=clock).train()
    return {**step_and_peak(clock), "trl": trl.__version__}


if __name__ == "__main__":
    datasets.disable_progress_bars()
    answers, sys.stdout = sys.stdout, sys.stderr  # trainers print their logs to standard output
    answer_jobs(run, answers)
