"""The questions that people can label: their table, and the order in which people should label them.

The order is by priority sampling (Duffield, Lund and Thorup 2007). A question has the priority u / w: u is a
keyed uniform number of its pair, w its share of the judge's doubt. The least priorities come first. So the
order depends on the pairs and the judge's verdicts alone, doubtful questions tend to come early, and every
prefix of the order is a random sample with known inclusion probabilities.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.errors import ConfigError
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries.contests import contests
from db.records import AnnotationStatus, AnnotatorKind
from farm.evaluation.questions import questioned
from farm.evaluation.references import annotator_named, named
from farm.evaluation.scope import EVERYTHING, Scope, made_to_test
from farm.statistics.label_budget import label_next

Floats = NDArray[np.float64]


class LabelledPrefix(NamedTuple):
    """The labelled prefix of the labelling order, and each question's inclusion probability.

    pool: rows of `label_table`; labels after the prefix are removed. inclusion (rows of pool,): in (0, 1].
    """

    pool: pd.DataFrame
    inclusion: Floats


def label_table(ledger: Ledger, annotator: str, scope: Scope) -> pd.DataFrame:
    """One row per question with what people and the judge `annotator` said.

    Columns: pair_id, key (of the pair), instruction; human and judge (mean preference for the model of the
    scope, or for the first output, in [0, 1], NaN: none; each person weighs the same);
    judgements (how many verdicts the judge gave);
    asked (whether the judge was asked). Raises ConfigError where nothing fits the scope, or where nobody of
    that name judged there."""
    with ledger.frozen():
        rows, cards = _oriented(ledger, scope), ledger.annotators()
    if rows.empty:
        raise ConfigError(
            "no judgement fits", where=str(ledger.address), remedy="`farm status` says what there is"
        )
    who = named([card for card in cards if card.id in set(rows["annotator"])])
    people = [each.code for each in who if each.kind is AnnotatorKind.HUMAN]
    mine = rows["annotator"] == annotator_named(who, annotator).code
    groups = rows.groupby("question", sort=True)
    table = groups[["pair_id", "key", "instruction"]].first()
    for name, chosen in (("human", rows["annotator"].isin(people)), ("judge", mine)):
        each = rows[chosen].groupby(["question", "annotator"])["preference"].mean()
        table[name] = each.groupby("question").mean().reindex(table.index)
    verdicts = rows[mine & rows["preference"].notna()]
    table["judgements"] = verdicts.groupby("question").size().reindex(table.index, fill_value=0)
    table["asked"] = table.index.isin(rows.loc[mine, "question"])
    return table


def by_doubt(ledger: Ledger, annotator: str, scope: Scope = EVERYTHING) -> pd.DataFrame:
    """The labelling order: rows of `label_table` that the judge was asked, labelled or not, by priority."""
    table = label_table(ledger, annotator, scope)
    pool = table[table["asked"]]
    return pool.iloc[np.argsort(priorities(pool), kind="stable")]


def priorities(pool: pd.DataFrame) -> Floats:
    """The priority u / w of each row of a pool: (rows,). The least comes first."""
    uniform = np.array([keyed_uniform("label next", key) for key in pool["key"]])
    return uniform / _shares(pool)


def labelled_prefix(pool: pd.DataFrame) -> LabelledPrefix:
    """Keep the labels of the order's labelled prefix: those before the first question without a label.

    The inclusion probability of a question is min(1, w tau), where tau is the priority of that first question
    without a label.
    """
    priority = priorities(pool)
    order = np.argsort(priority, kind="stable")
    labelled = pool["human"].notna().to_numpy()[order]
    end = int(np.argmin(labelled)) if not labelled.all() else len(pool)
    human = np.full(len(pool), np.nan)
    human[order[:end]] = pool["human"].to_numpy(float)[order[:end]]
    tau = np.inf if end == len(pool) else priority[order[end]]
    return LabelledPrefix(pool.assign(human=human), np.minimum(1.0, _shares(pool) * tau))


def shrunk(mean: Floats, count: Floats) -> Floats:
    """Laplace's estimate (count mean + 1) / (count + 2) of the next verdict, in [0, 1].

    mean (n,): of the verdicts so far, NaN without one. count (n,): how many there are. One verdict, however
    firm, is not certain. Labels chosen by bare means, most of which are 0 or 1, give wider intervals than
    labels chosen at random (benchmarks/prediction_powered.py)."""
    return (np.nan_to_num(mean, nan=0.5) * count + 1) / (count + 2)


def _shares(pool: pd.DataFrame) -> Floats:
    """The share w of each row, in sum 1: half by doubt, half even."""
    doubted = shrunk(pool["judge"].to_numpy(float), pool["judgements"].to_numpy(float))
    return label_next(doubted, 1)["inclusion"].to_numpy(float)


def _oriented(ledger: Ledger, scope: Scope) -> pd.DataFrame:
    """Judgements with the preference for the model of the scope, or for the first output.

    Columns: question, pair_id, key, instruction, annotator, preference. Pairs that are made to test judges
    are left out.
    """
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
