"""The measures of one annotator: agreement with a reference, biases and consistency.

Every measure is a function of sums over units (measures.py). Each judgement weighs the same. Soft preferences
count as their side, but in brier and kl, which compare chances. Measures are shares in [0, 1] unless they say
otherwise. Arrays over units have the shape (units,), arrays over judgements (n,). Lengths are in characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.statistics.agreement import (
    Faced,
    Floats,
    Ints,
    accuracy,
    agreement_with_mode,
    averaged,
    categories,
    clear_majority,
    error_of_mode,
    less_one,
    modes,
    over_columns,
    self_error,
    sides,
    votes,
)
from farm.statistics.measures import Measure, difference_scale, mean_of, no_scale
from farm.statistics.reliability import (
    LEAST,
    alpha_scale,
    cohen_counts,
    cohen_kappa,
    cohen_scale,
    coincidences,
    confusion,
    constant_accuracy,
    gwet_ac1,
    gwet_scale,
    krippendorff_alpha,
)
from farm.statistics.vote_distribution import brier, divergence, shares, shares_of_counts

LONGER_BY = 30  # a difference in length counts above this many characters (AlpacaEval)


@dataclass(frozen=True)
class Units:
    """Features of the questions. length, list (units, 2): characters of the first and the second output, and
    whether each has a list. identical (units,): whether both outputs are the same text. pair, instruction
    (units,): numbers of the pair of texts and of the instruction; several questions may share one."""

    length: Ints
    list: NDArray[np.bool_]
    identical: NDArray[np.bool_]
    pair: Ints
    instruction: Ints

    def __len__(self) -> int:
        return len(self.identical)

    def take(self, places: Ints) -> Units:
        """The units at these places."""
        return Units(
            length=self.length[places],
            list=self.list[places],
            identical=self.identical[places],
            pair=self.pair[places],
            instruction=self.instruction[places],
        )

    def times(self, counted: NDArray[np.bool_]) -> Floats:
        """How many of the counted units have the pair of each unit, at least 1: (units,)."""
        own = np.unique(self.pair, return_inverse=True)[1]
        return np.maximum(np.bincount(own, counted, minlength=len(self))[own], 1.0)

    @property
    def longest(self) -> Floats:
        """The preference of a judge that always takes the longer output: (units,), 0.5 at equal length."""
        side: Floats = (np.sign(self.length[:, 0] - self.length[:, 1]) + 1) / 2
        return side


class JudgementColumns(NamedTuple):
    """One annotator's judgements, (n,) each. swapped: 1 where the second output was shown first, 0 where not,
    -1 where it is unknown."""

    units: Ints
    preference: Floats
    swapped: Ints
    replicate: Ints


class BothOrders(NamedTuple):
    """Judgements in both orders: units (m,), and the category in each order (m,): first not swapped."""

    units: Ints
    first: Ints
    second: Ints


def both_orders(judged: JudgementColumns) -> BothOrders:
    """Pair each judgement with the one of the same unit and replicate in the other order."""
    known = judged.swapped >= 0
    span = int(judged.replicate.max(initial=0)) + 1
    key = judged.units[known] * span + judged.replicate[known]
    category, swapped = categories(judged.preference)[known], judged.swapped[known]
    both = []
    for order in (0, 1):
        own, place = np.unique(key[swapped == order], return_index=True)
        both.append((own, category[swapped == order][place]))
    (keys_0, category_0), (keys_1, category_1) = both
    common, i, j = np.intersect1d(keys_0, keys_1, assume_unique=True, return_indices=True)
    return BothOrders(common // span, category_0[i], category_1[j])


class Reference(NamedTuple):
    """What one annotator is compared with.

    votes (units, 3): the votes of the reference, one of each member. own (units, 3): those of the annotator
    among them, None where it is no member. score (units,): the mean agreement of the members with each other
    on each unit, NaN where there is none.
    """

    votes: Ints
    own: Ints | None
    score: Floats

    @property
    def others(self) -> Ints:
        """The votes of all members but the annotator: (units, 3)."""
        return self.votes if self.own is None else self.votes - self.own

    @property
    def faced(self) -> list[Faced]:
        """The votes that one judgement faces: the others' for a member, else all less one."""
        return faced(self.votes, self.own)


