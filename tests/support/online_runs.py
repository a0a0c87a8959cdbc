"""Runs of online methods on a ledger of sums, judged by annotators of every kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from sqlalchemy import func, select

from annotators.simulator import Simulator
from db.ledger import Ledger
from db.records import Membership
from db.tables import COMPLETION
from farm.judging.provider import Provider
from farm.train import TrainReport, TrainTask, train
from farm.training.checkpoint import whole_checkpoints
from tests.support.judged_sums import write_sums

OPTIONS = {
    "max_steps": "6",
    "epochs": "3",
    "batch_size": "8",
    "max_new_tokens": "6",
    "max_length": "128",
    "learning_rate": "1e-3",
    "log_every": "1",
    "device": "cpu",
}
"""Six rollouts of eight pairs."""


def ledger_of_sums(url: Path | str) -> None:
    """A new ledger with forty sums in the set `sums`."""
    with Ledger.open(url, create=True) as ledger, ledger.writing() as writer:
        for right in write_sums(writer):
            writer.memberships([Membership(right.instruction, "sums")])


def task(model: str, folder: Path, simulator: Simulator | None = None, **given: object) -> TrainTask:
    """A run with a judge. simulator: where it is asked."""
    provider = given.pop("provider", Provider(base_url=simulator.base_url) if simulator else Provider())
    told = {"set_name": "sums", "held_out": 0.0, "annotator": "plain", "provider": provider, **given}
    return TrainTask(model, folder, **told)  # type: ignore[arg-type]


def capped(wanted: TrainTask, **caps: Any) -> TrainTask:
    """The task with other caps of its provider."""
    return replace(wanted, provider=replace(wanted.provider, **caps))


def learnt(ledger: Ledger, wanted: TrainTask, method: str = "online_dpo", **options: str) -> TrainReport:
    """Train in this process."""
    return train(ledger, method, wanted, None, {**OPTIONS, **options})


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of the last checkpoint."""
    return load_file(whole_checkpoints(folder)[-1] / "model" / "model.safetensors")


def same_bits(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights."""
    first, second = weights(one), weights(other)
    return all(torch.equal(value, second[name]) for name, value in first.items())


class Paid(NamedTuple):
    """What the ledger says that judgements took. cost: US dollars."""

    requests: int
    tokens: int  # of prompts
    cost: float


def paid(ledger: Ledger) -> Paid:
    """The sum over all completions."""
    sums = [func.coalesce(func.sum(COMPLETION.c[name]), 0) for name in ("sendings", "prompt_tokens", "cost")]
    with ledger.reading() as connection:
        requests, tokens, cost = connection.execute(select(*sums)).one()
    return Paid(int(requests), int(tokens), round(cost, 9))  # sums of floats depend on their order
