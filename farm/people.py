"""Compare a judge with people: `farm people`.

It answers three questions. May the judge replace people? Which win rate would people give? Which pairs should
people label next? People are the annotators of kind human. docs/people.md says what the methods assume. The
statistics are in farm/statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.frames import Judgements
from db.records import AnnotatorKind
from farm.evaluation.label_order import by_doubt, label_table, labelled_prefix
from farm.evaluation.people_report import Counts, PeopleWinRate, Replacement
from farm.evaluation.questions import questioned
from farm.evaluation.references import Who, annotator_named, named
from farm.evaluation.scope import EVERYTHING, Scope
from farm.options.people import Estimating, Replacing
from farm.settings.checked import build
from farm.statistics.agreement import sides
from farm.statistics.alt_test import alt_test
from farm.statistics.bootstrap import Interval
from farm.statistics.label_budget import LabelPlan, labels_needed
from farm.statistics.prediction_powered import prediction_powered_win_rate
from farm.statistics.rogan_gladen import RoganGladen, rogan_gladen
from farm.statistics.win_rates import win_rate

Floats = NDArray[np.float64]
T = TypeVar("T")


def may_replace(
    ledger: Ledger,
    annotators: Sequence[str] = (),
    scope: Scope = EVERYTHING,
    epsilons: Sequence[float] = Replacing().epsilon,
    min_items: int = Replacing().min_items,
) -> list[Replacement]:
    """Test which annotators may replace people (farm/statistics/alt_test.py).

    annotators: names; none means everybody who is not a person. scope: only its source and subset count.
    Raises ConfigError where nobody of that name, or no person, judged here.
    """
    found = questioned(ledger, scope.source, scope.subset)
    who = named(found.annotators)
    people = [each.code for each in who if each.kind is AnnotatorKind.HUMAN]
    if not people:
        raise ConfigError(
            "no person judged here", where=str(ledger.address), remedy="`farm import`, `farm label`"
        )
    chosen = [each for each in who if each.code not in people]
    if annotators:
        chosen = [annotator_named(who, name) for name in annotators]
    labels = _item_labels(found, who)
    of_people = labels[labels["annotator"].isin([each.name for each in who if each.code in people])]
    return [
        _replacement(each, labels, people=of_people, epsilons=epsilons, min_items=min_items)
        for each in chosen
    ]


def _item_labels(found: Judgements, who: Sequence[Who]) -> pd.DataFrame:
    """One label per annotator and question, by name: item, annotator, label (0, 0.5, 1: the mean's side), and
    the question's instruction as its cluster."""
    rows = found.judgements
    names = rows["annotator"].map({each.code: each.name for each in who})
    means = rows.assign(annotator=names).groupby(["annotator", "unit"])["preference"].mean().dropna()
    told = means.reset_index()
    labels = sides(told["preference"].to_numpy(float))
    clusters = told["unit"].map(found.units.set_index("unit")["instruction_id"])
    return pd.DataFrame(
        {"item": told["unit"], "annotator": told["annotator"], "label": labels, "cluster": clusters}
    )


def _replacement(
    who: Who, labels: pd.DataFrame, people: pd.DataFrame, epsilons: Sequence[float], min_items: int
) -> Replacement:
    own = labels[labels["annotator"] == who.name].set_index("item")["label"]
    others = people[people["annotator"] != who.name]
    try:
        tests = tuple(alt_test(others, own, epsilon, min_items=min_items) for epsilon in epsilons)
    except ValueError as error:
        return Replacement(who.name, (), str(error))
    return Replacement(who.name, tests)


def people_win_rate(
    ledger: Ledger,
    annotator: str,
    scope: Scope = EVERYTHING,
    half_width: float | None = None,
    chosen: str = "random",
) -> PeopleWinRate:
    """Estimate the win rate that people would give, from their few labels and the annotator's many.

    Without a model in the scope it is the share of questions whose first output is preferred. half_width: of
    the interval to plan labels for, a share. chosen: how the labelled pairs were chosen: "random", or "doubt"
    for the order of `next_pairs`, of which only the labelled prefix counts. Raises ConfigError where nothing
    fits.
    """
    build(Estimating, {"half_width": half_width, "chosen": chosen})  # refuses what it does not know
    table = label_table(ledger, annotator, scope)
    pool = table[table["asked"]]
    inclusion = None
    if chosen == "doubt":
        pool, inclusion = labelled_prefix(pool)
    outside = int(table["human"].notna().sum() - pool["human"].notna().sum())
    human, judge = pool["human"].to_numpy(float), pool["judge"].to_numpy(float)
    instructions = pool["instruction"].to_numpy()
    plan: LabelPlan | str | None = None
    if half_width is not None:
        plan = _or_refusal(lambda: labels_needed(half_width, human, judge, instructions))
    labelled, judged = ~np.isnan(human), ~np.isnan(judge)
    return PeopleWinRate(
        of=scope.model or "first output",
        annotator=annotator,
        pool=len(pool),
        judge=_share(judge, instructions),
        people=_share(human, instructions),
        corrected="labels chosen by doubt are no random choice"
        if chosen == "doubt"
        else _corrected(human, judge, instructions),
        powered=_or_refusal(
            lambda: prediction_powered_win_rate(human, judge, instructions, inclusion=inclusion)
        ),
        plan=plan,
        n_failed=int((~judged).sum()),
        outside=outside,
        judge_counts=Counts(len(np.unique(instructions[judged])), 0, int(judged.sum())),
        people_counts=Counts(len(np.unique(instructions[labelled])), int(labelled.sum()), 0),
    )


def next_pairs(ledger: Ledger, annotator: str, n: int, scope: Scope = EVERYTHING) -> list[int]:
    """The ids of the n pairs that people should label next, in order.

    Pairs that the annotator doubts tend to come first. Whoever labels the order without gaps has drawn a
    sample with known inclusion probabilities, which `people_win_rate(..., chosen="doubt")` uses
    (farm/evaluation/label_order.py). Raises ConfigError where there is nothing to label.
    """
    if n < 1:
        raise ConfigError(f"--n is {n}", remedy="1 or more")
    order = by_doubt(ledger, annotator, scope)
    wanted = order.loc[order["human"].isna(), "pair_id"].drop_duplicates()
    return [int(pair) for pair in wanted[:n]]


def _corrected(human: Floats, judge: Floats, instructions: NDArray[np.int64]) -> RoganGladen | str:
    """Rogan and Gladen's estimate on the pairs that neither side calls a tie, or why it was refused."""
    people, simulated = sides(human), sides(judge)
    told = (people != 0.5) & (simulated != 0.5)
    return _or_refusal(lambda: rogan_gladen(people[told], simulated[told], instructions[told]))


def _share(preferences: Floats, instructions: NDArray[np.int64]) -> Interval | None:
    known = ~np.isnan(preferences)
    return win_rate(preferences[known], instructions[known]).interval if known.any() else None


def _or_refusal(estimate: Callable[[], T]) -> T | str:
    """The estimate, or the reason of its ValueError."""
    try:
        return estimate()
    except ValueError as error:
        return str(error)
