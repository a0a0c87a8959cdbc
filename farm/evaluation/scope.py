"""The scope of an estimate: which pairs count, and the error where no judgement of them succeeded."""

from __future__ import annotations

import pandas as pd

from db.errors import ConfigError
from farm.evaluation.attacks import PREFIX
from farm.evaluation.questions import CATCH_PREFIX
from farm.options.people import Scope as Scope

EVERYTHING = Scope()


def made_to_test(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `contests` are pairs made to test judges: attacks, and catch items of the labelling
    page."""
    tests = (PREFIX, CATCH_PREFIX)
    return rows["model_a"].str.startswith(tests) | rows["model_b"].str.startswith(tests)


def none_succeeded(rows: pd.DataFrame, who: str) -> ConfigError:
    """The error for judgements of which none has a verdict. It counts what became of them.

    rows: as `contests` gives them. who: the annotator, a name or a kind.
    """
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in rows["status"].value_counts().items())
    return ConfigError(
        f"no judgement succeeded: {kinds or 'there is none'}",
        where=who,
        remedy="`farm trace` with the annotator's name says why",
    )
