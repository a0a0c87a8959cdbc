"""Did a judge change, since the model behind its name was replaced: `farm audit --drift`.

The reply names the model that answered, such as gpt-4o-2024-08-06 where gpt-4o was asked. Where an annotator
judged the same pairs while one model answered, and again while the next one did, the two are compared. Pools
are left out, since their members' models differ on purpose.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.ids import Json
from db.ledger import Ledger
from db.queries.answering_models import answering_models
from db.queries.frames import Judgements
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import Who
from farm.evaluation.strength_audit import judgements_of_pairs
from farm.statistics.agreement import Floats, Ints, categories, clear_majority, one_vote_each, votes
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share
from farm.statistics.mcnemar import mcnemar
from farm.statistics.measures import difference_scale, intervals, mean_of


@dataclass(frozen=True)
class ChangedShare:
    """A yes or no of each pair, before and after. change: after less before, with bounds by instruction.

    lost, gained: pairs of which it was true before alone, and after alone. p: of McNemar's exact test.
    """

    before: float
    change: Interval
    lost: int
    gained: int
    p: float | None

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        counts: dict[str, Json] = {"lost": self.lost, "gained": self.gained, "p": self.p}
        return {"before": self.before, "change": interval_json(self.change), **counts}


@dataclass(frozen=True)
class Drift:
    """An annotator whose model was replaced. before, after: the names in the replies.

    pairs: judged by both. changed: how often a verdict of the one is another than that of the other. retest:
    how often two verdicts of the same model differ. shifts: `right` (with people's majority), `shown first`
    (it prefers the output that was shown first) and `longer` (the longer one).
    """

    annotator: str
    before: str
    after: str
    pairs: int
    changed: Interval
    retest: Interval
    shifts: Mapping[str, ChangedShare]

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        about: dict[str, Json] = {"annotator": self.annotator, "before": self.before, "after": self.after}
        shares = {name: interval_json(getattr(self, name)) for name in ("changed", "retest")}
        shifts: dict[str, Json] = {name: each.to_json() for name, each in self.shifts.items()}
        return {**about, "pairs": self.pairs, **shares, "shifts": shifts}


def drift_audit(
    ledger: Ledger, found: Judgements, reference: Sequence[Who], shown: Sequence[Who]
) -> tuple[Drift, ...]:
    """Each shown annotator, from each model that answered for it to the next one. found: what is audited."""
    told = answering_models(ledger)
    units = found.units[~found.units["identical"]].drop_duplicates("pair_id").set_index("pair_id")
    told = told[told["pair_id"].isin(units.index)]
    pools = {card.id for card in found.annotators if "members" in card.spec}
    rows: list[Drift] = []
    for who in shown:
        mine = told[told["annotator"] == who.code]
        if mine.empty or who.code in pools:
            continue
        people = [each.code for each in reference if each.code != who.code]
        names = list(dict.fromkeys(mine["model"]))
        for before, after in itertools.pairwise(names):
            both = [mine[mine["model"] == name] for name in (before, after)]
            rows += _drift(who, both, units=units, found=found, people=people)
    return tuple(rows)


def _drift(
    who: Who, both: Sequence[pd.DataFrame], *, units: pd.DataFrame, found: Judgements, people: Sequence[int]
) -> Iterator[Drift]:
    """The row of two models; none where they judged no pair in common."""
    pairs = np.intersect1d(both[0]["pair_id"], both[1]["pair_id"])
    if not len(pairs):
        return
    both = [each[each["pair_id"].isin(pairs)] for each in both]
    clusters = units.loc[pairs, "instruction_id"].to_numpy(np.int64)
    shares = [_shares(each, pairs) for each in both]
    changed = 1 - (shares[0] * shares[1]).sum(1)
    again = [_retest(each, clusters) for each in map(_counts, both, (pairs, pairs))]
    retest = [np.concatenate(each) for each in zip(*again, strict=True)]
    first = [_first(each, pairs) for each in both]
    truths = [_truths(each, units.loc[pairs], _votes(found, pairs, people)) for each in first]
    shifts = {
        name: shift
        for name in truths[0]
        if (shift := _shift(truths[0][name], truths[1][name], clusters)) is not None
    }
    before, after = (str(each["model"].iloc[0]) for each in both)
    yield Drift(
        annotator=who.name,
        before=before,
        after=after,
        pairs=len(pairs),
        changed=clustered_share(changed, clusters),
        retest=clustered_share(retest[0], retest[1].astype(np.int64)),
        shifts=shifts,
    )


def _counts(rows: pd.DataFrame, pairs: Ints) -> Floats:
    """How many verdicts of each pair are of each category: (pairs, 3)."""
    place = np.searchsorted(pairs, rows["pair_id"].to_numpy(np.int64))
    return votes(place, categories(rows["preference"].to_numpy(float)), len(pairs)).astype(np.float64)


def _shares(rows: pd.DataFrame, pairs: Ints) -> Floats:
    counts = _counts(rows, pairs)
    found: Floats = counts / counts.sum(1, keepdims=True)
    return found


def _retest(counts: Floats, clusters: Ints) -> tuple[Floats, Floats]:
    """How often two verdicts of a pair differ, of the pairs with two or more, and their instructions."""
    n = counts.sum(1)
    several = n > 1
    c, n = counts[several], n[several]
    return 1 - (c * (c - 1)).sum(1) / (n * (n - 1)), clusters[several].astype(np.float64)


def _first(rows: pd.DataFrame, pairs: Ints) -> pd.DataFrame:
    """The first judgement of each pair, in the order of the pairs: by replicate, then by order."""
    chosen = rows.sort_values(["replicate", "swapped"]).drop_duplicates("pair_id")
    return chosen.set_index("pair_id").loc[pairs]


def _votes(found: Judgements, pairs: Ints, people: Sequence[int]) -> Ints:
    """People's votes on each pair: (pairs, 3)."""
    rows = judgements_of_pairs(found, pairs)
    rows = rows[rows["annotator"].isin(people)]
    place, code, category = (rows[name].to_numpy(np.int64) for name in ("place", "annotator", "category"))
    each = one_vote_each(place, code, category, n_units=len(pairs))
    return votes(each.units, each.category, len(pairs)).reshape(len(pairs), 3)


def _truths(judged: pd.DataFrame, units: pd.DataFrame, counts: Ints) -> dict[str, Floats]:
    """What is true of each judgement: 1 yes, 0 no, NaN where it cannot be told. (pairs,) each."""
    side = np.sign(judged["preference"].to_numpy(float) - 0.5)
    flipped = np.where(units["flipped"].to_numpy(bool), -1.0, 1.0)
    longer = np.sign(units["length_1"].to_numpy(float) - units["length_2"].to_numpy(float)) * flipped
    swapped = judged["swapped"].to_numpy(np.int64)
    shown = np.where(swapped < 0, 0.0, np.where(swapped == 1, -1.0, 1.0))

    def followed(what: Floats) -> Floats:
        return np.where(side * what == 0, np.nan, (side * what > 0).astype(float))

    right = clear_majority(side / 2 + 0.5, counts)
    return {"right": right, "shown first": followed(shown), "longer": followed(longer)}


def _shift(before: Floats, after: Floats, clusters: Ints) -> ChangedShare | None:
    """None where no pair tells it of both."""
    known = ~np.isnan(before) & ~np.isnan(after)
    if not known.any():
        return None
    one, other, groups = before[known], after[known], clusters[known]
    lost, gained = int((one > other).sum()), int((one < other).sum())
    measure = mean_of(np.arange(len(one)), other - one, len(one), scale=difference_scale)
    change = intervals({"change": measure}, groups)["change"]
    return ChangedShare(float(one.mean()), change, lost, gained, p=mcnemar(lost, gained))