def faced(every: Ints, own: Ints | None) -> list[Faced]:
    """The votes that one judgement of each unit faces. every, own: `votes` and `own` of a `Reference`."""
    return less_one(every) if own is None else [Faced(np.ones(len(every)), every - own)]


def of_judgements(places: Ints, met: list[Faced]) -> list[Faced]:
    """The votes that judgements face. places (n,): the unit of each. met: the votes by unit."""
    return [Faced(each.weight[places], each.counts[places]) for each in met]


def agreement_score(preference: Floats, met: list[Faced]) -> Floats:
    """The agreement of each preference with the mode of the votes that it faces: (n,)."""
    score: Floats = averaged(met, lambda counts: agreement_with_mode(preference, counts))[0]
    return score


def agreement(places: Ints, score: Floats, n_units: int) -> Measure:
    """The mean of judgements' agreement scores. places (n,): the unit of each."""
    return mean_of(places, score, n_units, in_parts=True)


def against_reference(
    judged: JudgementColumns, reference: Reference, units: Units, *, unreadable_is_wrong: bool
) -> dict[str, Measure]:
    """The measures of an annotator against a reference, by name.

    unreadable_is_wrong: how accuracy counts an unreadable verdict.

    agreement, clear_majority_agreement, accuracy, both_orders_accuracy and bias are shares. brier is in
    squared probability and kl in nats (vote_distribution.py). alpha and kappa are at most 1. over_longest, in
    [-1, 1], is the agreement minus that of a judge that takes the longer output. over_people, in [-1, 1], is
    the agreement minus that of the members with each other, unit by unit; it is undefined for a member.
    """
    n, place = len(units), judged.units
    own = votes(place, categories(judged.preference), n)
    met = of_judgements(place, reference.faced)
    score, longest = (agreement_score(each, met) for each in (judged.preference, units.longest[place]))
    lead = score - (np.full(n, np.nan) if reference.own is not None else reference.score)[place]
    clear, chance = averaged(met, lambda counts: clear_majority(judged.preference, counts))
    right = accuracy(judged.preference, reference.votes[place], unreadable_is_wrong)
    pairs = both_orders(judged)
    both = np.minimum(
        *(_right(each, pairs.units, reference.votes, unreadable_is_wrong) for each in pairs[1:])
    )
    of_own, every = shares(place, judged.preference, n), np.arange(n)
    people = reference.others
    theirs = shares_of_counts(people)
    return {
        "agreement": agreement(place, score, n),
        "clear_majority_agreement": mean_of(place, clear, n, weights=chance),
        "accuracy": mean_of(place, right, n),
        "both_orders_accuracy": mean_of(pairs.units, both, n),
        "bias": mean_of(every, error_of_mode(own, people), n),
        "brier": mean_of(every, brier(of_own, theirs), n, scale=no_scale),
        "kl": mean_of(every, divergence(of_own, theirs), n, scale=no_scale),
        "over_longest": mean_of(
            place, np.where(np.isnan(score), np.nan, score - longest), n, scale=difference_scale
        ),
        "over_people": mean_of(place, lead, n, scale=difference_scale, one_more=True),
        **_chance_corrected(judged, met, units),
    }


def _right(category: Ints, place: Ints, reference: Ints, unreadable_is_wrong: bool) -> Floats:
    preference = np.where(category < 0, np.nan, category / 2)
    return accuracy(preference, reference[place], unreadable_is_wrong)


