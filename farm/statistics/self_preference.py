"""Does a judge prefer the outputs of its own kin more than others do: a difference in differences.

Of pair i the judge gives a side the share s_i of its votes and the others give it the share c_i, on average.
The judge's lead is l_i = s_i - c_i, so that what makes an output good for everybody drops out. Over the pairs
K_h of an output of its kin with an output of opponent h, and the pairs O_h of any other output with one of h,

    beyond = sum_h |K_h| (mean of l over K_h - mean of l over O_h) / sum_h |K_h|

over the opponents that have both. The second difference takes away what the judge has for or against an
opponent, such as a baseline that is long, whoever it meets. The first one alone is `lead`. Bounds are the
jackknife's by instruction (farm/statistics/measures.py).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from farm.statistics.agreement import Bools, Floats, Ints
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share
from farm.statistics.measures import Measure, Span, difference_scale, intervals, mean_of

LEAST = 10  # instructions, below which a difference in differences has no bounds
PARTS = 4  # sums of an opponent: pairs and lead of kin, pairs and lead of others


class Leads(NamedTuple):
    """Votes for one side of pairs, by a judge and by others.

    judge, others (n,): the share of votes for this side, in [0, 1]. kin (n,): whether the side is of the
    judge's kin. opponents (n,): who wrote the other side, any numbers. clusters (n,): the instruction. A pair
    without an output of kin is there twice, once for each side.
    """

    judge: Floats
    others: Floats
    kin: Bools
    opponents: Ints
    clusters: Ints


class SelfPreference(NamedTuple):
    """What a judge makes of its kin.

    own, others: the shares of its and of the others' votes for outputs of its kin. lead: own less others.
    beyond: the lead less that for other outputs against the same opponents, in [-2, 2]. n of each: how many
    instructions.
    """

    own: Interval
    others: Interval
    lead: Interval
    beyond: Interval


def self_preference(given: Leads) -> SelfPreference:
    """The figures. They have no value where no pair has an output of kin, or no opponent met others too."""
    kin = given.kin
    own, others = (clustered_share(each[kin], given.clusters[kin]) for each in (given.judge, given.others))
    apart = given.judge - given.others
    groups, place = np.unique(given.clusters, return_inverse=True)
    own_places, own_lead = place[kin], apart[kin]
    measures = {
        "lead": mean_of(own_places, own_lead, len(groups), scale=difference_scale),
        "beyond": _beyond(given, apart, place, len(groups)),
    }
    found = intervals(measures, np.arange(len(groups)))
    return SelfPreference(own, others, found["lead"], found["beyond"])


def _beyond(given: Leads, apart: Floats, place: Ints, groups: int) -> Measure:
    """The difference in differences as a measure over the instructions. apart (n,): the judge's lead."""
    who, opponent = np.unique(given.opponents, return_inverse=True)
    met = [np.bincount(opponent[chosen], minlength=len(who)) > 0 for chosen in (given.kin, ~given.kin)]
    used = (met[0] & met[1])[opponent]
    cell, cells = place * len(who) + opponent, groups * len(who)
    parts = []
    for chosen in (used & given.kin, used & ~given.kin):
        parts += [np.bincount(cell[chosen], each[chosen], cells) for each in (np.ones(len(apart)), apart)]
    sums: Floats = np.stack(parts, -1).reshape(groups, -1).astype(np.float64)
    counted: Bools = np.bincount(place[used], minlength=groups) > 0
    return Measure(sums, _difference, counted, _twice, least=LEAST)


def _difference(sums: Floats) -> Floats:
    """`beyond` of the sums of all opponents: (..., PARTS * opponents) -> (...)."""
    n, lead, m, other = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, PARTS), -1, 0)
    both = (n > 0) & (m > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.where(both, lead - n * other / np.where(m > 0, m, 1.0), 0.0).sum(-1)
        return np.asarray(apart / np.where(both, n, 0.0).sum(-1), np.float64)


def _twice(sums: Floats) -> Span:
    """The range of a difference of two differences of shares."""
    return Span(-2.0, 4.0)
