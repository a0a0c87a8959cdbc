"""Judgements written by hand, as the frames that an audit reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from db.queries.frames import Judgements
from db.records import AnnotatorCard, AnnotatorKind
from farm.audit import AuditOptions, audit

NAN = float("nan")
FIRST, TIE, SECOND = 1.0, 0.5, 0.0
HUMAN, LLM, GOLD = AnnotatorKind.HUMAN, AnnotatorKind.LLM, AnnotatorKind.GOLD


@dataclass(frozen=True)
class Row:
    """A judgement; `who` is the annotator's name."""

    unit: int
    who: str
    preference: float
    swapped: int = -1
    price: float = NAN
    replicate: int = 0

    def mirrored(self) -> Row:
        """The judgement after the outputs have exchanged places."""
        swapped = self.swapped if self.swapped < 0 else 1 - self.swapped
        return replace(self, preference=1 - self.preference, swapped=swapped)


@dataclass(frozen=True)
class Question:
    """Features of a question."""

    lengths: tuple[int, int] = (100, 10)
    lists: tuple[bool, bool] = (False, False)
    source: str = "s"
    subset: str | None = None
    pair: int | None = None  # the number of its pair of texts; its own where it is None

    def mirrored(self) -> Question:
        """The question after the outputs have exchanged places."""
        return replace(self, lengths=self.lengths[::-1], lists=self.lists[::-1])


Kinds = Mapping[str, AnnotatorKind]


def frames(rows: Sequence[Row], questions: Sequence[Question], kinds: Kinds) -> Judgements:
    """The rows as the ledger would give them."""
    codes = {name: code for code, name in enumerate(kinds, 3)}
    judgements = pd.DataFrame(
        {
            "unit": np.array([row.unit for row in rows], dtype=np.int64),
            "annotator": np.array([codes[row.who] for row in rows], dtype=np.int64),
            "preference": np.array([row.preference for row in rows], dtype=np.float64),
            "swapped": np.array([row.swapped for row in rows], dtype=np.int8),
            "replicate": [row.replicate for row in rows],
            "price": np.array([row.price for row in rows], dtype=np.float64),
            "seconds": NAN,
        }
    )
    units = pd.DataFrame(
        {
            "unit": range(len(questions)),
            "pair_id": [
                place if question.pair is None else question.pair for place, question in enumerate(questions)
            ],
            "instruction_id": [
                place if question.pair is None else question.pair for place, question in enumerate(questions)
            ],
            "source": [question.source for question in questions],
            "subset": pd.Series([question.subset for question in questions], dtype=object),
            "length_1": [question.lengths[0] for question in questions],
            "length_2": [question.lengths[1] for question in questions],
            "list_1": [question.lists[0] for question in questions],
            "list_2": [question.lists[1] for question in questions],
            "identical": False,
        }
    )
    cards = tuple(AnnotatorCard(name, kind, id=codes[name]) for name, kind in kinds.items())
    return Judgements(judgements, units, cards)


def audited(
    rows: Sequence[Row],
    kinds: Kinds,
    questions: Sequence[Question] | None = None,
    **options: Any,
) -> Any:
    """The audit of the rows as JSON."""
    asked = questions or [Question()] * (1 + max(row.unit for row in rows))
    return audit(frames(rows, asked, kinds), AuditOptions(**options)).to_json()


def by_name(report: Any) -> dict[str, Any]:
    """The annotators of a report by name."""
    return {each["annotator"]: each for each in report["annotators"]}
