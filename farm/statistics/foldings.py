"""The folds of cross-validation: rows of one instruction stay together, whatever order they come in."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Folds = NDArray[np.int8]

FOLDS = 5
FOLDINGS, FOLDED_ROWS = 20, 10_000  # least number of foldings; more where instructions are few


def foldings(groups: Ints, counted: NDArray[np.bool_], asked: pd.Series, n_anchors: int) -> Folds:
    """The foldings (r, rows): the fold of every row, -1 where the judgement failed.

    asked: the instruction of each row. A unit is one anchor row, or all rows of the model on one instruction.
    With anchors the only folding is AlpacaEval's. Without, units go to the folds in turn, in an order of the
    hashes of their instructions, another one in each folding.
    """
    if n_anchors:
        return _alpaca_eval_folds(groups, counted, n_anchors)[None]
    named, values = pd.factorize(asked[counted])
    labels, number_of = np.unique(values.astype(str), return_inverse=True)
    place = number_of[named]
    found = np.full((max(FOLDINGS, FOLDED_ROWS // max(len(labels), 1)), len(groups)), -1, np.int8)
    for number, fold in enumerate(found):
        keys = (f"{number} {label}".encode("utf-8", "surrogatepass") for label in labels)
        hashes = np.array([hashlib.sha256(key).digest() for key in keys], "S32")
        fold[counted] = (np.argsort(np.argsort(hashes)) % FOLDS)[place]
    return found


def _alpaca_eval_folds(groups: Ints, counted: NDArray[np.bool_], n_anchors: int) -> Folds:
    """AlpacaEval's fold of every row, -1 where the judgement failed.

    Units go to the folds in turn, starting from the last unit, as scikit-learn's GroupKFold does with groups
    of equal size. The order of units is that of AlpacaEval's rows, so the folds are the same: the first
    anchor of every instruction, then the second ones, then the model's rows.
    """
    held = pd.Series(groups[:n_anchors])
    anchors = np.lexsort((held, held.groupby(held).cumcount())).argsort()
    own = np.flatnonzero(counted[n_anchors:]) + n_anchors
    present, place = np.unique(groups[own], return_inverse=True)
    units = np.full(len(groups), -1)
    units[:n_anchors], units[own] = anchors, n_anchors + place
    return np.asarray(np.where(units < 0, -1, (n_anchors + len(present) - 1 - units) % FOLDS), np.int8)
