"""Bradley-Terry strengths from pairs of models, with ties and soft preferences.

    P(i beats j) = sigmoid(s_i - s_j),    sum_i s_i = 0                       (Bradley and Terry 1952)

The fit is by maximum likelihood. A preference p counts as p of a win, so a tie is half a win for each model.
There is no separate parameter for ties (Davidson, Rao-Kupper): with half-wins the strengths order the models
by expected win rate, as Chatbot Arena does.

Errors come from the sandwich estimator, clustered by instruction: it needs no draws, so the order of rows and
a seed play no part. Where all instructions say the same, it is 0 and shows nothing; the error is then that of
the rule of three (bounds.py).

The strengths exist only where a path of wins leads from every model to every other (Ford 1957). Otherwise a
ValueError names the models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import student_interval, unanimous_error
from farm.statistics.win_rates import Estimates, as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MAX_STEPS = 100
TOLERANCE = 1e-9
ROUNDING = 1e-9  # an error in log-odds up to here is rounding: all instructions say the same


class _Games(NamedTuple):
    """Judged pairs. left, right (n,): models; label (n,): P(left preferred); clusters (n,): instructions."""

    left: Ints
    right: Ints
    label: Floats
    clusters: Ints


@dataclass(frozen=True)
class BradleyTerry:
    """Fitted strengths in log-odds that sum to 0. n judgements were used; n_failed had no preference."""

    estimates: Estimates
    errors: Floats  # (M,) of the strengths; where all instructions say the same, that of the rule of three
    n: int
    n_failed: int

    def difference(self, first: str, second: str) -> Interval:
        """The first model's strength minus the second's, in log-odds, with Student's interval.

        Raises ValueError for an unknown model.
        """
        i, j = self._place(first), self._place(second)
        values, errors = self.estimates.values, self.estimates.errors
        n = int(self.estimates.shared()[i, j])
        return student_interval(float(values[i] - values[j]), float(errors[i, j]), n)

    def interval(self, model: str) -> Interval:
        """The model's strength relative to the mean of all, in log-odds, with Student's interval."""
        i = self._place(model)
        value, n = float(self.estimates.values[i]), int(self.estimates.n[i])
        return student_interval(value, float(self.errors[i]), n)

    def win_probability(self, first: str, second: str) -> float:
        """P(first model beats second), a share in [0, 1], as fitted."""
        values = self.estimates.values
        return float(expit(values[self._place(first)] - values[self._place(second)]))

    def _place(self, model: str) -> int:
        if model not in self.estimates.models:
            raise ValueError(f"no model {model!r} here; there are {', '.join(self.estimates.models)}")
        return self.estimates.models.index(model)


class StrengthParts(NamedTuple):
    """Strengths (M,) of models, and what each judgement moves each of them by: influence (n, M)."""

    models: tuple[str, ...]
    strengths: Floats
    influence: Floats


def strength_parts(
    frame: pd.DataFrame, *, first: str = "first", second: str = "second", preference: str = "preference"
) -> StrengthParts:
    """The strengths of `bradley_terry`, and what each judgement with a preference moves them by.

    The sum over the judgements is 0. Arguments and errors are those of `bradley_terry`.
    """
    games, names = _games(frame, first, second, preference)
    total = _wins(games, len(names))
    _require_connected(total, names)
    strengths = _fit(total)
    return StrengthParts(tuple(names), strengths, _influence(_bread(strengths, total), strengths, games))


def bradley_terry(
    frame: pd.DataFrame,
    *,
    first: str = "first",
    second: str = "second",
    preference: str = "preference",
    instruction: str | None = None,
) -> BradleyTerry:
    """Fit the strengths of all models in a table of judged pairs.

    frame: one row per judgement. first, second: its columns of model names. preference: its column of
    P(first preferred) in [0, 1], NaN where the judgement failed. instruction: its column of clusters; without
    one every row is a cluster.

    Raises ValueError with fewer than two models, a model paired with itself, or models that wins do not
    connect; ArithmeticError where the fit does not converge.
    """
    rows = frame.dropna(subset=[preference])
    games, names = _games(frame, first, second, preference)
    if instruction is not None:
        games = games._replace(clusters=codes(rows[instruction].to_numpy(object), len(rows)))
    place = np.concatenate([games.left, games.right])
    total = _wins(games, len(names))
    _require_connected(total, names)
    strengths = _fit(total)
    bread = _bread(strengths, total)
    influence = _influence(bread, strengths, games)
    met = sparse.csr_array((np.ones(2 * len(rows)), (np.tile(games.clusters, 2), place)), influence.shape)
    n = np.asarray((met > 0).sum(axis=0)).ravel().astype(np.intp)
    pairs = [
        _errors(influence - influence[:, [i]], bread - bread[i], wins=total, n=np.minimum(n, n[i]))
        for i in range(len(names))
    ]
    return BradleyTerry(
        estimates=Estimates(tuple(names), strengths, np.stack(pairs), n),
        errors=_errors(influence, bread, wins=total, n=n),
        n=len(rows),
        n_failed=len(frame) - len(rows),
    )


def _games(frame: pd.DataFrame, first: str, second: str, preference: str) -> tuple[_Games, list[str]]:
    """The judged pairs, each its own cluster, with the names of the models."""
    rows = frame.assign(**{preference: as_preferences(frame[preference].to_numpy(float))})
    rows = rows.dropna(subset=[preference])
    place, found = pd.factorize(pd.concat([rows[first], rows[second]]), sort=True)
    left, right = place[: len(rows)].astype(np.intp), place[len(rows) :].astype(np.intp)
    names = [str(name) for name in found]
    if len(names) < 2:
        raise ValueError(f"Bradley-Terry needs two models with judged pairs, not {len(names)}")
    if (left == right).any():
        raise ValueError(f"{names[left[left == right][0]]!r} is paired with itself; leave such pairs out")
    return _Games(left, right, rows[preference].to_numpy(float), np.arange(len(rows))), names


def _wins(games: _Games, models: int) -> Floats:
    """Wins of model i over model j, (M, M)."""
    wins = np.zeros((models, models))
    np.add.at(wins, (games.left, games.right), games.label)
    np.add.at(wins, (games.right, games.left), 1 - games.label)
    return wins


def _require_connected(wins: Floats, names: list[str]) -> None:
    games = ((wins + wins.T) > 0).astype(float)
    parts, part = connected_components(games, directed=False)
    if parts > 1:
        groups = "; ".join(", ".join(names[i] for i in np.flatnonzero(part == k)) for k in range(parts))
        raise ValueError(f"{parts} groups of models never meet, so they cannot be compared: {groups}")
    parts, part = connected_components(wins, directed=True, connection="strong")
    if parts > 1:
        groups = "; ".join(", ".join(names[i] for i in np.flatnonzero(part == k)) for k in range(parts))
        raise ValueError(
            "a strength is infinite, because some models never won or tied against the others: of these "
            f"{parts} groups, one wins every game between two of them: {groups} (leave the extreme one out, "
            "or judge more pairs)"
        )


def _fit(wins: Floats) -> Floats:
    """Strengths (M,) of a win table (M, M): Newton's method; a step that overshoots is halved."""
    games, won = wins + wins.T, wins.sum(axis=1)

    def likelihood(at: Floats) -> float:
        return float(-(wins * np.logaddexp(0, at - at[:, None])).sum())

    s = np.zeros(len(wins))
    here = likelihood(s)
    for _ in range(MAX_STEPS):
        p = expit(s[:, None] - s)
        step = np.linalg.solve(_information(games, p), won - (games * p).sum(axis=1))
        length = 1.0
        while (there := likelihood(s + length * step)) < here - 1e-12 * abs(here):
            length /= 2
        s, here = s + length * step, there
        if np.abs(step).max() < TOLERANCE:
            return np.asarray(s - s.mean(), float)
    raise ArithmeticError(f"Bradley-Terry did not converge in {MAX_STEPS} steps")


