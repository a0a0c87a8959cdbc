"""A judge beside people: may it replace them, what win rate would they give, which pairs should they label.

People are the annotators of kind human. What the methods are, and when they may be believed, is in
docs/people.md; the statistics themselves, on plain frames and arrays, are in farm/statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.errors import ConfigError
from db.ids import Json, keyed_uniform
from db.ledger import Ledger
from db.queries.contests import contests
from db.records import AnnotationStatus, AnnotatorKind
from farm.evaluation.questions import questioned
from farm.evaluation.references import Who, annotator_named, named
from farm.evaluation.scope import EVERYTHING, Scope, made_to_test
from farm.statistics.agreement import VALUES, categories
from farm.statistics.alt_test import MIN_ITEMS, AltTest, alt_test
from farm.statistics.bootstrap import Interval
from farm.statistics.label_budget import LabelPlan, label_next, labels_needed
from farm.statistics.prediction_powered import PredictionPowered, prediction_powered_win_rate
from farm.statistics.rogan_gladen import RoganGladen, rogan_gladen
from farm.statistics.win_rates import win_rate

EPSILONS = (0.1, 0.15, 0.2)  # crowd workers, skilled annotators, experts
CHOICES = ("random", "doubt")
Floats = NDArray[np.float64]
T = TypeVar("T")


class Beginning(NamedTuple):
    """A pool with the labels of its order's unbroken beginning, and each question's chance of being in it."""

    pool: pd.DataFrame
    inclusion: Floats


@dataclass(frozen=True)
class Replacement:
    """The alternative annotator test of one annotator at several epsilons, or why there is none."""

    annotator: str
    tests: tuple[AltTest, ...]
    refused: str = ""

    def to_json(self) -> dict[str, Json]:
        tests: list[Json] = [
            {
                "epsilon": test.epsilon,
                "winning_rate": test.winning_rate,
                "advantage": test.advantage,
                "passes": test.passes,
                "people": [asdict(person) for person in test.people],
                "left_out": list(test.left_out),
                "n": test.n,
                "n_failed": test.n_failed,
            }
            for test in self.tests
        ]
        return {"annotator": self.annotator, "tests": tests, "refused": self.refused or None}


@dataclass(frozen=True)
class PeopleWinRate:
    """One win rate by a judge's standard and by people's.

    of: the model, or `first output`. judge: its own win rate on the pool, the questions that it was asked;
    people: their labels alone; corrected: after Rogan and Gladen, or why not; powered: prediction-powered, or
    why not; plan: labels for the wanted half-width, or why not, None: none is wanted; n_failed: questions of
    the pool without a verdict; outside: labelled questions that are no part of the estimate.
    """

    of: str
    annotator: str
    pool: int
    judge: Interval | None
    people: Interval | None
    corrected: RoganGladen | str
    powered: PredictionPowered | str
    plan: LabelPlan | str | None
    n_failed: int
    outside: int

    def to_json(self) -> Json:
        return {
            "of": self.of,
            "annotator": self.annotator,
            "pool": self.pool,
            "n_failed": self.n_failed,
            "outside": self.outside,
            "judge": _json(self.judge),
            "people": _json(self.people),
            "prediction_powered": _json(self.powered),
            "rogan_gladen": _json(self.corrected),
            "plan": _json(self.plan),
        }


def may_replace(
    ledger: Ledger,
    annotators: Sequence[str] = (),
    scope: Scope = EVERYTHING,
    epsilons: Sequence[float] = EPSILONS,
    min_items: int = MIN_ITEMS,
) -> list[Replacement]:
    """Which annotators may stand in for people; none named: everybody who is not a person.

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
    labels = item_labels(found.judgements)
    of_people = labels[labels["annotator"].isin(people)]
    return [_replacement(each, labels, of_people, epsilons, min_items) for each in chosen]


def item_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """One label per annotator and unit, the side of its mean: item, annotator, label (0, 0.5, 1)."""
    means = rows.groupby(["unit", "annotator"], sort=False)["preference"].mean().dropna().reset_index()
    labels = VALUES[categories(means["preference"].to_numpy(float))]
    return pd.DataFrame({"item": means["unit"], "annotator": means["annotator"], "label": labels})


