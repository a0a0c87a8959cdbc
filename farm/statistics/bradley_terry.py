"""Bradley-Terry strengths from pairs of models, with ties and soft preferences.

    P(i beats j) = sigmoid(s_i - s_j),    sum_i s_i = 0                       (Bradley and Terry 1952)

The fit is by maximum likelihood. A preference p counts as p of a win, so a tie is half a win for each model.
There is no separate parameter for ties (Davidson, Rao-Kupper): with half-wins the strengths order the models
by expected win rate, as Chatbot Arena does.

Errors come from the sandwich estimator, clustered by instruction. A bootstrap of instructions is optional. It
weighs them with exponential draws (Rubin 1981), so no pair of models ever loses its connection.

The strengths exist only where a path of wins leads from every model to every other (Ford 1957). Otherwise a
ValueError names the models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, stdtrit

from farm.statistics.bootstrap import LEVEL, Interval
from farm.statistics.win_rates import Estimates, as_preferences, codes

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

MAX_STEPS = 100
TOLERANCE = 1e-9
BLOCK = 2_000_000  # entries of a batch of win tables held at a time


@dataclass(frozen=True)
class BradleyTerry:
    """Fitted strengths in log-odds that sum to 0. n judgements were used; n_failed had no preference."""

    estimates: Estimates  # with the sandwich covariance
    draws: Floats  # (B, M) bootstrap strengths; B is 0 without a bootstrap
    n: int
    n_failed: int

    @property
    def n_instructions(self) -> int:
        """The number of clusters: instructions, or judgements where no instruction was given."""
        return self.estimates.n

    def difference(self, first: str, second: str) -> Interval:
        """The first model's strength minus the second's, in log-odds, with the sandwich interval.

        Raises ValueError for an unknown model.
        """
        i, j = self._place(first), self._place(second)
        covariance, values = self.estimates.covariance, self.estimates.values
        error = float(np.sqrt(max(0.0, covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])))
        return self._normal(float(values[i] - values[j]), error)

    def interval(self, model: str) -> Interval:
        """The model's strength relative to the mean of all, in log-odds, with the sandwich interval."""
        i = self._place(model)
        error = float(np.sqrt(self.estimates.covariance[i, i]))
        return self._normal(float(self.estimates.values[i]), error)

    def bootstrap_difference(self, first: str, second: str) -> Interval:
        """`difference` with the bootstrap's percentile interval; no bounds without a bootstrap."""
        i, j = self._place(first), self._place(second)
        value = float(self.estimates.values[i] - self.estimates.values[j])
        return _percentiles(value, self.draws[:, i] - self.draws[:, j], self.n_instructions)

    def bootstrap_interval(self, model: str) -> Interval:
        """`interval` with the bootstrap's percentile interval; no bounds without a bootstrap."""
        i = self._place(model)
        return _percentiles(float(self.estimates.values[i]), self.draws[:, i], self.n_instructions)

    def win_probability(self, first: str, second: str) -> float:
        """P(first model beats second), a share in [0, 1], as fitted."""
        values = self.estimates.values
        return float(expit(values[self._place(first)] - values[self._place(second)]))

    def _place(self, model: str) -> int:
        if model not in self.estimates.models:
            raise ValueError(f"no model {model!r} here; there are {', '.join(self.estimates.models)}")
        return self.estimates.models.index(model)

    def _normal(self, value: float, error: float) -> Interval:
        if self.n_instructions < 2:
            return Interval(value, None, None, self.n_instructions)
        reach = float(stdtrit(self.n_instructions - 1, (1 + LEVEL) / 2)) * error  # Student's
        return Interval(value, value - reach, value + reach, self.n_instructions)


def bradley_terry(
    frame: pd.DataFrame,
    *,
    first: str = "first",
    second: str = "second",
    preference: str = "preference",
    instruction: str | None = None,
    draws: int = 0,
    seed: int = 0,
) -> BradleyTerry:
    """Fit the strengths of all models in a table of judged pairs.

    frame: one row per judgement. first, second: its columns of model names. preference: its column of
    P(first preferred) in [0, 1], NaN where the judgement failed. instruction: its column of clusters; without
    one every row is a cluster. draws: bootstrap draws.

    Raises ValueError with fewer than two models, a model paired with itself, or models that wins do not
    connect; ArithmeticError where the fit does not converge.
    """
    rows = frame.assign(**{preference: as_preferences(frame[preference].to_numpy(float))})
    rows = rows.dropna(subset=[preference])
    place, names = pd.factorize(pd.concat([rows[first], rows[second]]), sort=True)
    left, right = place[: len(rows)].astype(np.intp), place[len(rows) :].astype(np.intp)
    if len(names) < 2:
        raise ValueError(f"Bradley-Terry needs two models with judged pairs, not {len(names)}")
    if (left == right).any():
        raise ValueError(f"{names[left[left == right][0]]!r} is paired with itself; leave such pairs out")
    label = rows[preference].to_numpy(float)
    clusters = codes(None if instruction is None else rows[instruction].to_numpy(object), len(rows))
    wins = _win_tables(left, right, label=label, clusters=clusters, models=len(names))  # (G, M * M)
    total = np.asarray(wins.sum(axis=0), float).reshape(1, len(names), len(names))
    _require_connected(total[0], [str(name) for name in names])
    strengths = _fit(total)[0]
    covariance = _sandwich(strengths, total[0], left=left, right=right, label=label, clusters=clusters)
    estimates = Estimates(tuple(map(str, names)), strengths, covariance, n=wins.shape[0])
    return BradleyTerry(
        estimates=estimates,
        draws=_bootstrap(wins, strengths, draws, seed),
        n=len(rows),
        n_failed=len(frame) - len(rows),
    )