def _information(games: Floats, p: Floats) -> Floats:
    """The negative Hessian (M, M). It is a graph Laplacian; adding 1 / M makes it invertible."""
    weight = games * p * (1 - p)
    return np.asarray(np.diag(weight.sum(axis=1)) - weight + 1 / len(weight), float)


def _bread(strengths: Floats, wins: Floats) -> Floats:
    """The inverse information H^-1 (M, M) on strengths that sum to 0."""
    p = expit(strengths[:, None] - strengths[None, :])
    inverse = np.linalg.inv(_information(wins + wins.T, p))
    return np.asarray(inverse - inverse.mean(axis=0), float)


def _influence(bread: Floats, strengths: Floats, games: _Games) -> Floats:
    """What each cluster moves each strength by: H^-1 u_g, u_g its score; (G, M)."""
    residual = games.label - expit(strengths[games.left] - strengths[games.right])
    scores = np.zeros((games.clusters.max() + 1, len(strengths)))
    np.add.at(scores, (games.clusters, games.left), residual)
    np.add.at(scores, (games.clusters, games.right), -residual)
    return np.asarray(scores @ bread.T, float)


def _errors(influence: Floats, weights: Floats, wins: Floats, n: Ints) -> Floats:
    """The standard errors (C,) of C contrasts, clustered (Liang and Zeger 1986) or of the rule of three.

    influence (G, C): what each cluster moves each contrast by. weights (C, M): what a score of each model
    moves it by. wins (M, M). n (C,): the instructions behind each. Where all clusters say the same, a share
    of them as large as the rule of three allows might have had all their wins as losses.
    """
    groups = len(influence)
    errors = np.sqrt(np.square(influence).sum(axis=0) * groups / max(groups - 1, 1))
    for place in np.flatnonzero(errors <= ROUNDING):
        moved = weights[place][:, None] - weights[place]
        spans = [(wins * np.maximum(each, 0)).sum() for each in (moved, -moved)]
        errors[place] = unanimous_error(max(spans), n[place])
    return np.where(n < 2, np.inf, errors)
