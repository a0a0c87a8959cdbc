"""Logistic regression without the first-order bias of maximum likelihood (Firth 1993, Biometrika 80).

    maximise over w    sum_i s_i [ p_i x_i w - log(1 + exp(x_i w)) ] + 1/2 log det I(w),    p_i in [0, 1]
    I(w) = sum_i s_i q_i (1 - q_i) x_i x_i',    q_i = sigmoid(x_i w)

The maximum is finite where wins and losses are separated too (Heinze and Schemper 2002, Statist. Med. 21). In
a table of two groups it is the fit to counts with one half added to each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

MAX_STEPS = 500  # ten are usual
HALVINGS = 30
TOLERANCE = 1e-8  # of the last step
ROUNDING = 1e-12  # relative rounding error of the objective
DEPENDENT = 1e-10  # a direction of the features with less than this share of the largest one is none


class FirthFit(NamedTuple):
    """Coefficients (d,), and the inverse (d, d) of the information there."""

    coefficients: Floats
    inverse: Floats


def firth_logistic(features: Floats, labels: Floats, weights: Floats) -> FirthFit:
    """Fit the coefficients of one weighting.

    features (n, d): of columns that depend on each other, the fit has the least norm. labels (n,): in [0, 1].
    weights (n,): 0 or more. Raises ArithmeticError where the fit does not converge.
    """
    _, sizes, directions = np.linalg.svd(features[weights > 0], full_matrices=False)
    basis = directions[sizes > DEPENDENT * sizes.max(initial=0)].T  # (d, k)
    x = features @ basis

    def objective(w: Floats) -> float:
        z = x @ w
        return float((weights * (labels * z - np.logaddexp(0, z))).sum()) + _log_root(
            _information(x, w, weights)
        )

    w = np.zeros(x.shape[1])
    value = objective(w)
    for _ in range(MAX_STEPS):
        chance = expit(x @ w)
        inverse = np.linalg.inv(_information(x, w, weights))
        leverage = weights * chance * (1 - chance) * np.einsum("ij,jk,ik->i", x, inverse, x)
        step = inverse @ (x.T @ (weights * (labels - chance) + leverage * (0.5 - chance)))
        if np.abs(step).max(initial=0) <= TOLERANCE:
            return FirthFit(basis @ w, basis @ inverse @ basis.T)
        for _ in range(HALVINGS):
            if objective(w + step) >= value - ROUNDING * (1 + abs(value)):
                break
            step = step / 2
        w = w + step
        value = objective(w)
    raise ArithmeticError(f"Firth's logistic regression did not converge in {MAX_STEPS} steps")


def _information(x: Floats, w: Floats, weights: Floats) -> Floats:
    """The Fisher information at w: (k, k)."""
    chance = expit(x @ w)
    return np.asarray(x.T @ (x * (weights * chance * (1 - chance))[:, None]), float)


def _log_root(information: Floats) -> float:
    """Half of the logarithm of the determinant, Jeffreys's prior."""
    return 0.5 * float(np.linalg.slogdet(information)[1])
