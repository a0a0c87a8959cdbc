"""Trains one method on made-up data in a process of its own, to be killed, or shared out by torchrun.

    python train_script.py METHOD MODEL FOLDER [option=value ...]

Prints a line for every step's metrics, which are written to FOLDER/log.jsonl too by the first process.
Several methods, with commas between them, are trained one after the other, each in FOLDER/METHOD.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from db.records import Turn, TurnRole
from farm.config import build
from farm.methods import load
from farm.models.reward_wrappers import WeightedRewards
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.constraints import ComparedJudge
from farm.training.conversions import MADE
from farm.training.data import AskedPair, Data, Demonstration, PreferencePair
from farm.training.loop import fit
from farm.training.method import DataKind, PairJudge
from farm.training.processes import Processes
from farm.training.run_models import ConstraintSource, LoadedModels

DEFAULTS = {"epochs": 3, "batch_size": 8, "micro_batch": 2, "learning_rate": 3e-3, "log_every": 1}


def records(kind: DataKind, count: int = 30) -> list[object]:
    prompts = [Prompt(f"say {i}") for i in range(count)]
    if kind == "instructions":
        return list(prompts)
    if kind == "demonstrations":
        return [Demonstration(p, "hello " * (1 + i % 4)) for i, p in enumerate(prompts)]
    if kind == "questions":
        told = [(Turn(TurnRole.USER, f"{p.instruction}: A yes, B no"),) for p in prompts]
        return [AskedPair(each, ("A", "B"), [1.0, 0.0, 0.7][i % 3]) for i, each in enumerate(told)]
    found: list[object] = [
        PreferencePair(p, "yes " * (1 + i % 3), f"no {i}", [1.0, 0.0, 0.7][i % 3], reference=f"yes {i}")
        for i, p in enumerate(prompts)
    ]
    return list(MADE["pairs", kind](found)) if kind not in ("pairs", "referenced") else found


TEACHER = os.environ.get("TEACHER")  # a model's folder
NAN = os.environ.get("NAN_REWARD")  # the prompt whose responses have no number for a reward


def letters(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """How many characters of a response are lower-case letters."""
    counts = [float(sum(c.islower() for c in text)) for text in responses]
    return torch.tensor(
        [math.nan if p.instruction == NAN else n for p, n in zip(prompts, counts, strict=True)]
    )


def even(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    """Whether a response has an even number of characters."""
    return torch.tensor([float(len(text) % 2 == 0) for text in responses])


def longer(number: int) -> PairJudge:
    """A judge of pairs that prefers what has more characters."""

    def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> torch.Tensor:
        leads = [len(a) - len(b) for a, b in zip(first, second, strict=True)]
        return torch.tensor([0.5 + 0.5 * ((lead > 0) - (lead < 0)) for lead in leads])

    return judge


def train(
    name: str, model: str, folder: Path, options: Mapping[str, object], processes: Processes | None = None
) -> None:
    processes = processes or Processes()
    method_class = load(name)
    config = build(method_class.Config, DEFAULTS, options)
    data = Data(records(method_class.data_kind), records(method_class.data_kind, 5), processes)
    reward = WeightedRewards([letters, even], [1.0, 0.5]) if name == "gdpo" else letters
    models = LoadedModels(
        model,
        config,
        reward=reward,
        teacher=TEACHER,
        token_reward=TEACHER,
        constraints=[ConstraintSource(even)],
        compared=[ComparedJudge(longer)] if name == "crraft" else [],
        keep=folder / "reference",
    )
    method = method_class(config, data, models)

    def log(step: int, metrics: Mapping[str, float]) -> None:
        if processes.rank == 0:
            with (folder / "log.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
            print("step", step, flush=True)

    folder.mkdir(parents=True, exist_ok=True)
    fit(method, config, log, RunFolder(folder / "run", config, processes), processes)


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = dict(argument.split("=", 1) for argument in sys.argv[4:])
    with Processes.joined() as processes:
        names, into = sys.argv[1].split(","), Path(sys.argv[3])
        for name in names:
            train(name, sys.argv[2], into / name if names[1:] else into, given, processes)
