"""The scope of an estimate: which pairs count."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from farm.evaluation.attacks import PREFIX
from farm.evaluation.questions import CATCH_PREFIX


@dataclass(frozen=True)
class Scope:
    """Which pairs count; None means all. source, subset: where they come from. model: only pairs with an
    output of this producer, and not two. against: only pairs of `model` with this producer."""

    source: str | None = None
    subset: str | None = None
    model: str | None = None
    against: str | None = None


EVERYTHING = Scope()


def made_to_test(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `contests` are pairs made to test judges: attacks, and catch items of the labelling
    page."""
    tests = (PREFIX, CATCH_PREFIX)
    return rows["model_a"].str.startswith(tests) | rows["model_b"].str.startswith(tests)
