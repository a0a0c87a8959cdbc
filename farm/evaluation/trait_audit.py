"""What each annotator rewards, people beside judges: `farm audit --traits`.

A model of votes on the differences of the two outputs (farm/statistics/votes_on_traits.py) for people
together and for each other annotator. A judge is compared with people on the questions that both judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from db.ids import Json
from db.ledger import Ledger
from db.queries.contests import texts_of
from db.queries.frames import Judgements
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import Who
from farm.evaluation.traits import TRAITS, traits_of
from farm.statistics.agreement import Bools, Floats, sides
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share
from farm.statistics.votes_on_traits import Ballot, TiedTraits, TraitFit, difference, estimable, fit_votes

PLACE = "shown first"  # a trait of how a pair is shown: 1 where the first output is
NAMES = (*TRAITS, PLACE)
NOTHING = Interval(None, None, None, 0)


@dataclass(frozen=True)
class Reward:
    """What an annotator makes of one trait.

    prefers: the share of its votes for the output that has more of it, ties half. effect: the log-odds for
    one standard deviation more, the other traits equal. over_people: the effect less that of people on the
    same questions.
    """

    prefers: Interval
    effect: Interval
    over_people: Interval

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        named = {"prefers": self.prefers, "effect": self.effect, "over_people": self.over_people}
        return {name: interval_json(each) for name, each in named.items()}


@dataclass(frozen=True)
class TraitRow:
    """What one annotator rewards, by trait.

    n: votes. refused: why there is no model; empty where there is.
    """

    annotator: str
    n: int
    rewards: Mapping[str, Reward]
    refused: str

    def to_json(self) -> Json:
        """The row as a JSON object."""
        rewards = {name: each.to_json() for name, each in self.rewards.items()}
        return {"annotator": self.annotator, "n": self.n, "traits": rewards, "refused": self.refused or None}


@dataclass(frozen=True)
class TraitAudit:
    """The rows, people first.

    scales: the standard deviation of each trait's difference over the questions.
    """

    scales: Mapping[str, float]
    rows: tuple[TraitRow, ...]

    def to_json(self) -> Json:
        """The audit as a JSON object."""
        return {"scales": dict(self.scales), "annotators": [row.to_json() for row in self.rows]}


class _Voter(NamedTuple):
    """Somebody, or people together: the votes, and the place of each vote's question."""

    name: str
    ballot: Ballot
    places: np.ndarray[tuple[int], np.dtype[np.intp]]


def trait_audit(
    ledger: Ledger, found: Judgements, reference: Sequence[Who], shown: Sequence[Who]
) -> TraitAudit:
    """What the reference together and each annotator outside it reward. found: the judgements to audit."""
    units = found.units[~found.units["identical"]].reset_index(drop=True)
    apart = _differences(ledger, units)
    scale = np.sqrt(np.mean(apart**2, axis=0)) if len(apart) else np.zeros(len(TRAITS))
    scaled = apart / np.where(scale > 0, scale, 1.0)
    people = _voter("people", [each.code for each in reference], found, units=units, scaled=scaled)
    others = [each for each in shown if each not in reference]
    voters = [_voter(each.name, [each.code], found, units=units, scaled=scaled) for each in others]
    rows = [_row(people, None)] if len(people.ballot.votes) else []
    rows += [_row(each, people) for each in voters if len(each.ballot.votes)]
    return TraitAudit(dict(zip(TRAITS, scale.tolist(), strict=True)), tuple(rows))


def _differences(ledger: Ledger, units: pd.DataFrame) -> Floats:
    """The first output's traits less the second's, of each question: (questions, traits)."""
    pair_ids = units["pair_id"].drop_duplicates().tolist()
    by_pair = {pair: np.subtract(traits_of(a), traits_of(b)) for pair, a, b in texts_of(ledger, pair_ids)}
    if not by_pair:
        return np.zeros((0, len(TRAITS)))
    apart = np.array([by_pair[pair] for pair in units["pair_id"]])
    return np.where(units["flipped"].to_numpy(bool)[:, None], -apart, apart)


def _voter(
    name: str, codes: Sequence[int], found: Judgements, *, units: pd.DataFrame, scaled: Floats
) -> _Voter:
    rows = found.judgements
    place = pd.Series(np.arange(len(units)), index=units["unit"])
    rows = rows[rows["annotator"].isin(codes) & rows["unit"].isin(units["unit"])].dropna(subset="preference")
    places = place[rows["unit"]].to_numpy(np.intp)
    swapped = rows["swapped"].to_numpy()
    shown = np.where(swapped < 0, 0.0, np.where(swapped == 1, -1.0, 1.0))
    instruction = units["instruction_id"].to_numpy(np.int64)[places]
    differences = np.column_stack([scaled[places], shown])
    return _Voter(name, Ballot(sides(rows["preference"].to_numpy(float)), differences, instruction), places)


def _row(voter: _Voter, people: _Voter | None) -> TraitRow:
    """The row of a voter. people: whom it is compared with; None for people themselves."""
    known = estimable(voter.ballot)
    effects: Mapping[int, Interval] = {}
    refused = ""
    try:
        effects = _by_trait(fit_votes(voter.ballot.of_traits(known)), known)
    except TiedTraits as error:
        named = ", ".join(NAMES[each] for each in np.flatnonzero(known)[error.traits])
        refused = f"these traits always differ together, so that nobody can tell them apart: {named}"
    except ValueError as error:
        refused = str(error)
    over = _over_people(voter, people) if people else {}
    rewards = {
        name: Reward(_prefers(voter.ballot, k), effects.get(k, NOTHING), over.get(k, NOTHING))
        for k, name in enumerate(NAMES)
    }
    return TraitRow(voter.name, len(voter.places), rewards, refused)


def _by_trait(fit: TraitFit, known: Bools) -> dict[int, Interval]:
    return {int(k): fit.interval(place) for place, k in enumerate(np.flatnonzero(known))}


def _over_people(voter: _Voter, people: _Voter) -> dict[int, Interval]:
    """The effects less people's, on the questions of both. Empty where either has no model there."""
    both = np.intersect1d(voter.places, people.places)
    mine, theirs = (each.ballot.of_rows(np.isin(each.places, both)) for each in (voter, people))
    known = estimable(mine) & estimable(theirs) if len(both) else np.zeros(len(NAMES), bool)
    try:
        fits = [fit_votes(each.of_traits(known)) for each in (mine, theirs)]
    except ValueError:
        return {}
    one, other = fits
    return {int(k): difference(one, other, place) for place, k in enumerate(np.flatnonzero(known))}


def _prefers(ballot: Ballot, trait: int) -> Interval:
    """The share of votes for the output that has more of a trait, where the two differ in it."""
    column = ballot.differences[:, trait]
    differs = column != 0
    votes = np.where(column[differs] > 0, ballot.votes[differs], 1 - ballot.votes[differs])
    return clustered_share(votes, ballot.clusters[differs])