def _replacement(
    who: Who, labels: pd.DataFrame, people: pd.DataFrame, epsilons: Sequence[float], min_items: int
) -> Replacement:
    own = labels[labels["annotator"] == who.code].set_index("item")["label"]
    others = people[people["annotator"] != who.code]
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
    """What people would say of a model, from their few labels and the annotator's many.

    Without a model it is the share of questions whose first output is preferred. half_width: of the interval
    that labels are planned for. chosen: how the labelled pairs were picked: at random, or by `next_pairs`
    ("doubt"), of which the unbroken beginning counts. Raises ConfigError where nothing fits.
    """
    if chosen not in CHOICES:
        raise ConfigError(f"--chosen is {chosen!r}", remedy=f"one of {', '.join(CHOICES)}")
    table = label_table(ledger, annotator, scope)
    pool = table[table["asked"]]
    inclusion = None
    if chosen == "doubt":
        pool, inclusion = in_order(pool)
    outside = int(table["human"].notna().sum() - pool["human"].notna().sum())
    human, judge = pool["human"].to_numpy(float), pool["judge"].to_numpy(float)
    instructions = pool["instruction"].to_numpy()
    plan: LabelPlan | str | None = None
    if half_width is not None:
        plan = _or_refusal(lambda: labels_needed(half_width, human, judge))
    return PeopleWinRate(
        scope.model or "first output",
        annotator,
        len(pool),
        _share(judge, instructions),
        _share(human, instructions),
        "labels chosen by doubt are no random choice" if chosen == "doubt" else _corrected(human, judge),
        _or_refusal(lambda: prediction_powered_win_rate(human, judge, instructions, inclusion=inclusion)),
        plan,
        int(np.isnan(judge).sum()),
        outside,
    )


def next_pairs(ledger: Ledger, annotator: str, n: int, scope: Scope = EVERYTHING) -> list[int]:
    """The ids of the pairs that people should label next, in order: what the annotator doubts is likelier to
    stand in front.

    The order is a function of the pairs and of the annotator's judgements: priority u / w, with u a keyed
    uniform of the pair and w its share of the doubt (Duffield, Lund and Thorup 2007, priority sampling), so
    that whoever labels any beginning of it has drawn a sample with known chances
    (`people_win_rate(..., chosen="doubt")`). Raises ConfigError where there is nothing to label.
    """
    if n < 1:
        raise ConfigError(f"--n is {n}", remedy="1 or more")
    order = by_doubt(ledger, annotator, scope)
    wanted = order.loc[order["human"].isna(), "pair_id"].drop_duplicates()
    return [int(pair) for pair in wanted[:n]]


def by_doubt(ledger: Ledger, annotator: str, scope: Scope = EVERYTHING) -> pd.DataFrame:
    """The whole order of `next_pairs`, with what people have labelled: rows of `label_table`."""
    table = label_table(ledger, annotator, scope)
    pool = table[table["asked"]]
    return pool.iloc[np.argsort(priorities(pool), kind="stable")]


def label_table(ledger: Ledger, annotator: str, scope: Scope) -> pd.DataFrame:
    """One row per question: pair_id, key, instruction, human and judge (mean preference for the model, or for
    the first output; NaN: none), judgements (the judge's verdicts), asked (the annotator was).

    Raises ConfigError where nothing fits the scope, or nobody of that name judged there.
    """
    rows = _oriented(ledger, scope)
    if rows.empty:
        raise ConfigError(
            "no judgement fits", where=str(ledger.address), remedy="`farm status` says what there is"
        )
    who = named([card for card in ledger.annotators() if card.id in set(rows["annotator"])])
    people = [each.code for each in who if each.kind is AnnotatorKind.HUMAN]
    mine = rows["annotator"] == annotator_named(who, annotator).code
    groups = rows.groupby("question", sort=True)
    table = groups[["pair_id", "key", "instruction"]].first()
    for name, chosen in (("human", rows["annotator"].isin(people)), ("judge", mine)):
        table[name] = rows[chosen].groupby("question")["preference"].mean().reindex(table.index)
    verdicts = rows[mine & rows["preference"].notna()]
    table["judgements"] = verdicts.groupby("question").size().reindex(table.index, fill_value=0)
    table["asked"] = table.index.isin(rows.loc[mine, "question"])
    return table


