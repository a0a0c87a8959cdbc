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
from farm.progress import silent as silent
from tests.support.command_line import farm_arguments

FULL = bool(os.environ.get("FARM_FULL"))


def fill(path: Path | str, pairs: int) -> None:
    """A new ledger of so many pairs."""
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        asked = [Instruction(f"Say something about the number {i}.") for i in range(pairs)]
        writer.pairs([answers(each, i, end=" So there." * (i % 3)) for i, each in enumerate(asked)])


def answers(asked: Instruction, number: int, end: str = "") -> Pair:
    """Two answers about a number, of the models m0 and m1. end: the end of the second."""
    texts = (f"It is {number}." + " Indeed." * (number % 5), f"{number} follows {number - 1}.{end}")
    return Pair.of(*(Output(asked, text, f"m{k}") for k, text in enumerate(texts)))[0]


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
