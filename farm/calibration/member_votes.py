"""What people and the members of a panel or a cascade said of the same questions, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from annotators.composite import Composite
from annotators.lists import has_list
from db.errors import ConfigError
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries.frames import Judgements, identities, judgements
from farm.evaluation.references import named, reference_members
from farm.options.calibrate import CalibrateTask
from farm.statistics.agreement import (
    Ballots,
    Bools,
    Floats,
    Ints,
    categories,
    clear_majority,
    modes,
    one_vote_each,
    others,
)
from farm.statistics.agreement import votes as count_votes
from farm.statistics.selective import ConfidentVotes

FEWEST = 30  # questions for a fit, and for a check


@dataclass(frozen=True)
class MemberVotes:
    """Questions that people judged and all members too.

    preference (questions, members): each member's vote, NaN without a verdict. counts (questions, 3):
    people's votes by category. own (questions,): how often one person agrees with the only mode of the
    others, the mean over persons, NaN where there is none. clusters (questions,): the number of the
    instruction. held (questions,): whether the question is kept for the check. unclear: questions without one
    mode of people, which are left out.
    """

    preference: Floats
    counts: Ints
    own: Floats
    clusters: Ints
    held: Bools
    unclear: int

    @cached_property
    def truth(self) -> Ints:
        """The mode of people's votes, by category: (questions,)."""
        mode: Ints = self.counts.argmax(axis=1).astype(np.int64)
        return mode

    def judged(self, held: bool) -> ConfidentVotes:
        """One half of the questions, as a cascade is fitted to it."""
        chosen = self.held == held
        confidence = np.maximum(self.preference, 1 - self.preference)
        right = categories(self.preference.ravel()).reshape(self.preference.shape) == self.truth[:, None]
        return ConfidentVotes(confidence, right, self.clusters).take(chosen)

    def refuse_few(self) -> None:
        """Raise ConfigError where either half has too few questions."""
        for half, name in ((~self.held, "to be fitted"), (self.held, "to be checked")):
            if half.sum() < FEWEST:
                raise ConfigError(
                    f"{int(half.sum())} questions are there {name}, and at least {FEWEST} are needed",
                    remedy="let people judge more of what all members judged; --held-out splits them",
                )


def member_votes(ledger: Ledger, whole: Composite, task: CalibrateTask) -> MemberVotes:
    """Read the votes. whole: its members are named as the ledger names them.

    Raises ConfigError where the reference or a member has not judged.
    """
    found = judgements(ledger, has_list, task.source, task.subset)
    people = [each.code for each in reference_members(named(found.annotators), task.reference)]
    units = found.units[~found.units["identical"]].merge(identities(ledger), on="pair_id")
    votes = _votes(found, _codes(found, whole, task), units["unit"])
    place = pd.Series(np.arange(len(units)), index=units["unit"])
    rows = found.judgements
    rows = rows[rows["annotator"].isin(people) & rows["unit"].isin(place.index)]
    ballots = one_vote_each(
        place[rows["unit"]].to_numpy(),
        rows["annotator"].to_numpy(np.int64),
        category=categories(rows["preference"].to_numpy(float)),
        n_units=len(units),
    )
    counts = count_votes(ballots.units, ballots.category, len(units))
    judged = (counts.sum(axis=1) > 0) & votes.judged
    kept = judged & (modes(counts).sum(axis=1) == 1)
    draws = [keyed_uniform("calibration held out", key, task.seed) for key in units["instruction"]]
    return MemberVotes(
        preference=votes.preference[kept],
        counts=counts[kept],
        own=_own_agreement(ballots, counts)[kept],
        clusters=np.unique(units["instruction_id"].to_numpy()[kept], return_inverse=True)[1],
        held=(np.array(draws) < task.held_out)[kept],
        unclear=int((judged & ~kept).sum()),
    )


def _codes(found: Judgements, whole: Composite, task: CalibrateTask) -> list[int]:
    """The codes of the members among the ledger's annotators. Raises ConfigError where one has not judged."""
    by_key = {card.key: card.id for card in found.annotators}
    missing = [member.name for member in whole.members if member.fingerprint not in by_key]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)} judged nothing that people judged",
            where=task.pool,
            remedy=f"`farm annotate {task.pool} --members`, with the same --model as here",
        )
    return [by_key[member.fingerprint] for member in whole.members]


class _Votes(NamedTuple):
    """preference (questions, members): NaN without a verdict. judged (questions,): whether all judged."""

    preference: Floats
    judged: Bools


def _votes(found: Judgements, codes: Sequence[int], units: pd.Series[int]) -> _Votes:
    """The members' votes as a panel takes them: in replicate 0, the mean over both orders."""
    rows = found.judgements[found.judgements["replicate"] == 0]
    columns = []
    for code in codes:
        mine = rows[rows["annotator"] == code].groupby("unit")["preference"]
        columns.append(
            pd.DataFrame({"vote": mine.sum(min_count=1) / mine.size(), "told": mine.count() == mine.size()})
            .reindex(units)
            .assign(judged=lambda each: each["told"].notna())
        )
    preference = np.column_stack([each["vote"].where(each["told"].eq(True)) for each in columns])
    judged = np.column_stack([each["judged"].to_numpy(bool) for each in columns])
    return _Votes(preference.astype(float), np.asarray(judged.all(axis=1)))


def _own_agreement(ballots: Ballots, counts: Ints) -> Floats:
    """How often one person agrees with the only mode of the others, by question: (questions,)."""
    preference = ballots.category / 2
    score = clear_majority(preference, others(preference, counts[ballots.units]))
    told = ~np.isnan(score)
    total = np.bincount(ballots.units[told], score[told], minlength=len(counts))
    number = np.bincount(ballots.units[told], minlength=len(counts))
    with np.errstate(invalid="ignore"):
        mean: Floats = total / number
    return mean
