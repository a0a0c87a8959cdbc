"""Fit a crowd of annotators to people's votes: the weights of its members and its label noise.

A verdict s is 1 for the first output and -1 for the second. On question i member m's verdicts have the mean
s_im and people's the mean h_i. A crowd with weights w and flip rate p gives labels with the mean

    l_i = Σ_m v_m s_im,        v_m = (1 - 2p) w_m,    v_m >= 0,    Σ_m v_m <= 1

because flipping at rate p is the same as a fair coin (mean 0) at rate 2p. The fit minimises the distance of
the crowd's labels from people's chances:

    D(v) = E (l_i - h_i)^2 = v'Av - 2 b'v + E h_i^2,    A_mk = E s_im s_ik,    b_m = E s_im h_i

D is 4 times the amount by which the Brier score exceeds its least value (vote_distribution.py). A_mk is
2 P(m and k agree) - 1, and b_m is 2 P(m and a person agree) - 1. Where D is 0, the crowd agrees with people
and with itself as often as people do.

Products use two different verdicts, so D has no bias from means of few verdicts. A member that judged a
question once is taken to be certain of it. A ridge λ Σ (v_m - mean v)^2 pulls the weights towards equality
and leaves the noise alone. Cross-validation chooses λ. D is convex, so there is one solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from farm.statistics.agreement import Floats, Ints
from farm.statistics.vote_distribution import Shares

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
FOLDS = 5
LEAST = 30  # questions in common that every two members need, and every member with people
NEGLIGIBLE = 5e-4  # share of all weight below which a weight is set to 0
TINY, HEAVY = 1e-9, 1e5


class MemberVerdicts(NamedTuple):
    """Mean verdicts in [-1, 1]. mean (questions, members): NaN where a member did not judge; square, of the
    same shape: unbiased estimates of the squared mean. people (questions,): NaN where nobody judged."""

    mean: Floats
    square: Floats
    people: Floats

    @classmethod
    def of(cls, members: Sequence[Shares], people: Shares) -> MemberVerdicts:
        """Convert vote shares in [0, 1] to verdicts in [-1, 1]. All shares are over the same questions."""
        mean = np.column_stack([2 * each.mean - 1 for each in members])
        scatter = np.column_stack(
            [np.nan_to_num(4 * each.variance / np.maximum(each.n, 1)) for each in members]
        )
        return cls(mean, mean**2 - scatter, 2 * people.mean - 1)


@dataclass(frozen=True)
class CrowdFit:
    """A fit. weights (members,): they sum to 1. flip: rate of label noise in [0, 0.5]. penalty: the λ."""

    weights: Floats
    flip: float
    penalty: float


class Moments(NamedTuple):
    """Sums over questions of the products in A and b, with the number of questions behind each.

    members, members_n (members, members): for A. people, people_n (members,): for b.
    """

    members: Floats
    members_n: Floats
    people: Floats
    people_n: Floats

    @classmethod
    def of(cls, judged: MemberVerdicts, rows: Ints) -> Moments:
        """Sum over the questions at these rows."""
        mean, square, people = judged.mean[rows], judged.square[rows], judged.people[rows]
        told = ~np.isnan(mean)
        known, value = told.astype(np.float64), np.where(told, mean, 0.0)
        members = value.T @ value
        np.fill_diagonal(members, np.where(told, square, 0.0).sum(axis=0))
        return cls(members, known.T @ known, value.T @ people, known.sum(axis=0))

    def __add__(self, other: tuple[object, ...]) -> Moments:
        assert isinstance(other, Moments)
        return Moments(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def least(self) -> int:
        """The smallest number of questions behind any product."""
        return int(min(self.members_n.min(), self.people_n.min()))

    @property
    def quadratic(self) -> Floats:
        """A of the module docstring: (members, members)."""
        return self.members / self.members_n

    @property
    def linear(self) -> Floats:
        """b of the module docstring: (members,)."""
        return self.people / self.people_n

    def loss(self, v: Floats) -> float:
        """D(v) without its constant E h_i^2. v: (members,)."""
        return float(v @ self.quadratic @ v - 2 * self.linear @ v)


def fit_crowd(judged: MemberVerdicts, folds: Ints) -> CrowdFit:
    """Fit weights and flip rate by penalised least squares.

    folds (questions,): the fold of each question, from 0 to FOLDS - 1; questions of one instruction share a
    fold. Raises ValueError where two members, or a member and people, share fewer than 30 questions.
    """
    rows = np.flatnonzero(~np.isnan(judged.people))
    parts = [Moments.of(judged, rows[folds[rows] == fold]) for fold in range(FOLDS)]
    whole = _total(parts)
    if whole.least < LEAST:
        raise ValueError(f"{whole.least} questions are judged in common; a fit wants {LEAST}")
    penalty = _best_penalty(parts)
    v = solve(whole, penalty)
    total = float(v.sum())
    if total < NEGLIGIBLE:
        return CrowdFit(np.full(len(v), 1 / len(v)), 0.5, penalty)
    weights = np.where(v < NEGLIGIBLE * total, 0.0, v)
    return CrowdFit(weights / weights.sum(), (1 - min(total, 1.0)) / 2, penalty)


def _best_penalty(parts: Sequence[Moments]) -> float:
    """The λ with the least cross-validated loss; the heaviest where all questions are in one fold."""
    rest = [_total([*parts[:fold], *parts[fold + 1 :]]) for fold in range(FOLDS)]
    told = [(part, other) for part, other in zip(parts, rest, strict=True) if part.least and other.least]
    if not told:
        return PENALTIES[-1]
    losses = [sum(part.loss(solve(other, penalty)) for part, other in told) for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]


def _total(parts: Sequence[Moments]) -> Moments:
    total, *rest = parts
    for part in rest:
        total = total + part
    return total


def solve(moments: Moments, penalty: float) -> Floats:
    """The v that minimises D plus the ridge: non-negative least squares on a square root of their matrix.

    The unbiased products can make eigenvalues negative by chance; those are raised to almost 0. The last
    column is the coin's share, 1 - Σ v. The last, heavy row makes all shares sum to 1.
    """
    members = len(moments.linear)
    values, vectors = np.linalg.eigh(moments.quadratic + penalty * (np.eye(members) - 1 / members))
    root = np.sqrt(np.maximum(values, TINY))
    rows = np.zeros((members + 1, members + 1))
    rows[:members, :members] = root[:, None] * vectors.T
    rows[members] = HEAVY
    target = np.append(vectors.T @ moments.linear / root, HEAVY)
    found: Floats = nnls(rows, target)[0][:members]
    return found
