"""Models in the order of one evaluator's judgements: `farm leaderboard`.

Against one reference: win rates, and win rates controlled for length or other features of the text
(farm/statistics/win_rates.py, length_control.py). From any pairs: Bradley-Terry strengths. Rates are shares
here and percent in JSON and on the terminal, as in AlpacaEval.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from db.contests import contests, members, texts_of
from db.errors import ConfigError
from db.ledger import Ledger
from farm.evaluation_set import EvaluationSet, choose_set
from farm.leaderboard_report import Controlled, Leaderboard, Place, Strength, Strengths
from farm.people import of_attacks
from farm.rankings import common_reference, sides
from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.difficulty import Difficulty, fit_difficulty
from farm.statistics.length_control import FEATURES, ControlledWinRate, controlled_win_rate
from farm.statistics.ranking import clusters, rank_ranges
from farm.statistics.win_rates import Estimates, WinRate, win_rate_estimates, win_rates

LENGTH = ("length",)


@dataclass(frozen=True)
class LeaderboardOptions:
    """Whose judgements of which pairs. reference: found where one model takes part in every pair.

    set_name: the evaluation set, an instruction of which without a judgement counts as failed; the smallest
    named set that holds all that was judged, if none is given. difficulty, anchors: files, see
    docs/leaderboard.md; controls: features of farm.statistics.length_control.FEATURES.
    """

    annotator: str
    reference: str | None = None
    source: str | None = None
    subset: str | None = None
    set_name: str | None = None
    difficulty: Path | None = None
    anchors: Path | None = None
    controls: tuple[str, ...] = LENGTH
    draws: int = 1000
    seed: int = 0
    pairs: frozenset[int] | None = None  # no others
    average_orders: bool = False  # a pair judged in both orders counts once, as the mean of both

    def __post_init__(self) -> None:
        if unknown := [name for name in self.controls if name not in FEATURES]:
            raise ConfigError(f"--control {unknown[0]!r}", remedy=f"one of {', '.join(FEATURES)}")


def judged_pairs(ledger: Ledger, options: LeaderboardOptions) -> pd.DataFrame:
    """The evaluator's judgements, attacks left out. Raises ConfigError where there is none."""
    ids = [card.id for card in ledger.annotators() if card.name == options.annotator]
    found = contests(ledger, options.source, options.subset, options.average_orders)
    rows = found[found["annotator"].isin(ids)]
    rows = rows[~of_attacks(rows)]
    if options.pairs is not None:
        rows = rows[rows["pair_id"].isin(options.pairs)]
    if rows.empty:
        raise ConfigError(
            f"{options.annotator!r} has judged nothing here",
            where=str(ledger.address),
            remedy="`farm audit` lists who judged; `farm annotate` makes judgements",
        )
    return rows


def leaderboard(ledger: Ledger, options: LeaderboardOptions) -> Leaderboard:
    """Win rates of all models against the reference, best first.

    Raises ConfigError where there is nothing to rank, or no one reference.
    """
    rows = judged_pairs(ledger, options)
    reference = options.reference or reference_of(rows)
    frame = against(rows, reference)
    chosen = choose_set(members(ledger), set(frame["instruction"]), options.set_name)
    rates = {
        str(model): rate
        for model, part in frame.groupby("model", sort=False)
        if (rate := _rate(part, str(model), chosen)) is not None
    }
    if not rates:
        raise ConfigError("no judgement succeeded", where=options.annotator, remedy="see `farm status`")
    measured = with_features(ledger, frame, options.controls)
    difficulty = _difficulty(measured, chosen, options)
    anchors = chosen.anchors(options.anchors, options.difficulty) if options.controls == LENGTH else None
    estimates = _estimates(frame[frame["model"].isin(rates)])
    ranges = {each.model: each for each in rank_ranges(estimates)} if estimates else {}
    groups = clusters(estimates) if estimates else []
    places = []
    for model, rate in sorted(rates.items(), key=lambda each: -each[1].value):
        own = measured[measured["model"] == model]
        controlled = _controlled(own, rate, difficulty, anchors, chosen, options)
        cluster = next((i for i, group in enumerate(groups, 1) if model in group), None)
        ends = ranges.get(model)
        best, worst = (ends.best, ends.worst) if ends else (None, None)
        lengths = (float(own["length_model"].mean()), float(own["length_reference"].mean()))
        places.append(Place(model, rate, controlled, *lengths, cluster, best, worst))
    source = difficulty.source if difficulty else "none"
    return Leaderboard(options.annotator, reference, chosen.name, source, options.controls, tuple(places))


def reference_of(rows: pd.DataFrame) -> str:
    """The one model that takes part in every pair. Raises ConfigError where there is none, or two."""
    both = sides(rows)
    found = common_reference(both) if len(both) else None
    if found is None:
        models = sorted({*rows["model_a"], *rows["model_b"]})
        raise ConfigError(
            f"no one model takes part in every pair (there are {', '.join(models[:6])})",
            remedy="name a --reference, or rank them all with --bradley-terry",
        )
    return found


