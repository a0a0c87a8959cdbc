"""Which judgements of which pairs an estimate is about."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from farm.evaluation.attacks import PREFIX
from farm.evaluation.questions import CATCH_PREFIX


@dataclass(frozen=True)
class Scope:
    """Which pairs count. model: those in which this producer takes part; against: with this one."""

    source: str | None = None
    subset: str | None = None
    model: str | None = None
    against: str | None = None


EVERYTHING = Scope()


def made_to_test(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `contests` are pairs of the robustness audit, or catch items of the labelling page."""
    tests = (PREFIX, CATCH_PREFIX)
    return rows["model_a"].str.startswith(tests) | rows["model_b"].str.startswith(tests)
