"""Rank models by one evaluator's judgements: `farm leaderboard`.

`leaderboard` ranks by win rates against one reference, and by win rates controlled for length or other
features (farm/statistics/win_rates.py, length_control.py). `strengths` ranks by Bradley-Terry strengths from
any pairs. Rates are shares here. They are percent in JSON and on the terminal, as in AlpacaEval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.errors import ConfigError, did_you_mean
from db.ledger import Ledger
from db.queries.contests import contest_pairs, contested, members, texts_of, told_of_pairs
from farm.evaluation.leaderboard_report import (
    NOT_ASKED,
    Controlled,
    Leaderboard,
    LeaderboardEntry,
    Strength,
    Strengths,
)
from farm.evaluation.rankings import codes_named, common_reference, one_vote, sides
from farm.evaluation.references import named
from farm.evaluation.scope import made_to_test, none_succeeded
from farm.evaluation.sets import EvaluationSet, choose_set
from farm.options.leaderboard import LENGTH
from farm.options.leaderboard import LeaderboardOptions as LeaderboardOptions
from farm.statistics.bradley_terry import bradley_terry
from farm.statistics.difficulty import Difficulty, fit_difficulty
from farm.statistics.length_control import FEATURES, ControlledWinRate, controlled_win_rate
from farm.statistics.ranking import clusters, rank_ranges
from farm.statistics.win_rates import Estimates, WinRate, nothing_judged, win_rate_estimates, win_rates


@dataclass(frozen=True)
class _Control:
    """What win rates are controlled for. difficulty: None where there is none, for the reason in `lacking`.
    given: the difficulty comes from a table, not from our own fit."""

    features: tuple[str, ...]
    difficulty: Difficulty | None
    given: bool
    lacking: str
    anchors: pd.DataFrame | None


def leaderboard(ledger: Ledger, options: LeaderboardOptions) -> Leaderboard:
    """The win rates of all models against the reference, best first, in one state of the ledger.

    Raises ConfigError where there is nothing to rank, or where the reference is not given and not clear.
    """
    with ledger.frozen():
        return board_of(ledger, judged_pairs(ledger, options), options)


def judged_pairs(ledger: Ledger, options: LeaderboardOptions) -> pd.DataFrame:
    """The evaluator's judgements as rows of `contests`; pairs made to test judges are left out.

    Raises ConfigError where there is none.
    """
    with ledger.frozen():
        told = told_of_pairs(ledger, options.source, options.subset)
        pairs = contest_pairs(ledger, options.source, options.subset)
    pairs = pairs[~made_to_test(pairs)]
    told = told[np.isin(told["pair_id"], pairs["pair_id"])]
    if told.empty:
        raise ConfigError(
            "no judgement fits", where=str(ledger.address), remedy="`farm status` says what there is"
        )
    present = set(told["annotator"].unique())
    who = named([card for card in ledger.annotators() if card.id in present])
    theirs = told[np.isin(told["annotator"], codes_named(who, options.annotator))]
    return contested(theirs, pairs, options.average_orders)


def board_of(
    ledger: Ledger,
    rows: pd.DataFrame,
    options: LeaderboardOptions,
    times: int = 1,
    only: frozenset[str] | None = None,
) -> Leaderboard:
    """The leaderboard of these judgements.

    rows: as `judged_pairs` gives them. times: how many failed judgements an instruction without any counts
    as. only: keys of the instructions of the set that count; None: all. Raises as `leaderboard` does.
    """
    reference = options.reference or reference_of(rows)
    frame = against(rows, reference)
    chosen = choose_set(members(ledger), set(frame["instruction"]), options.set_name, only)
    frame = frame[frame["instruction"].isin(chosen.instructions)]
    rates = {
        str(model): rate_of(part, chosen.instructions * times)
        for model, part in frame.groupby("model", sort=False)
    }
    if not any(rate.n for rate in rates.values()):
        raise none_succeeded(rows[rows["pair_id"].isin(frame["pair_id"])], options.annotator)
    frame = one_vote(frame, ["vote", "model"], ["preference"])
    measured = with_features(ledger, frame, options.features, reference)
    control = _control(measured, chosen, options)
    estimates = _estimates(frame)
    ranges = {each.model: each for each in rank_ranges(estimates)} if estimates else {}
    groups = clusters(estimates) if estimates else []
    places = []
    for model, rate in sorted(rates.items(), key=lambda each: (each[1].n == 0, -each[1].value, each[0])):
        own = measured[measured["model"] == model]
        cluster = next((i for i, group in enumerate(groups, 1) if model in group), None)
        ends = ranges.get(model)
        best, worst = (ends.best, ends.worst) if ends else (None, None)
        places.append(
            LeaderboardEntry(
                model=model,
                rate=rate,
                controlled=_controlled(own, control, chosen, options),
                length=float(own["length_model"].mean()),
                reference_length=float(own["length_reference"].mean()),
                cluster=cluster,
                best=best,
                worst=worst,
            )
        )
    source = control.difficulty.source if control.difficulty else "none"
    return Leaderboard(
        annotator=options.annotator,
        reference=reference,
        set_name=chosen.name,
        difficulty=source,
        lacking=control.lacking,
        controls=options.features,
        places=tuple(places),
    )


def reference_of(rows: pd.DataFrame) -> str:
    """The model that takes part in every pair. Raises ConfigError where there is none, or two."""
    both = sides(rows)
    found = common_reference(both) if len(both) else None
    if found is None:
        models = sorted({*rows["model_a"], *rows["model_b"]})
        some = ", ".join(filter(None, models[:6])) or "models without names"
        what = "the reference may be either" if len(models) == 2 else "no one model takes part in every pair"
        raise ConfigError(
            f"{what} (there are {some})",
            remedy="name a --reference, or rank them all with --bradley-terry",
        )
    return found


def against(rows: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The judgements of pairs with the reference. The reference against itself counts as a model too.

    Columns: model, instruction, pair_id, asked (which annotator was asked about which pair in which order),
    vote (whose about which pair), preference (for the model, in [0, 1]), first (the model's output is
    output_a). Of two outputs of the reference one wins as the other loses, so each of their judgements is a
    tie. Raises ConfigError where there is none.
    """
    models = {*rows["model_a"], *rows["model_b"]}
    rows = rows[(rows["model_a"] == reference) | (rows["model_b"] == reference)]
    if rows.empty:
        remedy = did_you_mean(reference, models, "name another --reference")
        raise ConfigError(f"nothing was judged against {reference!r}", remedy=remedy)
    first = rows["model_b"] == reference  # the model's output is output_a
    itself = first & (rows["model_a"] == reference)
    preference = rows["preference"].where(first, 1 - rows["preference"])
    return pd.DataFrame(
        {
            "model": rows["model_a"].where(first, rows["model_b"]),
            "instruction": rows["instruction"],
            "pair_id": rows["pair_id"],
            "asked": rows.groupby(["key", "annotator", "swapped"]).ngroup(),
            "vote": rows.groupby(["key", "annotator"]).ngroup(),
            "preference": preference.mask(itself & preference.notna(), 0.5),
            "first": first,
        }
    ).reset_index(drop=True)


