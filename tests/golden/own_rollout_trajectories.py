"""Write vectors/own_rollout_trajectories.json: 20 steps of each method that learns from its own rollouts.

    PYTHONPATH=. python tests/golden/own_rollout_trajectories.py

It holds a trajectory of today, not one known to be right: that it changed is to be seen and explained.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers

HERE = Path(__file__).parent
OUT = HERE / "vectors" / "own_rollout_trajectories.json"
OPTIONS: dict[str, dict[str, Any]] = {
    "rloo": {},
    "grpo": {"rollout_epochs": 2},
    "ppo": {"rollout_epochs": 2, "minibatches": 2, "kl_target": 0.5, "value_warmup": 1, "lam": 0.95},
    "quark": {"rollout_epochs": 2},
}
COMMON = {"epochs": 20.0, "max_steps": 20, "learning_rate": 1e-3, "missing_eos_penalty": 0.5}
METRICS = ("loss", "grad_norm", "objective/scores", "objective/kl")


def environment() -> dict[str, str]:
    return {"torch": torch.__version__, "transformers": transformers.__version__}


def trajectory(log: list[dict[str, float]]) -> dict[str, list[float]]:
    """The metrics of every step; the last line of a log, where held-out prompts are evaluated, is one."""
    return {metric: [line[metric] for line in log] for metric in METRICS if metric in log[0]}


def main() -> None:
    from tests.support.on_policy import PROMPTS, trained_on
    from tests.support.tiny_models import write_model

    with tempfile.TemporaryDirectory() as name:
        model = str(write_model(Path(name)))
        found = {
            method: trajectory(trained_on(method, model, PROMPTS, **COMMON, **options).log)
            for method, options in OPTIONS.items()
        }
    made = {"made_by": "tests/golden/own_rollout_trajectories.py", **environment()}
    OUT.write_text(json.dumps(made | {"cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
