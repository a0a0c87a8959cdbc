"""Ledgers of judged models in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from db.interchange.preferences import instruction_id
from db.ledger import Ledger
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Instruction,
    Membership,
    Output,
    Pair,
)

JUDGE = AnnotatorCard("judge", AnnotatorKind.LLM)
Verdict = float | None  # P(the model preferred); None: unreadable
REFERENCE = "reference"
N = 60
_rng = np.random.default_rng(0)
BETTER = {i: float(value) for i, value in enumerate(_rng.choice([0.0, 0.5, 1.0], N, p=[0.2, 0.1, 0.7]))}
WORSE = {i: float(value) for i, value in enumerate(_rng.choice([0.0, 0.5, 1.0], N, p=[0.7, 0.1, 0.2]))}
"""Verdicts on N instructions, of a model that is often better than the reference and of one that is not."""


def asked(i: int) -> Instruction:
    return Instruction(f"Instruction {i}.")


def text(model: str, i: int) -> str:
    """An answer whose length depends on model and instruction."""
    return f"{model} " + "says more " * ((3 * i + len(model)) % 7)


def judge(
    path: Path,
    verdicts: Mapping[str, Mapping[int, Verdict] | Sequence[Verdict]],
    annotator: AnnotatorCard = JUDGE,
    reference: str = REFERENCE,
    replicate: int = 0,
) -> None:
    """Add an annotator's verdicts by model and number of the instruction."""
    facts: list[tuple[Pair, bool, Verdict]] = []
    for model, given in verdicts.items():
        for i, value in given.items() if isinstance(given, Mapping) else enumerate(given):
            outputs = [Output(asked(i), text(name, i), name) for name in (model, reference)]
            facts.append((*Pair.of(*outputs), value))
    with Ledger.open(path, create=not path.exists()) as ledger, ledger.writing() as writer:
        [who] = writer.annotators([annotator])
        ids = writer.pairs([pair for pair, _, _ in facts])
        rows = []
        for number, (_, flipped, value) in zip(ids, facts, strict=True):
            if value is None:
                rows.append(
                    Annotation(number, who, None, None, None, AnnotationStatus.UNREADABLE, "no verdict")
                )
            else:
                first = 1 - value if flipped else value
                rows.append(Annotation(number, who, first, first, None, replicate=replicate))
        writer.annotations(rows)


def name_set(path: Path, n: int, name: str = "set", categories: Mapping[int, str] | None = None) -> None:
    """Make the first n instructions a named set."""
    given = categories or {}
    with Ledger.open(path, create=not path.exists()) as ledger, ledger.writing() as writer:
        writer.memberships(
            [Membership(asked(i), name, category=given.get(i), name=f"{name}-{i}") for i in range(n)]
        )


def long(table: pd.DataFrame) -> pd.DataFrame:
    """A table of instructions and models as one row per judgement."""
    rows = table.rename_axis(index="instruction", columns="model")
    return rows.reset_index().melt("instruction", value_name="preference").dropna(ignore_index=True)


def judged_row(model: str, i: int, who: str, reference: str) -> dict[str, Any]:
    """A person's preference for a model's output, the first, as a row of the format `preferences`."""
    return {
        "source": "study",
        "subset": None,
        "item_id": f"{model}-{i}",
        "instruction_id": instruction_id(f"Question {i}", ""),
        "instruction": f"Question {i}",
        "input": "",
        "output_1": f"{model} says " + "more " * ((7 * i + len(model) + ord(model[0])) % 11),
        "output_2": "something else " + "more " * (i % 5),
        "output_1_model": model,
        "output_2_model": reference,
        "annotator": who,
        "annotator_kind": "human",
        "preference": 1,
        "preference_raw": None,
        "order_swapped": False,
        "raw_completion": None,
        "scores": None,
        "meta": {},
    }
