"""What a plan of labels starts from: the pairs of the ledger, people's votes on them, other judges, prices.

A question is a pair. Preferences are for the pair's first output, in [0, 1]. A person's judgements of a pair
are one vote, with their mean; an annotator's judgements of a pair are one verdict, with their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.contests import contest_pairs, contests
from db.queries.costs import prices_of_pairs
from db.records import AnnotationStatus, AnnotatorKind
from farm.evaluation.references import named
from farm.evaluation.scope import Scope, made_to_test
from farm.statistics.agreement import agreement_on_equal_footing, categories
from farm.statistics.win_rates import codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PossibleJudge:
    """Somebody who could judge beside people. verdicts (n,): NaN without one. asked (n,): it was asked.

    judgements: each judgement's question and preference. price: of one question in US dollars, None if the
    ledger does not know it.
    """

    name: str
    kind: AnnotatorKind
    verdicts: Floats
    asked: Bools
    judgements: pd.DataFrame
    price: float | None


@dataclass(frozen=True)
class PlanPool:
    """n questions. models (n, 2): who wrote the outputs. instructions (n,): from 0. votes (n, P): of P."""

    models: NDArray[np.object_]
    instructions: Ints
    votes: Floats
    candidates: Mapping[str, PossibleJudge]

    def some_votes(self, people: int, seed: int) -> Floats:
        """The votes of so many people on each question, drawn at random: (n, people).

        A question with fewer people has none, NaN.
        """
        there = ~np.isnan(self.votes)
        order = np.where(there, np.random.default_rng(seed).random(self.votes.shape), np.inf).argsort(axis=1)
        chosen = np.take_along_axis(self.votes, order[:, :people], axis=1)
        chosen[there.sum(axis=1) < people] = np.nan
        return chosen

    def labels_there(self, people: int) -> Ints:
        """How many labels each question has, up to the number of people that are asked: (n,)."""
        there: Ints = np.minimum((~np.isnan(self.votes)).sum(axis=1), people).astype(np.int64)
        return there

    def reference(self) -> str | None:
        """The model that takes part in every pair; None where there is none, or two."""
        always = [each for each in set(self.models[0]) if (self.models == each).any(axis=1).all()]
        return str(always[0]) if len(always) == 1 else None


def counts_of(votes: Floats) -> Ints:
    """Votes (n, people) by category: (n, 3), as farm/statistics/agreement.py counts them."""
    sides = categories(votes.ravel()).reshape(votes.shape)
    return np.stack([(sides == each).sum(axis=1) for each in range(3)], axis=1).astype(np.int64)


def agreement_scores(candidate: PossibleJudge, counts: Ints) -> Floats:
    """The mean agreement of an annotator's judgements of each question with people's votes (n, 3): (n,).

    It is the audit's. NaN where either said nothing.
    """
    place = candidate.judgements["question"].to_numpy(np.int64)
    scores = agreement_on_equal_footing(candidate.judgements["preference"].to_numpy(float), counts[place])
    known = ~np.isnan(scores)
    n = np.bincount(place[known], minlength=len(counts))
    total = np.bincount(place[known], scores[known], minlength=len(counts))
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def plan_pool(ledger: Ledger, scope: Scope) -> PlanPool:
    """The questions of a source and subset, judged or not. Raises ConfigError where no person judged one."""
    with ledger.frozen():
        pairs = contest_pairs(ledger, scope.source, scope.subset)
        rows, cards = contests(ledger, scope.source, scope.subset), ledger.annotators()
        prices = prices_of_pairs(ledger)
    pairs = pairs[~made_to_test(pairs) & (pairs["model_a"] != pairs["model_b"])].reset_index(drop=True)
    place = pd.Series(pairs.index, index=pairs["pair_id"])
    rows = rows[rows["pair_id"].isin(place.index) & (rows["status"] != AnnotationStatus.SPARED.value)]
    rows = rows.assign(question=rows["pair_id"].map(place))
    who = named([card for card in cards if card.id in set(rows["annotator"])])
    people = [each.code for each in who if each.kind is AnnotatorKind.HUMAN]
    if not people:
        raise ConfigError(
            "no person judged two models' outputs here, so there is no pilot",
            where=str(ledger.address),
            remedy="let people judge 50 pairs or more: `farm label`, or `farm import`",
        )
    means = rows.groupby(["question", "annotator"])["preference"].mean().unstack("annotator")
    means = means.reindex(pairs.index).reindex(columns=[each.code for each in who])
    candidates = {}
    for each in who:
        own = rows[rows["annotator"] == each.code]
        candidates[each.name] = PossibleJudge(
            name=each.name,
            kind=each.kind,
            verdicts=means[each.code].to_numpy(float),
            asked=np.isin(pairs.index.to_numpy(), own["question"].to_numpy()),
            judgements=own[["question", "preference"]],
            price=prices.get(each.code, 0.0 if each.kind is AnnotatorKind.RULE else None),
        )
    return PlanPool(
        models=pairs[["model_a", "model_b"]].to_numpy(object),
        instructions=codes(pairs["instruction"].to_numpy(object), len(pairs)).astype(np.int64),
        votes=means[people].to_numpy(float),
        candidates={name: each for name, each in candidates.items() if each.kind is not AnnotatorKind.HUMAN},
    )
