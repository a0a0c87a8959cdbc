"""What a judge says of pairs, how far people agree, and whether they agree more with another judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.queries.composites import told_by
from farm.evaluation.json_figures import interval_json
from farm.statistics.agreement import Floats, sides
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_difference, clustered_share


@dataclass(frozen=True)
class JudgesCompared:
    """Two judges on the same pairs. judge, candidate: how often people agree with each. gain: by how much
    more with the candidate. Bounds by instruction. failed: pairs without a verdict of each."""

    judge: Interval
    candidate: Interval
    gain: Interval
    failed: tuple[int, int]

    def to_json(self) -> Json:
        """The comparison as a JSON object."""
        return {
            "judge": interval_json(self.judge),
            "candidate": interval_json(self.candidate),
            "gain": interval_json(self.gain),
            "failed": {"judge": self.failed[0], "candidate": self.failed[1]},
        }


def verdicts(ledger: Ledger, fingerprint: str, pair_ids: Sequence[int]) -> Floats:
    """The judge's verdict on each pair: 1 for output_a, 0 for output_b, 0.5 a tie, NaN without one. (n,).

    It is the side of the mean over both orders. Raises ConfigError where a pair was not judged at all.
    """
    numbers = [card.id for card in ledger.annotators() if card.key == fingerprint]
    told = pd.DataFrame(told_by(ledger, numbers, pair_ids, 1), columns=["id", "pair_id", *_REST])
    found = told.groupby("pair_id")["preference"].mean()  # of several orders; those without are left out
    if open_ := set(pair_ids) - set(told["pair_id"]):
        remedy = "another run is judging them: wait until it has ended, then run the same command again"
        raise ConfigError(f"{len(open_)} pairs are not judged yet", remedy=remedy)
    return sides(found.reindex(list(pair_ids)).to_numpy(float))


_REST = ("annotator_id", "replicate", "swapped", "attempt", "status", "preference")


def agreed(verdict: Floats, mean: Floats) -> Floats:
    """How often people agree with each verdict: the share of their votes for its side, ties half. (n,).

    No verdict counts as a coin's, so that failing is never a gain over agreeing as often as a coin.
    """
    side = np.where(np.isnan(verdict), 0.5, verdict)
    share: Floats = side * mean + (1 - side) * (1 - mean)
    return share


def compared(rows: pd.DataFrame, judge: Floats, candidate: Floats, level: float) -> JudgesCompared:
    """Compare two judges. rows: of PeopleVotes. judge, candidate (n,): their verdicts on these rows."""
    mean, groups = rows["mean"].to_numpy(float), rows["instruction"].to_numpy(str)
    numbers = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    before, after = agreed(judge, mean), agreed(candidate, mean)
    return JudgesCompared(
        judge=clustered_share(before, numbers),
        candidate=clustered_share(after, numbers),
        gain=clustered_difference(after - before, numbers, level),
        failed=(int(np.isnan(judge).sum()), int(np.isnan(candidate).sum())),
    )
