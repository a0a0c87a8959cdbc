"""Fit the thresholds of a cascade to people's votes, so that it keeps a promise.

The fit is farm/statistics/selective.py: thresholds are made on one part of the instructions and tested on the
other. A promise is refused where people themselves do not agree so often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotators import catalogue
from annotators.cascade import CascadeRule
from annotators.composite import Composite
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger
from db.whole_files import write_bytes_whole
from farm.calibration.member_votes import MemberVotes, member_votes
from farm.evaluation.json_figures import interval_json
from farm.options.calibrate import CalibrateTask
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import clustered_share
from farm.statistics.selective import NEVER, FittedCascade, fit_cascade

DECIMALS = 6  # of thresholds in the written file


@dataclass(frozen=True)
class CascadeCalibration:
    """The result of a fit. fitted, held: questions of the fit and of the check; unclear: those left out.

    people: how often one person agrees with the others, on the questions where they agree most, as many as
    the cascade has to decide.
    """

    cascade: str
    out: Path
    fingerprint: str
    members: tuple[str, ...]
    fitted: int
    held: int
    unclear: int
    promise: float
    level: float
    people: Interval
    fit: FittedCascade

    @property
    def thresholds(self) -> Mapping[str, float | None]:
        """The threshold of each member, None where it is left out."""
        return dict(zip(self.members, _written(self.fit.thresholds), strict=True))

    def to_json(self) -> Json:
        """The result as a JSON object."""
        kept, tested = self.fit.tested
        return {
            "cascade": self.cascade,
            "out": str(self.out),
            "fingerprint": self.fingerprint,
            "questions": {"fitted": self.fitted, "held_out": self.held, "unclear": self.unclear},
            "promise": self.promise,
            "level": self.level,
            "people": interval_json(self.people),
            "thresholds": dict(self.thresholds),
            "agreement": interval_json(self.fit.agreement),
            "coverage": self.fit.coverage,
            "by": dict(zip(self.members, self.fit.by, strict=True)),
            "tested": {"kept": kept, "of": tested},
        }


def calibrate_cascade(
    ledger: Ledger, whole: Composite, known: Composite, task: CalibrateTask
) -> CascadeCalibration:
    """Fit the thresholds and write the new file. known: the cascade with members as the ledger names them.

    Raises ConfigError where judgements are missing, or no thresholds keep the promise.
    """
    assert isinstance(whole.rule, CascadeRule)
    if task.promise is None:
        remedy = "say how often it shall agree with people: --promise 0.8"
        raise ConfigError("a cascade is fitted for a promise", where=task.pool, remedy=remedy)
    votes = member_votes(ledger, known, task)
    votes.refuse_few()
    people = _people(votes, task.least_coverage)
    _refuse_impossible(people, task.promise, task.least_coverage)
    try:
        fit = fit_cascade(
            votes.judged(False),
            votes.judged(True),
            promise=task.promise,
            level=task.level,
            least_coverage=task.least_coverage,
        )
    except ValueError as error:
        remedy = "promise less, let people judge more, or put a better judge last"
        raise ConfigError(str(error), where=f"--promise {task.promise:g}", remedy=remedy) from None
    changes = {"promise": task.promise}
    text = catalogue.refitted(
        task.pool, whole, task.out, changes=changes, thresholds=_written(fit.thresholds)
    )
    write_bytes_whole(task.out, text.encode())
    return CascadeCalibration(
        cascade=whole.name,
        out=task.out,
        fingerprint=catalogue.load(str(task.out)).fingerprint,
        members=tuple(member.name for member in whole.members),
        fitted=int((~votes.held).sum()),
        held=int(votes.held.sum()),
        unclear=votes.unclear,
        promise=task.promise,
        level=task.level,
        people=people,
        fit=fit,
    )


def _written(thresholds: Sequence[float]) -> list[float | None]:
    """Thresholds as the file has them, None where a member decides nothing.

    They are rounded down, so that who was as confident as the threshold still decides.
    """
    step = 10.0**DECIMALS
    return [None if each == NEVER else math.floor(each * step) / step for each in thresholds]


def _refuse_impossible(people: Interval, promise: float, share: float) -> None:
    """Raise ConfigError where people themselves agree less often than is promised."""
    if people.high is not None and people.high < promise:
        agreed = people.text(".2f", ".2f")
        raise ConfigError(
            f"on the {share:.0%} of the questions where people agree most they agree on {agreed}: nobody can "
            f"promise {promise:g}",
            where="--promise",
            remedy="promise less, or let the cascade decide less (--least-coverage)",
        )


def _people(votes: MemberVotes, share: float) -> Interval:
    """How often one person agrees with the others on this share of the questions, where people agree most."""
    told = np.flatnonzero(~np.isnan(votes.own))
    most = told[np.argsort(-votes.own[told], kind="stable")][: max(1, round(share * len(told)))]
    return clustered_share(votes.own[most], votes.clusters[most])
