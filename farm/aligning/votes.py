"""People's votes on three sides: one to learn from, one to choose by, one to test on.

A keyed hash of an instruction's text and the seed decides its side. So all pairs of an instruction stand on
one side, and the sides are the same in every ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from annotators.lists import has_list
from db.errors import ConfigError
from db.ids import content_hash, keyed_uniform
from db.ledger import Ledger
from db.queries.frames import identities, judgements
from farm.evaluation.mean_votes import mean_votes
from farm.options.align import AlignTask

FEWEST = 30  # pairs of each side


class Side(StrEnum):
    """What a pair is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True)
class PeopleVotes:
    """People's votes, a row for each pair: pair_id, pair and instruction (keys), mean (of the votes for
    output_a, ties half), voters, side. The rows are in the order of the pairs' ids."""

    rows: pd.DataFrame

    def of(self, side: Side) -> pd.DataFrame:
        """The rows of one side."""
        return self.rows[self.rows["side"] == side.value]

    def ids(self, *sides: Side) -> tuple[int, ...]:
        """The ids of the pairs of these sides."""
        chosen = self.rows[self.rows["side"].isin([side.value for side in sides])]
        return tuple(int(each) for each in chosen["pair_id"])

    @property
    def key(self) -> str:
        """A hash of who voted what, the same in every ledger."""
        columns = (self.rows["pair"].tolist(), self.rows["mean"].tolist(), self.rows["side"].tolist())
        return content_hash("votes", sorted(map(list, zip(*columns, strict=True))))


def people_votes(ledger: Ledger, task: AlignTask) -> PeopleVotes:
    """Read the votes and split them. Raises ConfigError where a side has fewer than FEWEST pairs."""
    found = judgements(ledger, has_list, task.source, task.subset)
    rows = mean_votes(found, task.people).merge(identities(ledger), on="pair_id")
    rows["side"] = [_side(key, task).value for key in rows["instruction"]]
    rows["draw"] = [keyed_uniform("alignment limit", key, task.seed) for key in rows["pair"]]
    if task.limit is not None:
        rows = rows.sort_values("draw").groupby("side").head(task.limit)
    votes = PeopleVotes(rows.drop(columns="draw").sort_values("pair_id").reset_index(drop=True))
    for side in Side:
        if len(votes.of(side)) < FEWEST:
            raise ConfigError(
                f"people judged {len(votes.of(side))} pairs of the {side} side, and {FEWEST} are needed",
                where=task.people,
                remedy="let people judge more; --train, --validation and --limit say what each side gets",
            )
    return votes


def _side(instruction: str, task: AlignTask) -> Side:
    draw = keyed_uniform("alignment side", instruction, task.seed)
    if draw < task.train:
        return Side.TRAIN
    return Side.VALIDATION if draw < task.train + task.validation else Side.TEST
