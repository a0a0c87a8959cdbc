"""Trains a reward model of each kind, and asks it about pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from annotators.spec import AnnotatorSpec
from benchmarks.reward_models_places import Place, judge_spec
from db.queries.training import Labelled
from farm.config import ModelConfig, TrainConfig, build
from farm.methods import load
from farm.models.rewards import load_margins
from farm.models.scorer import ScorerReward
from farm.models.tokens import Prompt
from farm.runs.records import asked_pairs
from farm.training.checkpoint import MODEL, RunFolder, whole_checkpoints
from farm.training.conversions import MADE
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.run_models import LoadedModels

KINDS: dict[str, dict[str, object]] = {
    "reward_model": {},
    "reward_regression": {},
    "implicit_prm": {"beta": 0.5},
    "pair_model": {},
    "general_preference": {},
    "genrm": {},
}
SHARED: dict[str, object] = {"batch_size": 16, "learning_rate": 5e-4, "max_length": 128, "log_every": 1000}
MEMBERS = 4  # of an ensemble


class Learnt(NamedTuple):
    """A trained model. margins: log-odds that output_a of each pair is preferred, (n,). model: its folder."""

    margins: Callable[[Sequence[Labelled]], Tensor]
    model: str


def trained(kind: str, place: Place, size: int, options: Mapping[str, object], seed: int = 0) -> Learnt:
    """A reward model of this kind that has learnt from the first `size` pairs."""
    trainer, rows = load(kind), place.train[:size]
    config = build(trainer.Config, {**SHARED, **KINDS[kind], **options, "seed": seed})
    records: list[Any] = [
        PreferencePair(Prompt.of(row.instruction), row.output_a, row.output_b, row.label) for row in rows
    ]
    if kind == "genrm":
        spec = judge_spec(place.folder / "brief")
        records = [record for _, record in asked_pairs(rows, spec)]
    elif ("pairs", trainer.data_kind) in MADE:
        records = list(MADE["pairs", trainer.data_kind](records))
    method, folder = fitted(kind, place, records, config)
    if kind == "genrm":
        return Learnt(partial(verdict_margins, method, spec), "")
    model = str(whole_checkpoints(folder)[-1] / MODEL)
    return Learnt(partial(margins_of, model), model)


def fitted(name: str, place: Place, records: Sequence[Any], config: TrainConfig) -> tuple[Any, Path]:
    """A method that has learnt from these records, and the folder of its run."""
    method = load(name)(config, Data(records), LoadedModels(place.model, config))
    folder = place.folder / f"{name}-{len(records)}-{time.monotonic_ns()}"
    fit(method, config, lambda *_: None, RunFolder(folder, config))
    return method, folder


def scoring(name: str, place: Place, records: Sequence[Any], options: Mapping[str, object]) -> ScorerReward:
    """The score of a model that has learnt from these records, by any method that trains a scorer."""
    method, _ = fitted(name, place, records, build(load(name).Config, dict(options)))
    method.trained.eval()
    return ScorerReward(method.scorer)


def margins_of(model: str, rows: Sequence[Labelled]) -> Tensor:
    """What a folder says of pairs."""
    prompts = [Prompt.of(row.instruction) for row in rows]
    margins = load_margins(model, ModelConfig())
    return margins(prompts, [row.output_a for row in rows], [row.output_b for row in rows])


@torch.no_grad()
def verdict_margins(method: Any, spec: AnnotatorSpec, rows: Sequence[Labelled]) -> Tensor:
    """What a genrm says of pairs: half the difference of its log-odds in both orders."""
    method.policy.eval()
    asked = method.rows([record for _, record in asked_pairs(rows, spec)])
    found = []
    for at in range(0, len(asked), 64):
        said = method.said(method.batch(asked[at : at + 64]))
        found.append(said.first - said.second)
    ahead, behind = torch.cat(found).view(-1, 2).unbind(-1)
    return (ahead - behind) / 2
