"""Panels: several annotators judge every pair, and their votes make one judgement.

A gate on agreement keeps contested pairs apart: they go to one more annotator, or stay out. `dawid-skene`
weighs members by confusion tables that were fitted beside people's votes (`farm annotators calibrate`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean

from annotators.composite import NOBODY, ROUNDING, UNTOLD, AnyAnnotator, Ruling, Stage, Vote
from annotators.composite_examples import example_votes, is_as_expected, read_expected, said_of
from annotators.judgement import Verdict
from annotators.strict_yaml import Reader
from db.ids import Json
from db.records import AnnotatorKind

FEWEST = 2  # members of a panel
SIDES = ("second", "tie", "first")  # the rows and columns of a confusion table


class Combine(StrEnum):
    """How the votes of a panel's members become one preference."""

    MEAN = "mean"
    MAJORITY = "majority"  # the commonest side; several commonest sides are a tie
    DAWID_SKENE = "dawid-skene"


@dataclass(frozen=True)
class Reliability:
    """What is known of the members' errors. confusion: of each member, P(it says a side | the true side), the
    true side in rows. prior: P(a side is true). Sides are as in SIDES."""

    confusion: tuple[tuple[tuple[float, ...], ...], ...]
    prior: tuple[float, ...]

    def posterior(self, votes: Sequence[Vote]) -> list[float]:
        """P(each side is true), given the sides of these votes (Dawid and Skene 1979, eq. 2.5)."""
        logs = [
            math.log(chance)
            + math.fsum(math.log(self.confusion[vote.member][true][side_of(vote)]) for vote in votes)
            for true, chance in enumerate(self.prior)
        ]
        most = max(logs)
        parts = [math.exp(each - most) for each in logs]
        return [part / math.fsum(parts) for part in parts]

    def to_json(self) -> Json:
        """The tables, as they enter the annotator's identity."""
        return {"confusion": [[list(row) for row in each] for each in self.confusion], "prior": [*self.prior]}


@dataclass(frozen=True)
class PanelRule:
    """All members vote. least_agreement: the share of members, those without a verdict included, that the
    commonest side must have. contested: who judges the others; None: they stay out."""

    members: tuple[AnyAnnotator, ...]
    combine: Combine = Combine.MAJORITY
    least_agreement: float = 0.0
    contested: AnyAnnotator | None = None
    reliability: Reliability | None = None

    @property
    def kind(self) -> AnnotatorKind:
        """See MakingRule."""
        return AnnotatorKind.PANEL

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The members, then whoever judges what they contest."""
        last = (Stage((self.contested,), taken),) if self.contested else ()
        return (Stage(self.members, self.ruling), *last)

    @property
    def draws(self) -> int:
        """See MakingRule."""
        return 1

    @property
    def lacking(self) -> str:
        """See MakingRule."""
        fitted = self.combine is not Combine.DAWID_SKENE or self.reliability is not None
        return "" if fitted else "its members' confusion tables are not fitted yet"

    def changed(self, change: Callable[[AnyAnnotator], AnyAnnotator]) -> PanelRule:
        """See MakingRule."""
        contested = change(self.contested) if self.contested else None
        return replace(self, members=tuple(map(change, self.members)), contested=contested)

    def to_json(self) -> dict[str, Json]:
        """See MakingRule."""
        own: dict[str, Json] = {"combine": str(self.combine), "least_agreement": self.least_agreement}
        own["contested"] = self.contested is not None
        return own | ({"reliability": self.reliability.to_json()} if self.reliability else {})

    def ruling(self, votes: Sequence[Vote]) -> Ruling:
        """The votes as one verdict; none where too few members agree."""
        told = [vote for vote in votes if vote.preference is not None]
        if not votes:
            return Ruling(None, NOBODY)
        if not told:
            return Ruling(Verdict(None, UNTOLD))
        sides = Counter(map(side_of, told))
        share = max(sides.values()) / len(votes)
        if share < self.least_agreement - ROUNDING:
            return Ruling(None, f"{max(sides.values())} of {len(votes)} members agree")
        return Ruling(Verdict(self._combined(told)))

    def _combined(self, told: Sequence[Vote]) -> float:
        if self.reliability:
            _, tie, first = self.reliability.posterior(told)
            return first + tie / 2
        preferences = [vote.preference for vote in told if vote.preference is not None]
        if self.combine is Combine.MEAN:
            return fmean(preferences)
        (side, most), *others = Counter(map(side_of, told)).most_common(2)
        return 0.5 if others and others[0][1] == most else side / 2


def side_of(vote: Vote) -> int:
    """The side of a vote that has one, by its place in SIDES."""
    assert vote.preference is not None
    return 1 + (vote.preference > 0.5) - (vote.preference < 0.5)


def taken(votes: Sequence[Vote]) -> Ruling:
    """The vote of a stage's only member as it is."""
    if not votes:
        return Ruling(None, NOBODY)
    return Ruling(Verdict(votes[0].preference, None if votes[0].preference is not None else UNTOLD))


def read_panel(entry: Reader, members: Sequence[AnyAnnotator], contested: AnyAnnotator | None) -> PanelRule:
    """Read the rule of a panel whose members were read before. Errors are collected in the reader."""
    combine = entry.choice("combine", Combine, Combine.MAJORITY)
    least = entry.number("least_agreement", 0.0, 0.0, 1.0)
    fitted = _reliability(entry, len(members))
    if fitted and combine is not Combine.DAWID_SKENE:
        entry.complain("confusion", f"tables are for {Combine.DAWID_SKENE}, not for {combine}")
    if len(members) < FEWEST and not entry.problems:
        entry.complain("members", f"a panel has {FEWEST} members or more")
    rule = PanelRule(tuple(members), combine, least, contested=contested, reliability=fitted)
    if not entry.problems and not rule.lacking:
        _examine(entry, rule)
    return rule


def _reliability(entry: Reader, members: int) -> Reliability | None:
    """The fitted tables. A panel without them can be calibrated, and cannot judge."""
    confusion, prior = entry.take("confusion", ()), entry.take("prior", ())
    if not confusion and not prior:
        return None
    tables = confusion if isinstance(confusion, list) else []
    right = len(tables) == members and all(
        isinstance(table, list) and len(table) == len(SIDES) and all(map(_chances, table)) for table in tables
    )
    if not right or not _chances(prior):
        each = "three rows of three chances above 0 that sum to 1"
        entry.complain("confusion", f"expected {each} for each member, and `prior` as such a row")
        return None
    assert isinstance(prior, list)
    return Reliability(tuple(tuple(map(tuple, table)) for table in tables), tuple(map(float, prior)))


def _chances(row: object) -> bool:
    """Whether this is a list of one chance for each side."""
    if not isinstance(row, list) or len(row) != len(SIDES) or not all(isinstance(n, float) for n in row):
        return False
    return all(0 < n < 1 for n in row) and abs(math.fsum(row) - 1) < 1e-3


def _examine(entry: Reader, rule: PanelRule) -> None:
    """Check the panel's own examples: members' votes, and what they give."""
    names = [member.name for member in rule.members]
    for example in entry.readers("examples"):
        said = example_votes(example, names)
        expected, contested = read_expected(example)
        example.close()
        ruling = rule.ruling([Vote(names.index(name), value) for name, value in said.items()])
        if not is_as_expected(ruling, expected, contested) and not entry.problems:
            example.complain("expect", f"the votes give {said_of(ruling)}")
