"""What labels are planned for: win rates, agreement with people, alpha among people, gaps of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.errors import ConfigError
from db.records import AnnotatorKind
from farm.evaluation.plan_pool import PlanPool, agreement_scores, counts_of
from farm.evaluation.scope import Scope
from farm.options.people import Planning
from farm.statistics.bounds import share_bounds
from farm.statistics.study_size import Rule, alpha_values, gap_values

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PlanTarget:
    """One estimate over some questions of a pool of n. labels (n,): what people said, or pseudo-values, NaN
    without. rows (n,): its questions. mirrored (n,): a label is for the second output. rule: its bounds."""

    of: str
    labels: Floats
    rows: Bools
    mirrored: Bools
    rule: Rule = share_bounds


def targets(
    pool: PlanPool, wanted: Planning, people: int, *, scope: Scope, names: Sequence[str]
) -> list[PlanTarget]:
    """The estimates that are planned, with so many people on each question.

    names: the annotators whose agreement is planned; none means all but gold standards. Raises ValueError
    where the pilot is too small for them, ConfigError where nothing fits.
    """
    votes = pool.some_votes(people, wanted.seed)
    if wanted.of == "win-rate":
        return _win_rates(pool, scope, votes.mean(axis=1))
    if wanted.of == "gap":
        return _gaps(pool, votes.mean(axis=1))
    counts = counts_of(votes)
    if wanted.of == "alpha":
        found = alpha_values(counts)
        return [_of_all("alpha of people", found.values, found.rule)]
    compared = list(names) or [
        name for name, each in pool.candidates.items() if each.kind is not AnnotatorKind.GOLD
    ]
    if not compared:
        raise ConfigError("nobody but people judged here", remedy="`farm annotate` with an annotator first")
    return [
        _of_all(f"agreement of {name}", agreement_scores(pool.candidates[name], counts)) for name in compared
    ]


def _of_all(of: str, labels: Floats, rule: Rule = share_bounds) -> PlanTarget:
    n = len(labels)
    return PlanTarget(of, labels, np.full(n, True), np.full(n, False), rule=rule)


def _win_rates(pool: PlanPool, scope: Scope, labels: Floats) -> list[PlanTarget]:
    """The win rate of the scope's model, or of every model but the reference that all meet."""
    models = sorted({str(each) for each in pool.models.ravel()} - {pool.reference() or ""})
    if scope.model is not None:
        models = [scope.model]
    found = []
    for model in models:
        rows = (pool.models == model).any(axis=1)
        if scope.against is not None:
            rows &= (pool.models == scope.against).any(axis=1)
        if not rows.any():
            raise ConfigError(f"no pair of {model!r} fits", remedy="`farm status` says what there is")
        mirrored = np.asarray(pool.models[:, 1] == model, bool)
        own = np.where(rows, np.where(mirrored, 1 - labels, labels), np.nan)
        found.append(PlanTarget(f"win rate of {model}", own, rows, mirrored))
    return found


def _gaps(pool: PlanPool, labels: Floats) -> list[PlanTarget]:
    known = np.flatnonzero(~np.isnan(labels))
    first, second = pool.models[known].T
    frame = pd.DataFrame({"first": first, "second": second, "preference": labels[known]})
    found = []
    for (better, worse), each in gap_values(frame).items():
        values = np.full(len(labels), np.nan)
        values[known] = each.values
        found.append(_of_all(f"gap of {better} and {worse}", values, each.rule))
    return found
