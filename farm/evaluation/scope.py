"""Which judgements of which pairs an estimate is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from db.errors import ConfigError
from farm.evaluation.attacks import PREFIX
from farm.evaluation.questions import CATCH_PREFIX
from farm.evaluation.references import Who


@dataclass(frozen=True)
class Scope:
    """Which pairs count. model: those in which this producer takes part; against: with this one."""

    source: str | None = None
    subset: str | None = None
    model: str | None = None
    against: str | None = None


EVERYTHING = Scope()


def who_named(who: Sequence[Who], name: str) -> Who:
    """The annotator of this name. Raises ConfigError where there is none."""
    for each in who:
        if each.name == name:
            return each
    some = ", ".join(sorted(each.name for each in who)[:8])
    raise ConfigError(f"no annotator {name!r} judged here", remedy=f"there are {some} ...")


def made_to_test(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows of `contests` are pairs of the robustness audit, or catch items of the labelling page."""
    tests = (PREFIX, CATCH_PREFIX)
    return rows["model_a"].str.startswith(tests) | rows["model_b"].str.startswith(tests)