def rate_of(part: pd.DataFrame, asked: Sequence[Hashable]) -> WinRate:
    """The win rate of one model. asked: the instructions that it should have answered; an instruction without
    a judgement counts as failed, as often as it is listed."""
    if part["preference"].isna().all():
        answered = set(part["instruction"])
        return nothing_judged(len(part) + sum(each not in answered for each in asked))
    [rate] = win_rates(part, pair="asked", vote="vote", evaluation_set=asked).values()
    return rate


def with_features(
    ledger: Ledger, frame: pd.DataFrame, controls: tuple[str, ...], reference: str
) -> pd.DataFrame:
    """Add columns of text features to the frame of `against`.

    For `length` (characters) and each of `controls`: NAME (reference minus model, 0 for the reference
    itself), NAME_model and NAME_reference.
    """
    names = tuple(dict.fromkeys((*LENGTH, *controls)))
    ids = [int(each) for each in frame["pair_id"].unique()]
    table = {
        number: [FEATURES[name](text) for name in names for text in (a, b)]
        for number, a, b in texts_of(ledger, ids)
    }
    values = np.array([table[number] for number in frame["pair_id"]], float).reshape(len(frame), -1)
    first, itself = frame["first"].to_numpy(bool), (frame["model"] == reference).to_numpy()
    measured = frame.copy()
    for place, name in enumerate(names):
        a, b = values[:, 2 * place], values[:, 2 * place + 1]
        own, rival = np.where(first, a, b), np.where(first, b, a)
        measured[name] = np.where(itself, 0, rival - own)
        measured[f"{name}_model"], measured[f"{name}_reference"] = own, rival
    return measured


