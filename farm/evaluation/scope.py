"""The scope of an estimate: which pairs count."""

from __future__ import annotations

import pandas as pd

from farm.evaluation.attacks import PREFIX
from farm.evaluation.questions import CATCH_PREFIX
from farm.options.people import Scope as Scope

EVERYTHING = Scope()


def made_to_test(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `contests` are pairs made to test judges: attacks, and catch items of the labelling
    page."""
    tests = (PREFIX, CATCH_PREFIX)
    return rows["model_a"].str.startswith(tests) | rows["model_b"].str.startswith(tests)
