"""Annotating ledgers of made-up pairs by the simulated provider: in process, or as the command does it."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import func, select

from annotators.simulator import Simulator
from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.records import Instruction, Output, Pair
from farm.annotate import AnnotateReport, annotate
from farm.judging.provider import Provider, Task
from tests.support.command_line import farm_arguments

FULL = bool(os.environ.get("FARM_FULL"))


def fill(path: Path | str, pairs: int) -> None:
    """A new ledger of so many pairs."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        made = []
        for i in range(pairs):
            instruction = Instruction(f"Say something about the number {i}.")
            texts = (f"It is {i}." + " Indeed." * (i % 5), f"{i} follows {i - 1}." + " So there." * (i % 3))
            made.append(Pair.of(*(Output(instruction, text, f"m{k}") for k, text in enumerate(texts)))[0])
        writer.pairs(made)


def silent(name: str, done: int) -> None:
    pass


def run(
    ledger: Ledger, simulator: Simulator, name: str = "plain", task: Task | None = None, **options: object
) -> AnnotateReport:
    """Judge in this process. options: of Provider."""
    provider = Provider(base_url=simulator.base_url, **options)  # type: ignore[arg-type]
    return annotate(ledger, name, task or Task(), silent, provider)


def command(ledger: Path | str, simulator: Simulator, name: str, *options: str) -> list[str]:
    """Judge by the command line."""
    return farm_arguments(ledger, "annotate", name, "--base-url", simulator.base_url, *options)


def verdicts(ledger: Ledger) -> dict[tuple[object, ...], float | None]:
    """Preferences by annotator, question, replicate and order."""
    rows = preference_rows(ledger, RowFilter())
    return {(r.annotator, r.item_id, r.replicate, r.order_swapped): r.preference for r in rows}


def count(ledger: Ledger, table: object) -> int:
    """Rows of a table."""
    with ledger.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]