def _win_tables(left: Ints, right: Ints, label: Floats, clusters: Ints, models: int) -> sparse.csr_array:
    """Wins of model i over model j for each cluster: (G, M * M), the table flattened by rows."""
    entry = np.concatenate([left * models + right, right * models + left])
    wins = np.concatenate([label, 1 - label])
    shape = (int(clusters.max()) + 1, models * models)
    return sparse.csr_array((wins, (np.concatenate([clusters, clusters]), entry)), shape)


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


def _fit(wins: Floats, start: Floats | None = None) -> Floats:
    """Strengths (B, M) of win tables (B, M, M): Newton's method; a step that overshoots is halved."""
    games = wins + wins.swapaxes(1, 2)
    won = wins.sum(axis=2)
    s = np.zeros(won.shape) if start is None else np.tile(start, (len(wins), 1))

    def likelihood(at: Floats) -> Floats:
        gap = at[:, :, None] - at[:, None, :]
        return np.asarray(-(wins * np.logaddexp(0, -gap)).sum(axis=(1, 2)), float)

    here = likelihood(s)
    for _ in range(MAX_STEPS):
        p = expit(s[:, :, None] - s[:, None, :])
        step = np.linalg.solve(_information(games, p), (won - (games * p).sum(axis=2))[:, :, None])[:, :, 0]
        length = np.ones(len(s))
        while (worse := likelihood(s + length[:, None] * step) < here - 1e-12 * np.abs(here)).any():
            length[worse] /= 2
        s = s + length[:, None] * step
        here = likelihood(s)
        if np.abs(step).max() < TOLERANCE:
            return np.asarray(s - s.mean(axis=1, keepdims=True), float)
    raise ArithmeticError(f"Bradley-Terry did not converge in {MAX_STEPS} steps")


def _information(games: Floats, p: Floats) -> Floats:
    """The negative Hessian (B, M, M). It is a graph Laplacian; adding 1 / M makes it invertible."""
    weight = games * p * (1 - p)
    models = weight.shape[-1]
    diagonal = np.eye(models) * weight.sum(axis=2)[:, :, None]
    return np.asarray(diagonal - weight + 1 / models, float)


def _sandwich(
    strengths: Floats, wins: Floats, left: Ints, right: Ints, label: Floats, clusters: Ints
) -> Floats:
    """Covariance (M, M) of the strengths: H^-1 (sum_g u_g u_g') H^-1 G / (G - 1), u_g the score of cluster g
    (Liang and Zeger 1986)."""
    p = expit(strengths[:, None] - strengths[None, :])
    bread = np.linalg.inv(_information((wins + wins.T)[None], p[None])[0])
    bread -= bread.mean(axis=0)  # back to strengths that sum to 0
    residual = label - p[left, right]
    groups = int(clusters.max()) + 1
    scores = np.zeros((groups, len(strengths)))
    np.add.at(scores, (clusters, left), residual)
    np.add.at(scores, (clusters, right), -residual)
    meat = scores.T @ scores * (groups / max(groups - 1, 1))
    return np.asarray(bread @ meat @ bread.T, float)


def _bootstrap(wins: sparse.csr_array, start: Floats, draws: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    models = len(start)
    size = max(1, BLOCK // models**2)
    found = [np.empty((0, models))]
    for first in range(0, draws, size):
        weights = rng.standard_exponential((min(size, draws - first), wins.shape[0]))
        found.append(_fit((wins.T @ weights.T).T.reshape(-1, models, models), start))
    return np.concatenate(found)


def _percentiles(value: float, draws: Floats, n: int) -> Interval:
    if len(draws) < 2 or n < 2:
        return Interval(value, None, None, n)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), n)
