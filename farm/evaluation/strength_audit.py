"""How annotators that say how much better agree: on an ordered scale, and by how sure they are.

People's strengths meet each other, and each annotator's meet the median of people's, by Krippendorff's alpha
on the ordinal scale (farm/statistics/ordinal.py). Agreement by strength is that of the sides: with the only
mode of people's votes, a person with that of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.ids import Json
from db.ledger import Ledger
from db.queries.frames import Judgements
from db.queries.strengths import strengths
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import Who
from farm.statistics.agreement import Bools, Ints, categories, clear_majority, one_vote_each, votes
from farm.statistics.bootstrap import Interval
from farm.statistics.measures import Measure, intervals, mean_of
from farm.statistics.ordinal import ordinal_alpha_of
from farm.statistics.rating_agreement import Ratings, one_rating_each


@dataclass(frozen=True)
class StrengthRow:
    """One annotator. n: pairs of which it says how much better.

    alpha: with the median of the reference's strengths. by_strength: agreement with the reference's majority,
    by steps of levels ("1/2"), the weakest first.
    """

    annotator: str
    n: int
    alpha: Interval
    by_strength: Mapping[str, Interval]

    def to_json(self) -> Json:
        """The row as a JSON object."""
        by: dict[str, Json] = {name: interval_json(each) for name, each in self.by_strength.items()}
        return {
            "annotator": self.annotator,
            "n": self.n,
            "ordinal_alpha": interval_json(self.alpha),
            "agreement_by_strength": by,
        }


@dataclass(frozen=True)
class StrengthAudit:
    """The rows, and the alpha of the reference's strengths with each other."""

    alpha: Interval
    rows: tuple[StrengthRow, ...]

    def to_json(self) -> Json:
        """The audit as a JSON object."""
        return {
            "ordinal_alpha": interval_json(self.alpha),
            "annotators": [row.to_json() for row in self.rows],
        }


class _Strengths:
    """Who found what how much better, on pairs numbered from 0."""

    def __init__(self, told: pd.DataFrame, found: Judgements, people: Sequence[int]) -> None:
        """told: as `strengths` gives it. found: all judgements. people: codes of the reference."""
        self.pairs, place = np.unique(told["pair_id"], return_inverse=True)
        self.told, self.place, self.people = told.reset_index(drop=True), place, people
        self.judgements = judgements_of_pairs(found, self.pairs)
        first = self.told.drop_duplicates("pair_id").set_index("pair_id")
        self.clusters = first["instruction_id"].loc[self.pairs].to_numpy(np.int64)
        codes = self.told["annotator"].to_numpy(np.int64)
        self.each = one_rating_each(place, codes, self.told["lead"].to_numpy(float))

    def alpha(self, given: Ratings) -> Interval:
        measure = ordinal_alpha_of(given.outputs, given.labels, len(self.pairs))
        return intervals({"alpha": measure}, self.clusters)["alpha"]

    def row(self, who: Who) -> StrengthRow:
        mine = self.of(self.each.raters == who.code)
        theirs = self.of(np.isin(self.each.raters, [each for each in self.people if each != who.code]))
        median = pd.Series(theirs.labels).groupby(theirs.outputs).median()
        met = Ratings(
            np.concatenate([mine.outputs, median.index.to_numpy(np.int64)]),
            np.concatenate([mine.raters, np.full(len(median), -1)]),
            np.concatenate([mine.labels, median.to_numpy(float)]),
        )
        return StrengthRow(who.name, len(mine.outputs), self.alpha(met), self._by_strength(who))

    def of(self, chosen: Bools) -> Ratings:
        given = self.each
        return Ratings(given.outputs[chosen], given.raters[chosen], given.labels[chosen])

    def _votes_without(self, code: int) -> Ints:
        """The votes of the reference on each pair, this annotator's left out: (pairs, 3)."""
        rows = self.judgements
        rows = rows[rows["annotator"].isin(self.people) & (rows["annotator"] != code)]
        place, who, category = (rows[name].to_numpy(np.int64) for name in ("place", "annotator", "category"))
        each = one_vote_each(place, who, category, n_units=len(self.pairs))
        return votes(each.units, each.category, len(self.pairs))

    def _by_strength(self, who: Who) -> dict[str, Interval]:
        """The agreement of the sides of an annotator's judgements, by their strength."""
        rows = np.flatnonzero(self.told["annotator"] == who.code)
        place, side = self.place[rows], np.sign(self.told["lead"].to_numpy(float)[rows]) / 2 + 0.5
        right = clear_majority(side, self._votes_without(who.code)[place])
        steps, levels = (self.told[name].to_numpy(np.int64)[rows] for name in ("steps", "levels"))
        found: dict[str, Measure] = {}
        for share, step, level in sorted({(s / n, s, n) for s, n in zip(steps, levels, strict=True)}):
            chosen = (steps == step) & (levels == level)
            if share and not np.isnan(right[chosen]).all():
                found[f"{step}/{level}"] = mean_of(place[chosen], right[chosen], len(self.pairs))
        return intervals(found, self.clusters)


def strength_audit(
    ledger: Ledger, found: Judgements, reference: Sequence[Who], shown: Sequence[Who]
) -> StrengthAudit | None:
    """How far strengths agree, on the pairs of these judgements; None where nobody says how much better."""
    told = strengths(ledger)
    told = told[told["pair_id"].isin(found.units["pair_id"])]
    if told.empty:
        return None
    people = [each.code for each in reference]
    under_way, saying = _Strengths(told, found, people), set(told["annotator"])
    together = under_way.of(np.isin(under_way.each.raters, people))
    rows = (under_way.row(each) for each in shown if each.code in saying)
    return StrengthAudit(under_way.alpha(together), tuple(rows))


def judgements_of_pairs(found: Judgements, pairs: Ints) -> pd.DataFrame:
    """The judgements of these pairs, once each: place (of the pair), annotator, category for output_a."""
    units = found.units[found.units["pair_id"].isin(pairs)].drop_duplicates("pair_id")
    rows = found.judgements.merge(units[["unit", "pair_id", "flipped"]], on="unit")
    preference = np.where(rows["flipped"], 1 - rows["preference"], rows["preference"])
    return pd.DataFrame(
        {
            "place": np.searchsorted(pairs, rows["pair_id"]),
            "annotator": rows["annotator"].to_numpy(np.int64),
            "category": categories(preference),
        }
    )
