"""A crowd as unsure as people are: weights of its members and label noise, fitted to people's votes.

With verdicts s = 1 for the first output and -1 for the second, on question i member m's have the mean s_im
and people's the mean h_i. A crowd with weights w and flip rate p gives labels of the mean

    l_i = Σ_m v_m s_im,        v_m = (1 - 2p) w_m,    v_m >= 0,    Σ_m v_m <= 1

a flip at rate p being a fair coin, of mean 0, at rate 2p. Its labels are to have people's chances everywhere:

    D(v) = E (l_i - h_i)^2 = v'Av - 2 b'v + E h_i^2,    A_mk = E s_im s_ik,    b_m = E s_im h_i

is 4 times the Brier score less its least value (vote_distribution.py). A_mk is 2 P(m and k agree) - 1, b_m
likewise of m and a person: where D is 0, the crowd agrees with people, and with itself, as people do.

Products are of different verdicts, so that D is right however few of them tell a mean; a member that judged a
question once is taken to be certain of it. A ridge of λ Σ (v_m - mean v)^2 draws the weights, and not the
noise, towards equality; λ is chosen by cross-validation. D is convex: there is one solution.
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
LEAST = 30  # questions that every two members, and each of them and people, must have in common
NEGLIGIBLE = 5e-4
TINY, HEAVY = 1e-9, 1e5


class MemberVerdicts(NamedTuple):
    """Verdicts in [-1, 1]. mean: (questions, members), NaN where one has not judged; square: the squared mean
    as different verdicts tell it; people: (questions,)."""

    mean: Floats
    square: Floats
    people: Floats

    @classmethod
    def of(cls, members: Sequence[Shares], people: Shares) -> MemberVerdicts:
        mean = np.column_stack([2 * each.mean - 1 for each in members])
        scatter = np.column_stack(
            [np.nan_to_num(4 * each.variance / np.maximum(each.n, 1)) for each in members]
        )
        return cls(mean, mean**2 - scatter, 2 * people.mean - 1)


@dataclass(frozen=True)
class CrowdFit:
    """weights: (members,), of sum 1; flip: rate of label noise; penalty: the λ that was chosen."""

    weights: Floats
    flip: float
    penalty: float


class Moments(NamedTuple):
    """Sums over questions of the products in A and b, and how many questions told each."""

    members: Floats
    members_n: Floats
    people: Floats
    people_n: Floats

    @classmethod
    def of(cls, judged: MemberVerdicts, rows: Ints) -> Moments:
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
        """How many questions told the product that fewest told."""
        return int(min(self.members_n.min(), self.people_n.min()))

    @property
    def quadratic(self) -> Floats:
        return self.members / self.members_n

    @property
    def linear(self) -> Floats:
        return self.people / self.people_n

    def loss(self, v: Floats) -> float:
        """D less what does not depend on v."""
        return float(v @ self.quadratic @ v - 2 * self.linear @ v)


def fit_crowd(judged: MemberVerdicts, folds: Ints) -> CrowdFit:
    """Weights and flip rate by least squares. folds: (questions,) below FOLDS, the same for an instruction's.

    Raises ValueError where too few questions were judged in common.
    """
    rows = np.flatnonzero(~np.isnan(judged.people))
    parts = [Moments.of(judged, rows[folds[rows] == fold]) for fold in range(FOLDS)]
    whole = _total(parts)
    if whole.least < LEAST:
        raise ValueError(f"{whole.least} questions are judged in common; a fit wants {LEAST}")
    penalty = _best_penalty(parts)
    v = _solve(whole, penalty)
    total = float(v.sum())
    if total < NEGLIGIBLE:
        return CrowdFit(np.full(len(v), 1 / len(v)), 0.5, penalty)
    weights = np.where(v < NEGLIGIBLE * total, 0.0, v)
    return CrowdFit(weights / weights.sum(), (1 - min(total, 1.0)) / 2, penalty)


def _best_penalty(parts: Sequence[Moments]) -> float:
    """By cross-validation over the folds that have questions; the heaviest where all stand in one."""
    rest = [_total([*parts[:fold], *parts[fold + 1 :]]) for fold in range(FOLDS)]
    told = [(part, other) for part, other in zip(parts, rest, strict=True) if part.least and other.least]
    if not told:
        return PENALTIES[-1]
    losses = [sum(part.loss(_solve(other, penalty)) for part, other in told) for penalty in PENALTIES]
    return PENALTIES[int(np.argmin(losses))]


def _total(parts: Sequence[Moments]) -> Moments:
    total, *rest = parts
    for part in rest:
        total = total + part
    return total


def _solve(moments: Moments, penalty: float) -> Floats:
    """The v of least D and ridge, as non-negative least squares on a square root of their matrix.

    Unbiased products may give it negative eigenvalues by chance, which are cut off. The last column, of the
    coin, takes what v leaves of 1; the row that says so outweighs the others.
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
