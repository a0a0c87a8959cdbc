"""The records that methods learn from, and what is refused of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from db.errors import FarmError
from db.records import Turn
from farm.models.tokens import Prompt
from farm.training.processes import Processes

R = TypeVar("R")
S = TypeVar("S")

logger = logging.getLogger(__name__)


class DataError(FarmError):
    """The data cannot be used for training as they are."""


def nothing_to_learn() -> DataError:
    """The error of a method that got no records."""
    return DataError("there is nothing to learn from", remedy="give a snapshot or split that is not empty")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A prompt and the output to imitate."""

    prompt: Prompt
    output: str
    control: str = ""  # put between them; see Template.control
    ended: bool = True  # False: the output was cut, and its end is not to be imitated


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two outputs to one prompt and P(output_a preferred) in [0, 1]; a tie is ½.

    reference: the response beside which both are read, for a method that reads one.
    """

    prompt: Prompt
    output_a: str
    output_b: str
    preference: float
    strength: float = 0.0  # how much better the preferred output is, a share of its scale; 0 where unknown
    reference: str = ""


@dataclass(frozen=True, slots=True)
class JudgedOutput:
    """An output that was judged without a partner. label in [0, 1]: 1 is good, 0 is bad."""

    prompt: Prompt
    output: str
    label: float


@dataclass(frozen=True, slots=True)
class AttributedOutput:
    """An output with a rating of each attribute that was rated; higher is more of it, on any scale."""

    prompt: Prompt
    output: str
    ratings: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AskedPair:
    """A judged pair as a judge is asked about it, in one order of its outputs.

    messages: what the judge is told. names: of the output shown first, and of the other. first: P(the output
    shown first preferred) in [0, 1]; a tie is ½.
    """

    messages: tuple[Turn, ...]
    names: tuple[str, str]
    first: float


@dataclass(frozen=True, slots=True)
class OutputGroup:
    """Two or more outputs to one prompt, each with a score; higher is better, equal scores are ties."""

    prompt: Prompt
    outputs: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Data(Generic[R]):
    """The records to learn from, the held-out records, and the processes that share the work.

    demonstrations: what a method of other records may imitate beside them.
    """

    train: Sequence[R]
    held_out: Sequence[R] = ()
    processes: Processes = field(default_factory=Processes)
    demonstrations: Sequence[Demonstration] = ()

    @property
    def first(self) -> R:
        """The first record to learn from. Raises DataError if there is none."""
        if not self.train:
            raise nothing_to_learn()
        return self.train[0]

    def made(self, make: Callable[[Sequence[R]], Sequence[S]]) -> Data[S]:
        """Convert both parts with `make`; an empty part stays empty."""
        train, held_out = (make(part) if part else [] for part in (self.train, self.held_out))
        return Data(train, held_out, self.processes, self.demonstrations)


def decided(records: Sequence[PreferencePair]) -> list[PreferencePair]:
    """The pairs that are not ties, turned so that output_a is preferred. Logs how many were left out."""
    kept = [r for r in records if r.preference != 0.5]
    if len(kept) < len(records):
        logger.warning("left out: %d of %d pairs are ties", len(records) - len(kept), len(records))
    return [turned(r) for r in kept]


def turned(record: PreferencePair) -> PreferencePair:
    """The pair with the preferred output as output_a; a tie stays as it is."""
    if record.preference >= 0.5:
        return record
    first, second, preference = record.output_b, record.output_a, 1 - record.preference
    return replace(record, output_a=first, output_b=second, preference=preference)


def judged_outputs(records: Sequence[PreferencePair]) -> list[JudgedOutput]:
    """Both outputs of each pair, the preferred one first. label: P(preferred to the other).

    Raises DataError on a preference outside [0, 1] and on pairs of equal texts.
    """
    check_pairs(records)
    return [
        JudgedOutput(pair.prompt, output, label)
        for pair in map(turned, records)
        for output, label in ((pair.output_a, pair.preference), (pair.output_b, 1 - pair.preference))
    ]


def attributed_outputs(records: Sequence[PreferencePair]) -> list[AttributedOutput]:
    """The outputs of `judged_outputs`, with the label as their one attribute, called score."""
    found = judged_outputs(records)
    return [AttributedOutput(each.prompt, each.output, {"score": each.label}) for each in found]


def check_pairs(records: Sequence[PreferencePair]) -> None:
    """Raises DataError on a preference outside [0, 1] and on pairs whose outputs are the same text."""
    wrong = next((r for r in records if not 0 <= r.preference <= 1), None)
    if wrong is not None:
        what = f"a preference is {wrong.preference}, expected P(output_a preferred) in [0, 1]"
        remedy = "leave failed judgements out of the snapshot"
        raise DataError(what, where=quote(wrong.prompt), remedy=remedy)
    same = [r for r in records if r.output_a == r.output_b]
    if same:
        what = (
            f"{len(same)} of {len(records)} pairs have two identical outputs: nothing can be learnt from them"
        )
        raise DataError(what, where=quote(same[0].prompt), remedy="leave such pairs out of the snapshot")


def check_judged(records: Sequence[JudgedOutput]) -> None:
    """Raises DataError on a label outside [0, 1]."""
    wrong = next((r for r in records if not 0 <= r.label <= 1), None)
    if wrong is not None:
        what = f"a label is {wrong.label}, expected a number in [0, 1]"
        remedy = "leave failed judgements out of the snapshot"
        raise DataError(what, where=quote(wrong.prompt), remedy=remedy)


def check_two_sided(records: Sequence[JudgedOutput]) -> None:
    """Raises DataError where no output is good, which is a label above ½, or none is bad."""
    sides = {"good" if each.label > 0.5 else "bad" for each in records if each.label != 0.5}
    for missing in sorted({"good", "bad"} - sides if records else ()):
        what = f"none of the {len(records)} outputs is {missing}, so nothing tells good from bad"
        raise DataError(what, remedy="give outputs of both sides, or imitate good ones: filtering")


def check_groups(records: Sequence[OutputGroup]) -> None:
    """Raises DataError on a group of one output, on missing scores, and on scores that are not finite."""
    for group in records:
        if len(group.outputs) < 2:
            what, remedy = "a group has fewer than two outputs", "leave such groups out"
        elif len(group.outputs) != len(group.scores):
            what = f"a group has {len(group.outputs)} outputs and {len(group.scores)} scores"
            remedy = "give each output a score"
        elif not all(math.isfinite(score) for score in group.scores):
            what, remedy = f"the scores of a group are {group.scores}", "leave failed judgements out"
        else:
            continue
        raise DataError(what, where=quote(group.prompt), remedy=remedy)


def quote(prompt: Prompt) -> str:
    """The beginning of a prompt's instruction, for an error text."""
    return f"instruction {prompt.instruction[:60]!r}"
