"""Length-controlled win rates (Dubois et al. 2024, arXiv 2404.04475), and control for any other feature.

For one model against one reference, with d_if = feature f of the reference's output minus the model's:

    P(model wins on i) = sigmoid( sum_f w_f tanh(d_if / sd_f) + w_d difficulty_i + w_0 )

The controlled win rate is the prediction with every difference at 0: mean_i sigmoid(w_d difficulty_i + w_0).
The fit is an L1-penalised logistic regression. Its C is chosen among 10 values from 1e-4 to 1e4 by 5-fold
cross-validation; all rows of the model on an instruction are in one fold. The folds are drawn from a hash of
the instruction, so they follow its content, and the loss is averaged over many such foldings. A C so small
that the penalty leaves nothing of the model would give 50 % whatever was judged; it is not chosen.

Anchor rows stabilise w_f and w_d where one model has little data. They are AlpacaEval's: the reference
against a verbose and a concise version of itself, without w_0. With anchors there is one folding, that of
AlpacaEval, in the order of the table of difficulties.

The interval is of the fit without the penalty, with the error of Firth's fit (firth.py): the penalty pulls a
rate towards one half, by as much as its error where wins or losses are few.

Everything is joined by instruction. AlpacaEval joins difficulty by row position, so a model with missing rows
has another published figure there. The control covers only the given features, in the form above: any other
bias of the judge remains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from farm.statistics.bootstrap import Interval, resamplings
from farm.statistics.bounds import SAME, share_bounds
from farm.statistics.difficulty import Difficulty, scaled_feature
from farm.statistics.equal_rows import EqualRows
from farm.statistics.firth import FirthFit, firth_logistic
from farm.statistics.foldings import FOLDS, Folds, foldings
from farm.statistics.logistic import l1_logistic_of_sums, liblinear
from farm.statistics.win_rates import as_preferences

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

STRENGTHS = np.logspace(-4, 4, 10)
FEWEST = 50  # judged instructions; with fewer the figure hangs on the folds
ANCHOR_WEIGHT = 0.2 / 2  # of one anchor row: lambda = 0.2, shared by two gamed variants
TOLERANCE = 1e-4  # of the last Newton step; the coefficients then have an error of about 1e-8
OWN_COLUMNS = {"difficulty", "model"}
BLOCK = 64  # bootstrap draws, and foldings, that are fitted together
HELD = 8_000_000  # weights of rows in those at most

LIST_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
MARKDOWN = re.compile(r"^#{1,6} |^```|\*\*\S|^\|.+\|[ \t]*$|\[[^\]\n]+\]\([^)\s]+\)", re.MULTILINE)


def _list_share(text: str) -> float:
    lines = sum(1 for line in text.splitlines() if line.strip())
    return len(LIST_ITEM.findall(text)) / max(lines, 1)


def _language(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum(character > "\u024f" for character in letters) / max(len(letters), 1)


FEATURES: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "length": len,  # characters
        "list_share": _list_share,  # share of lines that are list items
        "markdown": lambda text: len(MARKDOWN.findall(text)),  # headings, bold, fences, tables, links
        "language": _language,  # share of letters outside the Latin script
    }
)


@dataclass(frozen=True)
class ControlledWinRate:
    """A controlled win rate, a share in [0, 1]. n + n_failed is the whole evaluation set."""

    value: float
    interval: Interval  # of the fit without the penalty, so wider towards the extremes; n counts instructions
    standard_error: float  # as published: of the mean prediction, as if the fit were exact; NaN where all
    # predictions are equal: without difficulties, or where the penalty removed them
    bootstrap_error: float  # standard deviation over bootstrap draws, refitted; NaN without draws
    coefficients: Mapping[str, float]  # features, "difficulty", "model"
    strength: float  # C; NaN where nothing was fitted
    difficulty: str  # where the difficulties come from; "none"
    n: int
    n_failed: int


def controlled_win_rate(
    frame: pd.DataFrame,
    features: Sequence[str] = ("length",),
    *,
    difficulty: Difficulty | None = None,
    anchors: pd.DataFrame | None = None,
    evaluation_set: Iterable[Hashable] = (),
    strength: float | None = None,
    draws: int = 0,
    seed: int = 0,
) -> ControlledWinRate:
    """The win rate that one model would have if its outputs had the reference's features.

    frame: one row per judgement with the columns instruction, preference (in [0, 1], NaN where it failed) and
    one column of differences (reference minus model, any unit) per feature. The order of rows does not
    matter. anchors: rows with the same columns; their differences are in standard deviations already.
    evaluation_set: instructions that should have been judged; a missing one counts as failed. strength: C,
    chosen by cross-validation if not given. draws: of the bootstrap, which keeps C and the scales.

    Raises ValueError with fewer than 50 judged instructions, a missing difference or difficulty, a preference
    outside [0, 1], a feature with the same difference everywhere, or where the penalty leaves nothing of the
    model, so that every prediction is one half. Raises ArithmeticError where a fit does not converge.
    """
    fit = _Fit.of(frame, features, difficulty, anchors)
    n, expected = int(fit.judged.sum()), set(evaluation_set)
    missing = expected.difference(frame["instruction"]) if expected else expected
    known = {"n": n, "n_failed": len(frame) + len(missing) - n}
    source = "none" if difficulty is None else difficulty.source
    if fit.against_itself():
        return _even(fit.names, source, **known)
    if strength is None:
        strength, start = fit.cross_validate()
    else:
        start = np.zeros((1, len(fit.names)))
    coefficients = fit.point(strength, start)
    predicted = fit.predict(coefficients)[0]
    if (predicted == 0.5).all():
        raise ValueError(
            f"the penalty (C = {strength:.2g}) leaves nothing of the model: these judgements do not tell its "
            "controlled rate from 50 %; report the plain win rate"
        )
    value = float(predicted.mean())
    error = float("nan")
    if draws > 1:
        drawn = np.concatenate(list(fit.bootstrap(strength, coefficients, draws, seed)))
        error = float(drawn.std(ddof=1))
    return ControlledWinRate(
        value=value,
        interval=fit.interval(value),
        standard_error=fit.prediction_error(predicted),
        bootstrap_error=error,
        coefficients=dict(zip(fit.names, map(float, coefficients[0]), strict=True)),
        strength=float(strength),
        difficulty=source,
        **known,
    )


def _even(names: Sequence[str], source: str, n: int, n_failed: int) -> ControlledWinRate:
    """The reference against itself: one half by definition, so the interval has no width."""
    return ControlledWinRate(
        value=0.5,
        interval=Interval(0.5, 0.5, 0.5, n),
        standard_error=0.0,
        bootstrap_error=0.0,
        coefficients=dict.fromkeys(names, 0.0),
        strength=np.nan,
        difficulty=source,
        n=n,
        n_failed=n_failed,
    )


@dataclass(frozen=True)
class _Fit:
    """One model's regression. Anchor rows come first, then the model's rows by instruction."""

    names: tuple[str, ...]  # of the columns
    design: Floats  # (a + n, d)
    labels: Floats  # (a + n,), 0 where the judgement failed
    weights: Floats  # (a + n,), 0 where the judgement failed
    groups: Ints  # (a + n,) instructions
    foldings: Folds  # (r, a + n) folds of cross-validation, -1 where the judgement failed
    n_anchors: int

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        features: Sequence[str],
        difficulty: Difficulty | None,
        anchors: pd.DataFrame | None,
    ) -> _Fit:
        if OWN_COLUMNS & set(features):
            raise ValueError("a feature cannot be called difficulty or model: those are columns of the fit")
        if frame["instruction"].isna().any() or frame[list(features)].isna().any(axis=None):
            raise ValueError("an instruction or a feature difference is missing; every row needs both")
        held = frame.iloc[:0] if anchors is None else anchors
        asked = pd.concat([held["instruction"], frame["instruction"]], ignore_index=True)
        columns = {
            name: np.concatenate(
                [np.tanh(held[name].to_numpy(float)), scaled_feature(frame[name].to_numpy(float), name)]
            )
            for name in features
        }
        if difficulty is None:
            groups = pd.factorize(asked, sort=True)[0]
        else:
            groups = difficulty.places(asked)
            columns["difficulty"] = difficulty.values.to_numpy(float)[groups]
        columns["model"] = np.repeat([0.0, 1.0], [len(held), len(frame)])
        labels = as_preferences(pd.concat([held["preference"], frame["preference"]]).to_numpy(float))
        sort = np.lexsort((labels, groups, columns["model"]))
        weights = np.where(np.isnan(labels), 0, np.where(columns["model"] == 1, 1, ANCHOR_WEIGHT))
        fit = cls(
            names=tuple(columns),
            design=np.column_stack(list(columns.values()))[sort],
            labels=np.nan_to_num(labels)[sort],
            weights=weights[sort],
            groups=groups[sort],
            foldings=foldings(groups, weights > 0, asked, len(held))[:, sort],
            n_anchors=len(held),
        )
        if fit.n_instructions < FEWEST:
            raise ValueError(
                f"control needs {FEWEST} judged instructions or more, not {fit.n_instructions}; "
                "report the plain win rate"
            )
        return fit

    @property
    def n_instructions(self) -> int:
        """How many instructions have a judgement."""
        return len(np.unique(self.groups[self.n_anchors :][self.judged]))

    @property
    def features(self) -> slice:
        """The columns of features, which come first."""
        return slice(len([name for name in self.names if name not in OWN_COLUMNS]))

    @property
    def judged(self) -> NDArray[np.bool_]:
        return self.weights[self.n_anchors :] > 0

    @property
    def together(self) -> int:
        """How many weightings of the rows are fitted together."""
        return min(BLOCK, max(1, HELD // len(self.rows.features)))

    @cached_property
    def rows(self) -> EqualRows:
        """The different rows of the design: what a fit sees."""
        return EqualRows.of(self.design)

    @cached_property
    def whole(self) -> tuple[Floats, Floats]:
        """Wins and weights (1, u) of all judgements."""
        return self.rows.sums(self.labels * self.weights)[None], self.rows.sums(self.weights)[None]

    def against_itself(self) -> bool:
        """Whether this is the reference against itself: no difference in any feature, and only ties."""
        labels = self.labels[self.n_anchors :][self.judged]
        return not self.design[self.n_anchors :, self.features].any() and bool((labels == 0.5).all())

    def solve(self, sums: tuple[Floats, Floats], strength: float | Floats, start: Floats) -> Floats:
        """The coefficients (B, d). sums: wins and weights (B, u) of the different rows."""
        wins, weights = (strength * each for each in sums)
        return l1_logistic_of_sums(self.rows.features, wins, weights, start=start, tolerance=TOLERANCE)

    def point(self, strength: float, start: Floats) -> Floats:
        """The coefficients (1, d) fitted to all rows.

        With anchors the fit is liblinear's, because AlpacaEval's published figures contain where liblinear
        stops: up to 0.015 percentage points from the minimum.
        """
        if self.n_anchors:
            return liblinear(self.design, self.labels, strength * self.weights[None])
        return self.solve(self.whole, strength, start)

    def predict(self, coefficients: Floats) -> Floats:
        """P(model wins) with every difference at 0: (B, d) -> (B, n)."""
        return np.asarray(expit(coefficients @ self.neutral.T), float)

    @property
    def neutral(self) -> Floats:
        """The design of the model's rows with every difference at 0: (n, d)."""
        return self._neutral(self.design[self.n_anchors :])

    def _neutral(self, design: Floats) -> Floats:
        """Rows of the design with every difference at 0."""
        found = design.copy()
        found[:, self.features] = 0
        return found

    def prediction_error(self, predicted: Floats) -> float:
        """The standard error as AlpacaEval publishes it. predicted: (n,)."""
        if np.ptp(predicted) <= SAME:
            return float("nan")
        return float(predicted.std(ddof=1) / np.sqrt(len(predicted)))

    def interval(self, value: float) -> Interval:
        """The 95 % interval of the controlled win rate, of which value is the penalised estimate.

        Where wins or losses are few, the penalty pulls a rate towards one half by as much as its error. The
        bounds are therefore of the fit without it: Wilson's around its mean prediction, with the effective
        sample size n_eff = m (1 - m) / se^2 of Firth's mean prediction m, and Student's quantile. They reach
        to the value where it is outside.
        """
        loose = self.solve(self.whole, STRENGTHS[-1], np.zeros((1, len(self.names))))
        centre = float(self.predict(loose)[0].mean())
        firth = firth_logistic(self.design, self.labels, self.weights)
        mean, error = self.prediction_spread(firth)
        scaled = error * np.sqrt(centre * (1 - centre) / (mean * (1 - mean)))
        bounds = share_bounds(centre, float(scaled), self.n_instructions)
        assert bounds is not None  # there are FEWEST instructions or more
        return Interval(value, min(bounds.low, value), max(bounds.high, value), self.n_instructions)

    def prediction_spread(self, fit: FirthFit) -> tuple[float, float]:
        """The mean prediction with every difference at 0, and its standard error over instructions.

        The squared error is the larger of two: of the sandwich, clustered by instruction, times G / (G - 1),
        and of verdicts that are tosses of the predicted chances. The latter holds where hardly a loss was
        seen. Soft preferences vary less than tosses: by the share of their own p (1 - p) in that of the
        predictions. Anchors are fixed.
        """
        own = slice(self.n_anchors, None)
        predicted = self.predict(fit.coefficients[None])[0]
        slope = fit.inverse @ (self.neutral.T @ (predicted * (1 - predicted))) / len(predicted)
        lever, chance = self.design[own] @ slope, expit(self.design[own] @ fit.coefficients)
        labels, weights, mean = self.labels[own], self.weights[own], float(predicted.mean())
        clusters = np.unique(self.groups[own], return_inverse=True)[1]
        among = np.bincount(clusters, (predicted - mean) / len(predicted))  # of instructions
        seen = among + np.bincount(clusters, weights * (labels - chance) * lever)
        tossed = weights * chance * (1 - chance)
        hard = max(0.0, 1 - float((weights * labels * (1 - labels)).sum() / tossed.sum()))
        factor = self.n_instructions / (self.n_instructions - 1)
        verdicts = hard * float((tossed * lever**2).sum())
        squared = max(factor * np.square(seen).sum(), factor * np.square(among).sum() + verdicts)
        return mean, float(np.sqrt(squared))

    def cross_validate(self) -> tuple[float, Floats]:
        """The C with the least held-out loss, and a start (1, d) for the fit to all rows.

        The loss is the weighted log-loss, averaged over the rows of a fold, the folds and the foldings. A C
        whose penalty leaves nothing of the model is not taken where another leaves something.
        """
        rows, (wins, weights) = self.rows.features, self.whole
        splits = [(fold, k) for fold in self.foldings for k in range(FOLDS)]
        loss, starts = np.zeros(len(STRENGTHS)), np.zeros((len(STRENGTHS), len(self.names)))
        for first in range(0, len(splits), self.together):
            out = (self._left_out(*each) for each in splits[first : first + self.together])
            counts, won, weighed = map(np.array, zip(*out, strict=True))
            fitted = np.zeros((len(counts), len(self.names)))
            for place, strength in enumerate(STRENGTHS):
                fitted = self.solve((wins - won, weights - weighed), strength, fitted)
                z = fitted @ rows.T
                loss[place] += ((weighed * np.logaddexp(0, z) - won * z).sum(axis=1) / counts).sum()
                starts[place] += fitted.sum(axis=0)
        each = STRENGTHS[:, None]
        fits = self.solve((wins, weights), each, starts / len(splits))  # (C, d)
        told = (self.predict(fits) != 0.5).any(axis=1)
        best = int(np.where(told | ~told.any(), loss, np.inf).argmin())
        return float(STRENGTHS[best]), fits[best : best + 1]

    def _left_out(self, folds: NDArray[np.int8], fold: int) -> tuple[int, Floats, Floats]:
        """What is left out with a fold: the number of rows, and the wins and weights (u,)."""
        held = (folds == fold).astype(np.float64) * self.weights
        return int((folds == fold).sum()), self.rows.sums(self.labels * held), self.rows.sums(held)

    def bootstrap(self, strength: float, start: Floats, draws: int, seed: int) -> Iterator[Floats]:
        """Controlled win rates of resampled instructions, in blocks of (b,)."""
        own, among = np.unique(self.groups[self.n_anchors :], return_inverse=True)
        clusters = np.concatenate([np.zeros(self.n_anchors, np.intp), among])
        is_own = np.arange(len(clusters)) >= self.n_anchors
        drawn = (self.labels * self.weights * is_own, self.weights * is_own, is_own.astype(np.float64))
        parts = [self.rows.by_cluster(values, clusters) for values in drawn]
        fixed = [self.rows.sums(each * ~is_own) for each in (self.labels * self.weights, self.weights)]
        for counts in resamplings(len(own), draws, seed):
            for first in range(0, len(counts), self.together):
                times = counts[first : first + self.together].T.astype(np.float64)  # (clusters, b)
                wins, weights, shown = ((part @ times).T for part in parts)  # (b, u)
                sums = (wins + fixed[0], weights + fixed[1])
                fitted = self.solve(sums, strength, np.repeat(start, times.shape[1], axis=0))
                predicted = expit(fitted @ self._neutral(self.rows.features).T)
                yield (shown * predicted).sum(axis=1) / shown.sum(axis=1)
