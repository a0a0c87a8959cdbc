"""L1-penalised logistic regression with soft labels, for many weightings of one data set at a time.

    minimise over w    |w|_1 + sum_i s_i [ log(1 + exp(x_i w)) - p_i x_i w ],    p_i in [0, 1], s_i >= 0

With s_i = C this is the objective of liblinear's L1 solver (Fan et al. 2008, JMLR 9, eq. 4; no intercept).
There a soft label p would be two rows with the weights p and 1 - p. Cross-validation and the bootstrap are
batches of weightings s.

Nearly every step is Newton's step on the optimality condition w = prox(w - grad / L). Where that step does
not lower the objective, a proximal Newton step with a line search replaces it, which always does (Lee, Sun
and Saunders 2014, SIAM J. Optim. 24, alg. 1).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_STEPS = 1_000  # five are usual
SWEEPS = 200  # of coordinate descent in a proximal Newton step
HALVINGS = 50
LIBLINEAR_STEPS = 100  # scikit-learn's default
SINGULAR = 1e-12  # added to a Hessian's diagonal for collinear features, relative to its largest entry
ROUNDING = 1e-12  # relative rounding error of an objective
BLOCK = 262_144  # predictions held at a time: those of more would leave the processor's cache


class Local(NamedTuple):
    """The objective at a point: value (B,), gradient (B, d) and Hessian (B, d, d) of its smooth part."""

    value: Floats
    gradient: Floats
    hessian: Floats


@dataclass(frozen=True)
class Problem:
    """One data set with B weightings of its rows."""

    features: Floats  # (n, d)
    products: Floats  # (n, d * d), x_i x_i' by row
    wins: Floats  # (B, n), labels times weights
    weights: Floats  # (B, n)

    def at(self, w: Floats) -> Local:
        """Evaluate the objective at coefficients w (B, d)."""
        size = max(1, BLOCK // len(w))
        parts = [self._part(w, slice(start, start + size)) for start in range(0, len(self.features), size)]
        loss, gradient, curvature = (reduce(np.add, each) for each in zip(*parts, strict=True))
        return Local(np.abs(w).sum(axis=1) + loss, gradient, curvature.reshape(*w.shape, w.shape[1]))

    def _part(self, w: Floats, rows: slice) -> tuple[Floats, Floats, Floats]:
        """The sums over some rows: of the loss (B,), its gradient (B, d) and its curvature (B, d * d)."""
        features, wins, weights = self.features[rows], self.wins[:, rows], self.weights[:, rows]
        z = w @ features.T  # (B, rows)
        small = np.exp(-np.abs(z))
        larger = 1 / (1 + small)  # the larger of the two probabilities
        predicted = np.where(z >= 0, larger, small * larger)
        loss = weights * (np.maximum(z, 0) - np.log(larger)) - wins * z
        gradient = (weights * predicted - wins) @ features
        curvature = (weights * (small * larger * larger)) @ self.products[rows]
        return loss.sum(axis=1), gradient, curvature

    def rows(self, chosen: NDArray[np.bool_]) -> Problem:
        """The same data with some of the weightings. chosen: (B,)."""
        return Problem(self.features, self.products, self.wins[chosen], self.weights[chosen])


def l1_logistic(
    features: Floats,
    labels: Floats,
    weights: Floats,
    *,
    start: Floats | None = None,
    tolerance: float = 1e-5,
) -> Floats:
    """Fit the coefficients for each of B weightings. Returns (B, d).

    features (n, d); labels (n,) in [0, 1]. weights (B, n): 0 or more, C included. start (B, d): the first
    guess, 0 if not given. tolerance: the fit stops at a Newton step of this size, relative to the largest
    coefficient or to 1 if that is larger; the error is then about the square of that step. Raises
    ArithmeticError where the fit does not converge.
    """
    return l1_logistic_of_sums(features, labels * weights, weights, start=start, tolerance=tolerance)


def l1_logistic_of_sums(
    features: Floats,
    wins: Floats,
    weights: Floats,
    *,
    start: Floats | None = None,
    tolerance: float = 1e-5,
) -> Floats:
    """As `l1_logistic`, for rows that stand for several. wins (B, n): the sums of weight times label."""
    products = (features[:, :, None] * features[:, None, :]).reshape(len(features), -1)
    problem = Problem(features, products, wins, weights)
    bound = 0.25 * (weights @ np.square(features).sum(axis=1))  # at least a Hessian's largest eigenvalue
    step = 1 / np.maximum(bound, np.finfo(float).tiny)[:, None]  # (B, 1)
    w = np.zeros((len(weights), features.shape[1])) if start is None else start
    here = problem.at(w)
    for _ in range(MAX_STEPS):
        newton = _newton_step(w, here, step)
        candidate = w + newton
        if np.all(np.abs(newton).max(axis=1) <= tolerance * np.maximum(1, np.abs(candidate).max(axis=1))):
            return candidate
        there = problem.at(candidate)
        worse = there.value > here.value + ROUNDING * np.abs(here.value)
        if worse.any():
            part = Local(*(field[worse] for field in here))
            candidate[worse] = _proximal_newton(problem.rows(worse), w[worse], part)
            there = problem.at(candidate)
        w, here = candidate, there
    raise ArithmeticError(f"the logistic regression did not converge in {MAX_STEPS} steps")


def liblinear(features: Floats, labels: Floats, weights: Floats) -> Floats:
    """The coefficients (1, d) that liblinear finds at scikit-learn's defaults, for one weighting (1, n).

    features (n, d); labels (n,) in [0, 1]. Liblinear stops before the minimum, by up to about 1e-3 in a
    coefficient. Published figures contain that error, so liblinear itself is needed to reproduce them. Where
    it misses its own tolerance, or all labels are wins or all losses, `l1_logistic` is used instead.
    """
    from sklearn.exceptions import ConvergenceWarning  # loading it takes a second
    from sklearn.linear_model import LogisticRegression

    row = weights[0]
    model = LogisticRegression(
        l1_ratio=1, solver="liblinear", fit_intercept=False, random_state=123, max_iter=LIBLINEAR_STEPS
    )
    if 0 < row @ labels < row.sum():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(
                np.concatenate([features, features]),
                np.repeat([1, 0], len(labels)),
                sample_weight=np.concatenate([row * labels, row * (1 - labels)]),
            )
        if model.n_iter_.max() < LIBLINEAR_STEPS:
            return np.asarray(model.coef_, float)
    return l1_logistic(features, labels, weights)


def _newton_step(w: Floats, here: Local, step: Floats) -> Floats:
    """Newton's step on w = prox(w - step grad).

    Coefficients that the right side sets to 0 go to 0 at once. The others keep the sign of the right side and
    follow the Hessian; one that would pass 0 stops there, or it could go to and fro for ever.
    """
    shifted = w - step * here.gradient
    active = np.abs(shifted) > step  # (B, d)
    system = np.where(active[:, :, None], _regular(here.hessian), np.eye(w.shape[1]))
    target = np.where(active, -(here.gradient + np.sign(shifted)), -w)
    solved: Floats = np.linalg.solve(system, target[:, :, None])[:, :, 0]
    passed = active & ((w + solved) * np.sign(shifted) < 0)
    return np.where(passed, -w, solved)


def _regular(hessian: Floats) -> Floats:
    largest = np.abs(hessian).max(axis=(1, 2), keepdims=True)
    regular: Floats = hessian + (SINGULAR * largest + np.finfo(float).tiny) * np.eye(hessian.shape[1])
    return regular


def _proximal_newton(problem: Problem, w: Floats, here: Local) -> Floats:
    """Minimise the objective's quadratic model by coordinate descent, then search along the line from w.

    The step is halved until the objective falls by 1e-3 of what the model promises for it.
    """
    hessian = _regular(here.hessian)
    delta = np.zeros_like(w)
    for _ in range(SWEEPS):
        before = delta.copy()
        for j in range(w.shape[1]):
            curvature = hessian[:, j, j]
            slope = here.gradient[:, j] + np.einsum("bk,bk->b", hessian[:, j], delta)
            target = w[:, j] + delta[:, j] - slope / curvature
            delta[:, j] = np.sign(target) * np.maximum(np.abs(target) - 1 / curvature, 0) - w[:, j]
        if np.all(np.abs(delta - before) <= 1e-3 * np.abs(delta).max(axis=1, keepdims=True)):
            break
    promised = (here.gradient * delta).sum(axis=1) + (np.abs(w + delta) - np.abs(w)).sum(axis=1)
    length = np.ones(len(w))
    for _ in range(HALVINGS):
        moved = w + length[:, None] * delta
        short = problem.at(moved).value > here.value + 1e-3 * length * promised
        if not short.any():
            break
        length[short] /= 2
    return moved