def _control(measured: pd.DataFrame, chosen: EvaluationSet, options: LeaderboardOptions) -> _Control:
    """The controls with their difficulty: from the file, else from the imported set, else fitted to the
    models."""
    features = options.features
    if not features:
        return _Control(features=(), difficulty=None, given=False, lacking=NOT_ASKED, anchors=None)
    anchors = chosen.anchors(options.anchors, options.difficulty) if features == LENGTH else None
    if (given := chosen.difficulty(options.difficulty)) is not None:
        return _Control(features=features, difficulty=given, given=True, lacking="", anchors=anchors)
    try:
        return _Control(
            features=features,
            difficulty=fit_difficulty(measured, features),
            given=False,
            lacking="",
            anchors=anchors,
        )
    except (ValueError, ArithmeticError) as error:
        return _Control(features=features, difficulty=None, given=False, lacking=str(error), anchors=anchors)


def _controlled(
    own: pd.DataFrame, control: _Control, chosen: EvaluationSet, options: LeaderboardOptions
) -> Controlled:
    """One model's controlled win rate, or the reason why there is none."""
    if not control.features:
        return Controlled(None, None, control.lacking)
    frame = own[["instruction", "preference", *control.features]]

    def fit(frame: pd.DataFrame, draws: int) -> ControlledWinRate:
        return controlled_win_rate(
            frame,
            control.features,
            difficulty=control.difficulty,
            anchors=control.anchors,
            evaluation_set=chosen.instructions,
            draws=draws,
            seed=options.seed,
        )

    try:
        found = fit(frame, options.draws)
        shifted = None
        if control.given and len(frame) == frame["instruction"].nunique() < len(chosen.rows):
            shifted = fit(chosen.by_row_position(frame), 0).value
        return Controlled(found, shifted, "")
    except (ValueError, ArithmeticError) as error:
        return Controlled(None, None, str(error))


def _estimates(frame: pd.DataFrame) -> Estimates | None:
    """The win rates that are shown, of models with two or more judged instructions; None without any."""
    judged = frame.dropna(subset=["preference"])
    several = judged[judged.groupby("model")["instruction"].transform("nunique") > 1]
    return win_rate_estimates(several) if len(several) else None


def strengths(ledger: Ledger, options: LeaderboardOptions) -> Strengths:
    """The Bradley-Terry strengths (log-odds) of all models in the evaluator's pairs, best first.

    Raises ConfigError where the pairs do not determine a ranking.
    """
    with ledger.frozen():
        rows = judged_pairs(ledger, options)
        rows = rows[rows["model_a"] != rows["model_b"]]
        if options.set_name is not None:
            chosen = choose_set(members(ledger), set(rows["instruction"]), options.set_name)
            rows = rows[rows["instruction"].isin(chosen.instructions)]
    if rows["preference"].isna().all():
        raise none_succeeded(rows, options.annotator)
    try:
        fitted = bradley_terry(
            one_vote(rows, ["annotator", "pair_id"], ["preference"]),
            first="model_a",
            second="model_b",
            instruction="instruction",
        )
    except (ValueError, ArithmeticError) as error:
        remedy = "judge more pairs, or choose some with --source"
        raise ConfigError(str(error), where=options.annotator, remedy=remedy) from None
    groups = clusters(fitted.estimates)
    found = []
    for each in rank_ranges(fitted.estimates):
        mine = rows[(rows["model_a"] == each.model) | (rows["model_b"] == each.model)]
        cluster = next(i for i, group in enumerate(groups, 1) if each.model in group)
        n = int(mine["preference"].notna().sum())
        found.append(
            Strength(
                model=each.model,
                strength=fitted.interval(each.model),
                n=n,
                n_failed=len(mine) - n,
                cluster=cluster,
                best=each.best,
                worst=each.worst,
            )
        )
    n = int(rows["preference"].notna().sum())
    return Strengths(options.annotator, n, n_failed=len(rows) - n, places=tuple(found))