def _chance_corrected(judged: JudgementColumns, met: list[Faced], units: Units) -> dict[str, Measure]:
    """Alpha, kappa and AC1 between the annotator and the mode of the votes that it meets, where there is one;
    and how often somebody is right who always says the commonest.

    met: the votes that each judgement may face, (n, 3) each.
    """
    n, mine = len(units), categories(judged.preference)
    cells = np.zeros((len(mine), 9))
    for each in met:
        chosen = modes(each.counts)
        several = over_columns(np.add, chosen.astype(np.int64)) != 1
        theirs = np.where(several, -1, chosen @ np.arange(3))
        cells += confusion(mine, theirs) * each.weight[:, None]
    table: Floats = np.column_stack([np.bincount(judged.units, cell, minlength=n) for cell in cells.T])
    one_hot = np.eye(3, dtype=np.int64)
    two = np.array([mine + theirs for mine in one_hot for theirs in one_hot])
    counted = table.sum(axis=1) > 0
    sums: Floats = table @ coincidences(two)
    sums[:, 4] /= units.times(counted)
    return {
        "alpha": Measure(sums, krippendorff_alpha, counted, alpha_scale, least=LEAST),
        "kappa": Measure(table, cohen_kappa, counted, cohen_scale, least=LEAST),
        "ac1": gwet_measure(cohen_counts(table), counted),
        "constant": Measure(table, constant_accuracy, counted),
    }


def gwet_measure(sums: Floats, counted: NDArray[np.bool_]) -> Measure:
    """Gwet's AC1 of `gwet_sums`, with as many categories as are in use."""
    used = int((sums[:, :-3].sum(axis=0) > 0).sum())
    scale = partial(gwet_scale, categories=used)
    return Measure(sums, partial(gwet_ac1, categories=used), counted, scale, least=LEAST)


def by_itself(judged: JudgementColumns, units: Units, *, unreadable_is_same: bool) -> dict[str, Measure]:
    """The measures of an annotator that need no reference, by name; all are shares in [0, 1].

    unreadable, variance (agreement.py's self_error), order_consistency, position_bias (share of verdicts for
    the output shown first), length_bias and list_bias (share for the longer output, and for the one with a
    list), identical_ties (share of ties on identical outputs). unreadable_is_same: a pair of two unreadable
    verdicts counts as consistent, and a pair with one as inconsistent; otherwise both kinds are left out.
    """
    n, place, preference = len(units), judged.units, sides(judged.preference)
    shown_first = np.where(judged.swapped == 1, 1 - preference, preference)
    shown_first[judged.swapped < 0] = np.nan
    decided = np.where(preference == 0.5, np.nan, preference)
    longer = units.length[:, 0] - units.length[:, 1]
    prefers_longer = np.where(longer[place] > 0, decided, 1 - decided)
    prefers_longer[np.abs(longer[place]) <= LONGER_BY] = np.nan
    listed = units.list[:, 0].astype(int) - units.list[:, 1]
    prefers_list = np.where(listed[place] > 0, decided, 1 - decided)
    prefers_list[listed[place] == 0] = np.nan
    ties = np.where(units.identical[place] & ~np.isnan(preference), preference == 0.5, np.nan)
    pairs = both_orders(judged)
    same = (pairs.first == pairs.second).astype(float)
    if not unreadable_is_same:
        same[(pairs.first < 0) | (pairs.second < 0)] = np.nan
    return {
        "unreadable": mean_of(place, np.isnan(preference).astype(float), n),
        "variance": mean_of(place, self_error(place, preference, n), n),
        "order_consistency": mean_of(pairs.units, same, n),
        "position_bias": mean_of(place, shown_first, n),
        "length_bias": mean_of(place, prefers_longer, n),
        "list_bias": mean_of(place, prefers_list, n),
        "identical_ties": mean_of(place, ties, n),
    }


def confusion_table(judged: JudgementColumns, reference: Ints) -> Ints:
    """Count judgements by the annotator's category (rows) and the reference's mode (columns): (3, 3).

    reference (units, 3): votes. Unreadable judgements and units with several modes are left out.
    """
    chosen = modes(reference)
    theirs = np.where(chosen.sum(axis=1) == 1, chosen.argmax(axis=1), -1)[judged.units]
    table: Ints = confusion(categories(judged.preference), theirs).sum(axis=0).reshape(3, 3).astype(np.int64)
    return table
