"""Runs of rounds on a ledger of sums, judged by the simulated provider."""

from __future__ import annotations

from pathlib import Path

from annotators.simulator import Simulator
from db.ledger import Ledger
from farm.judging.provider import Provider
from farm.options.rounds import Rounds
from farm.rounds.run import RoundsReport, train_in_rounds
from farm.train import TrainTask

OPTIONS = {
    "max_steps": "2",
    "batch_size": "8",
    "max_length": "128",
    "learning_rate": "1e-3",
    "log_every": "1",
    "device": "cpu",
}
ROUNDS = Rounds(2, prompts=8, draws=3, max_new_tokens=6)
"""Two rounds of eight instructions and three draws: 24 pairs each."""


def task(model: str, folder: Path, simulator: Simulator | None, **given: object) -> TrainTask:
    """A run of rounds. simulator: where the annotator is asked."""
    provider = Provider(base_url=simulator.base_url) if simulator else Provider()
    told = {"set_name": "sums", "held_out": 0.0, "annotator": "plain", "provider": provider, **given}
    return TrainTask(model, folder, **{"rounds": ROUNDS, **told})  # type: ignore[arg-type]


def learnt(ledger: Ledger, wanted: TrainTask, method: str = "dpo", **options: str) -> RoundsReport:
    """Train in this process."""
    return train_in_rounds(ledger, method, wanted, None, {**OPTIONS, **options})
