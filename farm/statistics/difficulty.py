"""Instruction difficulty in log-odds: it is higher where models beat the reference more easily.

Difficulties come from a fixed table (AlpacaEval publishes one) or from our own joint fit over the models:

    logit P(model m wins on i) = theta_m + sum_f phi_mf tanh(d_imf / sd_mf) + gamma_i

gamma_i is the difficulty of instruction i. The fit is the first of AlpacaEval's two (Dubois et al. 2024,
arXiv 2404.04475, section 3), with an L2 penalty of one half on every squared parameter. gamma_i depends on
the set of models too, so the result names how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.special import expit

from farm.statistics.win_rates import as_preferences

Floats = NDArray[np.float64]

MAX_STEPS = 100
TOLERANCE = 1e-8


@dataclass(frozen=True)
class Difficulty:
    """Difficulties in log-odds. values: by instruction, in the order of the evaluation set. source: where
    they come from, in words. Raises ValueError where an instruction repeats or a value is not finite."""

    values: pd.Series[float]
    source: str

    def __post_init__(self) -> None:
        if not self.values.index.is_unique:
            raise ValueError(f"difficulty from {self.source}: an instruction stands in it twice")
        if not np.isfinite(self.values.to_numpy(float)).all():
            raise ValueError(f"difficulty from {self.source}: a value is missing or infinite")

    def places(self, instructions: pd.Series[str]) -> NDArray[np.intp]:
        """The position of each instruction in `values`. Raises ValueError where one is missing there."""
        found = self.values.index.get_indexer(pd.Index(instructions))
        lost = instructions[found < 0]
        if len(lost):
            raise ValueError(
                f"difficulty from {self.source} lacks {lost.nunique()} of the instructions, "
                f"{str(lost.iloc[0])!r} for one; use the table of this evaluation set or fit_difficulty"
            )
        return found


def scaled_feature(differences: Floats, name: str) -> Floats:
    """tanh(d / sd) of differences d (n,), with sd (ddof 1) over the rows; all 0 where every difference is 0.

    name: of the feature, for errors. Raises ValueError where all differences are the same and not 0.
    """
    if not differences.any():
        return differences
    spread = _spread(differences)
    if not spread:
        raise ValueError(
            f"the difference in {name} is the same on every instruction, so its effect cannot be told from "
            "the model's; leave the feature out"
        )
    return np.asarray(np.tanh(differences / spread), float)


def _spread(differences: Floats) -> float:
    """The standard deviation (ddof 1), the same in any order of rows; 0 where it is only rounding error."""
    spread = float(np.std(np.sort(differences), ddof=1)) if len(differences) > 1 else 0.0
    return spread if spread > 1e-12 * np.abs(differences).max() else 0.0


def _varies(differences: pd.Series[float]) -> bool:
    """Whether `scaled_feature` accepts these differences."""
    return not differences.any() or _spread(np.asarray(differences, float)) > 0


def fit_difficulty(frame: pd.DataFrame, features: Sequence[str] = ("length",)) -> Difficulty:
    """Fit the difficulty of every instruction jointly over all models (Dubois et al. 2024, section 3).

    frame: one row per judgement with the columns model, instruction, preference, and one column of
    differences (reference minus model) per feature. Two kinds of models are left out: one that ties
    everywhere (the reference against itself), which carries no information, and one whose difference in a
    feature never changes, because its theta would absorb that feature.

    Raises ValueError with fewer than two models or two instructions left; ArithmeticError where the fit does
    not converge.
    """
    rows = frame.assign(preference=as_preferences(frame["preference"].to_numpy(float)))
    rows = rows.dropna(subset=["preference"])
    rows = rows[rows["preference"].ne(0.5).groupby(rows["model"]).transform("any")]
    for feature in features:
        rows = rows[rows.groupby("model")[feature].transform(_varies).astype(bool)]
    rows = rows.sort_values(["instruction", "model", "preference", *features], ignore_index=True)
    models, names = pd.factorize(rows["model"], sort=True)
    instructions, asked = pd.factorize(rows["instruction"], sort=True)
    if len(names) < 2 or len(asked) < 2:
        raise ValueError(
            f"difficulty needs 2 models and 2 instructions or more, not {len(names)} and {len(asked)}; take "
            "it from a file, or control without it"
        )
    columns = [np.ones(len(rows))]
    for feature in features:
        column = np.empty(len(rows))
        for m in range(len(names)):
            own = models == m
            column[own] = scaled_feature(rows[feature].to_numpy(float)[own], f"{feature} of {names[m]}")
        columns.append(column)
    place = np.arange(len(rows))
    parts = [sparse.csr_array((column, (place, models)), (len(rows), len(names))) for column in columns]
    parts.append(sparse.csr_array((np.ones(len(rows)), (place, instructions)), (len(rows), len(asked))))
    fitted = _ridge_logistic(sparse.hstack(parts, format="csr"), rows["preference"].to_numpy(float))
    values = pd.Series(fitted[-len(asked) :], index=pd.Index(asked), name="difficulty")
    return Difficulty(values, f"joint fit over {len(names)} models")


def _ridge_logistic(design: sparse.csr_array, labels: Floats) -> Floats:
    """Minimise sum_i [log(1 + exp(z_i)) - p_i z_i] + |w|^2 / 2, z = design w, by damped Newton steps."""
    identity = sparse.identity(design.shape[1], format="csr")

    def objective(w: Floats) -> float:
        z = design @ w
        return float((np.logaddexp(0, z) - labels * z).sum() + w @ w / 2)

    w = np.zeros(design.shape[1])
    value = objective(w)
    for _ in range(MAX_STEPS):
        predicted = expit(design @ w)
        gradient = design.T @ (predicted - labels) + w
        curvature = sparse.diags_array(predicted * (1 - predicted))
        step = spsolve((design.T @ curvature @ design + identity).tocsc(), -gradient)
        length = 1.0
        while (there := objective(w + length * step)) > value + 1e-12 * abs(value):
            length /= 2
        w, value = w + length * step, there
        if np.abs(step).max() < TOLERANCE:
            return w
    raise ArithmeticError(f"the difficulty fit did not converge in {MAX_STEPS} steps")