def _oriented(ledger: Ledger, scope: Scope) -> pd.DataFrame:
    """Judgements as P(model preferred), or P(first output preferred): question, pair_id, key, instruction,
    annotator, preference. Attacks of the robustness audit and catch items are no part."""
    if scope.against and not scope.model:
        raise ConfigError(
            "--against says whom a model meets", where="--against", remedy="name it with --model"
        )
    rows = contests(ledger, scope.source, scope.subset)
    rows = rows[(rows["status"] != AnnotationStatus.SPARED.value) & ~made_to_test(rows)]
    if scope.model is None:
        found = questioned(ledger, scope.source, scope.subset)
        units = found.units[["unit", "pair_id"]].rename(columns={"unit": "question"})
        of_pair = rows[["pair_id", "key", "instruction"]].drop_duplicates("pair_id")
        judged = found.judgements.rename(columns={"unit": "question"})[
            ["question", "annotator", "preference"]
        ]
        return pd.DataFrame(judged.merge(units, on="question").merge(of_pair, on="pair_id"))
    sides = rows[["model_a", "model_b"]].to_numpy(object)
    takes_part = (sides == scope.model).sum(axis=1) == 1
    if scope.against is not None:
        takes_part &= (sides == scope.against).any(axis=1)
    rows = rows[takes_part]
    first = (rows["model_a"] == scope.model).to_numpy()
    preference = np.where(first, rows["preference"], 1 - rows["preference"])
    return pd.DataFrame(rows.assign(question=rows["pair_id"], preference=preference))


def priorities(pool: pd.DataFrame) -> Floats:
    """u / w of every question: the least come first."""
    uniform = np.array([keyed_uniform("label next", key) for key in pool["key"]])
    return uniform / _shares(pool)


def _shares(pool: pd.DataFrame) -> Floats:
    """Chances of being the one that is drawn: half by doubt, half even."""
    doubted = shrunk(pool["judge"].to_numpy(float), pool["judgements"].to_numpy(float))
    return label_next(doubted, 1)["inclusion"].to_numpy(float)


def shrunk(mean: Floats, count: Floats) -> Floats:
    """What `count` verdicts of this mean let one expect of another: (count mean + 1) / (count + 2), Laplace's
    rule. One verdict, however firm, is no certainty: labels chosen by bare means, most of them 0 or 1, give
    wider intervals than labels chosen at random (benchmarks/prediction_powered.py)."""
    return (np.nan_to_num(mean, nan=0.5) * count + 1) / (count + 2)


def in_order(pool: pd.DataFrame) -> Beginning:
    """The chances are min(1, w tau), tau the priority of the first question that is not in it."""
    priority = priorities(pool)
    order = np.argsort(priority, kind="stable")
    labelled = pool["human"].notna().to_numpy()[order]
    beginning = int(np.argmin(labelled)) if not labelled.all() else len(pool)
    human = np.full(len(pool), np.nan)
    human[order[:beginning]] = pool["human"].to_numpy(float)[order[:beginning]]
    tau = np.inf if beginning == len(pool) else priority[order[beginning]]
    return Beginning(pool.assign(human=human), np.minimum(1.0, _shares(pool) * tau))


def _corrected(human: Floats, judge: Floats) -> RoganGladen | str:
    """After Rogan and Gladen, on the pairs that neither side calls a tie."""
    ties = (human == 0.5) | (judge == 0.5)
    people, simulated = (np.where(np.isnan(each), np.nan, each > 0.5)[~ties] for each in (human, judge))
    return _or_refusal(lambda: rogan_gladen(people, simulated))


def _share(preferences: Floats, instructions: NDArray[np.int64]) -> Interval | None:
    known = ~np.isnan(preferences)
    return win_rate(preferences[known], instructions[known]).interval if known.any() else None


def _or_refusal(estimate: Callable[[], T]) -> T | str:
    """What the estimate is, or why the statistics refuse it."""
    try:
        return estimate()
    except ValueError as error:
        return str(error)


def _json(found: Interval | PredictionPowered | RoganGladen | LabelPlan | str | None) -> Json:
    if found is None:
        return None
    return {"refused": found} if isinstance(found, str) else asdict(found)
