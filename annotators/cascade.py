"""Cascades: the cheap judge first, and a stronger one only where it is unsure.

The confidence of a judge whose preference is p is max(p, 1 - p). A judge decides where its confidence reaches
its threshold. What nobody decides is contested. `farm annotators calibrate` fits the thresholds to people's
votes, so that what is decided agrees with people as often as was promised (Jung, Brahman and Choi 2024, arXiv
2407.18370).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from annotators.composite import NOBODY, ROUNDING, UNTOLD, AnyAnnotator, Ruling, Stage, Vote
from annotators.composite_examples import example_votes, is_as_expected, read_expected, said_of
from annotators.judgement import Verdict
from annotators.strict_yaml import Reader
from db.ids import Json
from db.records import AnnotatorKind

LEAST = 0.5  # confidence of a tie, the least that there is


@dataclass(frozen=True)
class CascadeRule:
    """Members are asked one after the other.

    least_confidence: with how much confidence each one decides, in [0.5, 1]; None before it is fitted.
    promise: the agreement with people that the thresholds were fitted for; 0 where none was promised.
    """

    members: tuple[AnyAnnotator, ...]
    least_confidence: tuple[float | None, ...]
    promise: float = 0.0

    @property
    def kind(self) -> AnnotatorKind:
        """See MakingRule."""
        return AnnotatorKind.CASCADE

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One stage for each member."""
        return tuple(
            Stage((member,), partial(ruling, least=LEAST if least is None else least))
            for member, least in zip(self.members, self.least_confidence, strict=True)
        )

    @property
    def draws(self) -> int:
        """See MakingRule."""
        return 1

    @property
    def lacking(self) -> str:
        """See MakingRule. The last member needs no threshold: it decides what is left."""
        return (
            "a member that is not the last has no least_confidence"
            if None in self.least_confidence[:-1]
            else ""
        )

    def changed(self, change: Callable[[AnyAnnotator], AnyAnnotator]) -> CascadeRule:
        """See MakingRule."""
        return replace(self, members=tuple(map(change, self.members)))

    def to_json(self) -> dict[str, Json]:
        """See MakingRule."""
        return {"least_confidence": list(self.least_confidence), "promise": self.promise}


def ruling(votes: Sequence[Vote], least: float) -> Ruling:
    """The vote of the stage's member, where it is confident enough."""
    if not votes:
        return Ruling(None, NOBODY)
    preference = votes[0].preference
    if preference is None:
        return Ruling(None, UNTOLD)
    confidence = max(preference, 1 - preference)
    if confidence < least - ROUNDING:
        return Ruling(None, f"confidence {confidence:.2f}, less than {least:.2f}")
    return Ruling(Verdict(preference))


def read_cascade(
    entry: Reader, members: Sequence[AnyAnnotator], least: Sequence[float | None]
) -> CascadeRule:
    """Read the rule of a cascade whose members, with their thresholds, were read before.

    Errors are collected in the reader.
    """
    promise = entry.number("promise", 0.0, 0.0, 1.0)
    if (not members or (len(members) == 1 and None in least)) and not entry.problems:
        entry.complain("members", "a cascade has 2 members or more, or 1 with a least_confidence")
    rule = CascadeRule(tuple(members), tuple(least), promise)
    if not entry.problems and not rule.lacking:
        _examine(entry, rule)
    return rule


def _examine(entry: Reader, rule: CascadeRule) -> None:
    """Check the cascade's own examples: what members say, and which of them decides."""
    names = [member.name for member in rule.members]
    for example in entry.readers("examples"):
        said = example_votes(example, names)
        expected, contested = read_expected(example)
        decider = example.text("by", "")
        example.close()
        found, by = Ruling(None), ""
        for name, stage in zip(names, rule.stages, strict=True):
            found = stage.rule([Vote(0, said[name])] if name in said else [])
            if found.verdict:
                by = name
                break
        right = is_as_expected(found, expected, contested) and decider in ("", by)
        if not right and not entry.problems:
            example.complain("expect", f"the votes give {said_of(found)} by {by or 'nobody'}")
