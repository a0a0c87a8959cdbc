"""What is odd about a set of judged pairs: `farm audit --pairs`.

Outputs that are hardly different, and contradictions among the verdicts of one annotator on the outputs to
one instruction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.ids import Json
from db.ledger import Ledger
from db.queries.contests import texts_of
from db.queries.frames import Judgements, output_ids
from farm.evaluation.json_figures import interval_json
from farm.evaluation.near_texts import Likeness, likeness
from farm.evaluation.references import Who
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share
from farm.statistics.cycles import Decided, triads_of

EXAMPLES = 3  # pairs that are named for each kind


@dataclass(frozen=True)
class AlikePairs:
    """Pairs whose outputs are alike in one way.

    examples: ids of some. ties: the share of verdicts on them that are ties, with bounds by instruction.
    """

    kind: Likeness
    pairs: int
    examples: tuple[int, ...]
    ties: Interval

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        return {
            "kind": str(self.kind),
            "pairs": self.pairs,
            "examples": list(self.examples),
            "ties": interval_json(self.ties),
        }


@dataclass(frozen=True)
class Contradictions:
    """Cycles among the decided triads of one annotator. share: of cycles, with bounds by instruction."""

    annotator: str
    triads: int
    cycles: int
    share: Interval

    def to_json(self) -> Json:
        """The figures as a JSON object."""
        return {
            "annotator": self.annotator,
            "triads": self.triads,
            "cycles": self.cycles,
            "share": interval_json(self.share),
        }


@dataclass(frozen=True)
class PairAudit:
    """What is odd about the pairs. pairs: how many were looked at."""

    pairs: int
    alike: tuple[AlikePairs, ...]
    cycles: tuple[Contradictions, ...]

    def to_json(self) -> Json:
        """The audit as a JSON object."""
        return {
            "pairs": self.pairs,
            "alike": [each.to_json() for each in self.alike],
            "cycles": [each.to_json() for each in self.cycles],
        }


def pair_audit(ledger: Ledger, found: Judgements, shown: Sequence[Who]) -> PairAudit:
    """Look at the pairs of these judgements. shown: whose contradictions are counted."""
    units = found.units.drop_duplicates("pair_id")
    kinds = {pair: likeness(a, b) for pair, a, b in texts_of(ledger, units["pair_id"].tolist())}
    rows = found.judgements.merge(found.units[["unit", "pair_id", "instruction_id", "flipped"]], on="unit")
    return PairAudit(len(kinds), tuple(_alike(kinds, rows)), tuple(_cycles(ledger, rows, shown)))


def _alike(kinds: Mapping[int, Likeness], rows: pd.DataFrame) -> list[AlikePairs]:
    of_kind: dict[Likeness, list[int]] = defaultdict(list)
    for pair, kind in sorted(kinds.items()):
        of_kind[kind].append(pair)
    told = rows.dropna(subset="preference")
    return [
        AlikePairs(kind, len(pairs), tuple(pairs[:EXAMPLES]), _ties(told[told["pair_id"].isin(pairs)]))
        for kind in Likeness
        if kind is not Likeness.APART and (pairs := of_kind[kind])
    ]


def _ties(rows: pd.DataFrame) -> Interval:
    ties = np.where(rows["preference"] == 0.5, 1.0, 0.0)
    return clustered_share(ties, rows["instruction_id"].to_numpy(np.int64))


def _cycles(ledger: Ledger, rows: pd.DataFrame, shown: Sequence[Who]) -> list[Contradictions]:
    """Of each annotator with a triad. A pair counts by the side of the mean of its judgements."""
    outputs = output_ids(ledger)
    found = []
    for who in shown:
        mine = rows[rows["annotator"] == who.code].dropna(subset="preference")
        turned = np.where(mine["flipped"], 1 - mine["preference"], mine["preference"])
        by_pair = mine.assign(preference=turned).groupby(["instruction_id", "pair_id"])["preference"]
        decided: dict[int, list[Decided]] = defaultdict(list)
        means = by_pair.mean().reset_index()
        columns = (means[name].tolist() for name in ("instruction_id", "pair_id", "preference"))
        for instruction, pair, preference in zip(*columns, strict=True):
            a, b = outputs[pair]
            if preference != 0.5:
                decided[instruction].append(Decided(a, b) if preference > 0.5 else Decided(b, a))
        counted = {instruction: triads_of(each) for instruction, each in decided.items() if len(each) > 2}
        total = Counter({instruction: each.triads for instruction, each in counted.items() if each.triads})
        if total:
            flags = [(i, k < counted[i].cycles) for i in total for k in range(total[i])]
            values = np.array([float(flag) for _, flag in flags])
            share = clustered_share(values, np.array([instruction for instruction, _ in flags]))
            found.append(Contradictions(who.name, len(flags), int(values.sum()), share))
    return found