def against(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Judgements of pairs with the reference: model, instruction, pair_id, preference (for the model), and
    whether the model's output is output_a. The reference against itself is a model too."""
    rows = rows[(rows["model_a"] == reference) | (rows["model_b"] == reference)]
    if rows.empty:
        raise ConfigError(f"nothing was judged against {reference!r}", remedy="name another --reference")
    first = rows["model_b"] == reference  # the model's output is output_a
    return pd.DataFrame(
        {
            "model": rows["model_a"].where(first, rows["model_b"]),
            "instruction": rows["instruction"],
            "pair_id": rows["pair_id"],
            "preference": rows["preference"].where(first, 1 - rows["preference"]),
            "first": first,
        }
    ).reset_index(drop=True)


def _rate(part: pd.DataFrame, model: str, chosen: EvaluationSet) -> WinRate | None:
    """None where no judgement of the model succeeded."""
    if part["preference"].isna().all():
        return None
    return win_rates(part, evaluation_set=chosen.instructions)[model]


def with_features(ledger: Ledger, frame: pd.DataFrame, controls: tuple[str, ...]) -> pd.DataFrame:
    """The frame with each feature's difference, reference minus model, and both lengths in characters."""
    names = tuple(dict.fromkeys((*LENGTH, *controls)))
    ids = [int(each) for each in frame["pair_id"].unique()]
    table = {
        number: [FEATURES[name](text) for name in names for text in (a, b)]
        for number, a, b in texts_of(ledger, ids)
    }
    values = np.array([table[number] for number in frame["pair_id"]], float).reshape(len(frame), -1)
    first = frame["first"].to_numpy(bool)
    measured = frame.copy()
    for place, name in enumerate(names):
        a, b = values[:, 2 * place], values[:, 2 * place + 1]
        model, reference = np.where(first, a, b), np.where(first, b, a)
        measured[name] = reference - model
        measured[f"{name}_model"], measured[f"{name}_reference"] = model, reference
    return measured


def _difficulty(
    measured: pd.DataFrame, chosen: EvaluationSet, options: LeaderboardOptions
) -> Difficulty | None:
    """From the file, else from the evaluation set as imported, else fitted to the models at hand."""
    if not options.controls:
        return None
    if (given := chosen.difficulty(options.difficulty)) is not None:
        return given
    try:
        return fit_difficulty(measured, options.controls)
    except (ValueError, ArithmeticError):
        return None  # one model, or nothing that differs: controlled without


def _controlled(
    own: pd.DataFrame,
    rate: WinRate,
    difficulty: Difficulty | None,
    anchors: pd.DataFrame | None,
    chosen: EvaluationSet,
    options: LeaderboardOptions,
) -> Controlled:
    """The controlled win rate, or why there is none."""
    if not options.controls:
        return Controlled(None, None, "not asked for")
    frame = own[["instruction", "preference", *options.controls]]

    def fit(frame: pd.DataFrame, draws: int) -> ControlledWinRate:
        return controlled_win_rate(
            frame, options.controls, difficulty=difficulty, anchors=anchors,
            evaluation_set=chosen.instructions, draws=draws, seed=options.seed,
        )  # fmt: skip

    try:
        found = fit(frame, options.draws)
        shifted = None
        if rate.n_failed and difficulty is not None and len(frame) == frame["instruction"].nunique():
            shifted = fit(chosen.by_row_position(frame), 0).value
        return Controlled(found, shifted, "")
    except ValueError as error:
        return Controlled(None, None, str(error))


def _estimates(frame: pd.DataFrame) -> Estimates | None:
    """Win rates with their covariance; None where a model has too few instructions."""
    table = frame.pivot_table(index="instruction", columns="model", values="preference", aggfunc="mean")
    try:
        return win_rate_estimates(table)
    except ValueError:
        return None


def strengths(ledger: Ledger, options: LeaderboardOptions) -> Strengths:
    """Bradley-Terry strengths of all models in the evaluator's pairs, best first.

    Raises ConfigError where the pairs do not decide a ranking.
    """
    rows = judged_pairs(ledger, options)
    rows = rows[rows["model_a"] != rows["model_b"]]
    try:
        fitted = bradley_terry(
            rows,
            first="model_a",
            second="model_b",
            instruction="instruction",
            draws=options.draws,
            seed=options.seed,
        )
    except ValueError as error:
        remedy = "judge more pairs, or choose some with --source"
        raise ConfigError(str(error), where=options.annotator, remedy=remedy) from None
    groups = clusters(fitted.estimates)
    found = []
    for each in rank_ranges(fitted.estimates):
        mine = rows[(rows["model_a"] == each.model) | (rows["model_b"] == each.model)]
        interval = fitted.bootstrap_interval(each.model) if options.draws else fitted.interval(each.model)
        cluster = next(i for i, group in enumerate(groups, 1) if each.model in group)
        n = int(mine["preference"].notna().sum())
        found.append(Strength(each.model, interval, n, len(mine) - n, cluster, each.best, each.worst))
    return Strengths(options.annotator, fitted.n, fitted.n_failed, tuple(found))
