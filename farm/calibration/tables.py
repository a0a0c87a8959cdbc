"""Fit the error tables of a panel's members by Dawid and Skene's model, beside people's votes.

The model sees the members' votes alone. People's votes check it: without them, or where it does worse than
one of the members, nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotators import catalogue
from annotators.composite import Composite
from annotators.panel import SIDES
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.whole_files import write_bytes_whole
from farm.calibration.member_votes import member_votes
from farm.evaluation.json_figures import interval_json
from farm.options.calibrate import CalibrateTask
from farm.statistics.agreement import Floats, categories
from farm.statistics.dawid_skene import Consensus, Verdicts, anchored_consensus

DECIMALS = 6  # of the tables in the written file
LEAST = 1e-6  # a chance in a table, so that no vote is impossible


@dataclass(frozen=True)
class PanelCalibration:
    """The result of a fit. questions: how many people and all members judged. unclear: those left out."""

    panel: str
    out: Path
    fingerprint: str
    members: tuple[str, ...]
    questions: int
    unclear: int
    consensus: Consensus

    @property
    def reliability(self) -> dict[str, float]:
        """P(a member says the true side), by member."""
        return dict(zip(self.members, self.consensus.fit.reliability().tolist(), strict=True))

    @property
    def best(self) -> str:
        """The member that is furthest ahead of the others."""
        return self.members[self.consensus.rival.annotator]

    def to_json(self) -> Json:
        """The result as a JSON object."""
        found = self.consensus
        reliability: dict[str, Json] = {**self.reliability}
        return {
            "panel": self.panel,
            "out": str(self.out),
            "fingerprint": self.fingerprint,
            "questions": self.questions,
            "unclear": self.unclear,
            "accuracy": found.accuracy,
            "best_single": found.rival.accuracy,
            "best_single_annotator": self.best,
            "lead": interval_json(found.lead),
            "usable": found.usable,
            "reliability": reliability,
        }


def calibrate_panel(
    ledger: Ledger, whole: Composite, known: Composite, task: CalibrateTask
) -> PanelCalibration:
    """Fit the tables and write the new file. known: the panel with its members as the ledger names them.

    Raises ConfigError where judgements are missing, or the model is shown to be worse than one member.
    """
    votes = member_votes(ledger, known, task)
    members = len(whole.rule.stages[0].members)
    said = votes.preference[:, :members]
    units, who = np.nonzero(~np.isnan(said))
    verdicts = Verdicts(units, who, categories(said[units, who]))
    try:
        found = anchored_consensus(verdicts, votes.truth, members, clusters=votes.clusters)
    except ValueError as error:
        raise ConfigError(str(error), where=task.pool, remedy="let people judge more") from None
    names = tuple(member.name for member in whole.members[:members])
    if found.usable == "no":
        best = names[found.rival.annotator]
        raise ConfigError(
            f"the consensus is right on {found.rival.consensus:.3f} of what {best} judged, and {best} on "
            f"{found.rival.accuracy:.3f}",
            where=task.pool,
            remedy=f"take {best} alone, or other members",
        )
    tables = {
        "confusion": [_rows(table) for table in found.fit.confusion],
        "prior": _rows(found.fit.prior[None])[0],
    }
    text = catalogue.refitted(task.pool, whole, task.out, changes={"combine": "dawid-skene", **tables})
    write_bytes_whole(task.out, text.encode())
    made = catalogue.load(str(task.out))
    return PanelCalibration(
        panel=whole.name,
        out=task.out,
        fingerprint=made.fingerprint,
        members=names,
        questions=len(votes.truth),
        unclear=votes.unclear,
        consensus=found,
    )


def _rows(table: Floats) -> list[list[float]]:
    """Rows of chances, none of them 0, as they are written."""
    assert table.shape[1] == len(SIDES)
    kept = np.maximum(table, LEAST)
    return [[round(float(cell), DECIMALS) for cell in row] for row in kept / kept.sum(axis=1, keepdims=True)]
