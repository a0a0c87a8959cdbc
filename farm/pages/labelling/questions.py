"""Which pairs a person is shown, in which order, and which of them catch a person who does not look.

Everything here is a function of the pairs and the person: who comes back finds the same order. The pairs
come in one order for everybody, so that people who label a few label the same few and can be compared; which
output stands first is drawn for each person anew. Among them are catch items: an output beside itself, which
is a tie, and an earlier pair the other way round, which deserves the same verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from annotators.draws import Occasion
from db.ids import content_hash, keyed_index, keyed_uniform
from db.records import Pair
from farm.evaluation.questions import CATCH_PREFIX


class QuestionKind(StrEnum):
    """What a question is for."""

    PAIR = "pair"
    REPEAT = "repeat"  # an earlier pair, the other way round
    IDENTICAL = "identical"  # an output beside itself


class Place(NamedTuple):
    """What is shown at a place of the order: a pair by its number among the pairs, as such or as a catch."""

    pair: int
    kind: QuestionKind


@dataclass(frozen=True)
class LabelQuestion:
    """A pair as one person is shown it. swapped: output_b stands first."""

    pair: Pair
    swapped: bool
    kind: QuestionKind

    @cached_property
    def key(self) -> str:
        return question_key(self.pair.key, self.swapped)


def question_key(pair_key: str, swapped: bool) -> str:
    """The identity of a question, for whoever it is asked."""
    return content_hash("label question", [pair_key, swapped])


def in_random_order(keys: Mapping[int, str]) -> list[int]:
    """Ids of pairs, by keyed draw: the same for everybody. keys: id -> key of the pair."""
    return sorted(keys, key=lambda number: keyed_uniform("label order", keys[number]))


def places(count: int, catch: float, person: str) -> list[Place]:
    """So many pairs in turn, and after every 1 / catch of them a catch item, identical or a repeat in turn.

    Where in its block a catch item stands, and what it repeats, is drawn for the person; a repeat is taken
    from the block before, so that some pairs lie between.
    """
    found: list[Place] = []
    size = round(1 / catch) if catch else 0
    for i in range(count):
        found.append(Place(i, QuestionKind.PAIR))
        if size and i % size == keyed_index(size, "catch place", person, i // size):
            block, which = i // size, keyed_index(size, "catch what", person, i // size)
            if block % 2:
                found.append(Place((block - 1) * size + which, QuestionKind.REPEAT))
            else:
                found.append(Place(i - i % size + which, QuestionKind.IDENTICAL))
    return [place for place in found if place.pair < count]


def questions(pairs: Sequence[Pair], catch: float, person: str) -> list[LabelQuestion]:
    """What this person is shown, in order, each once. person: the key of the annotator."""
    shown = (_question(pairs[place.pair], place.kind, person) for place in places(len(pairs), catch, person))
    return list({question.key: question for question in shown}.values())


def _question(pair: Pair, kind: QuestionKind, person: str) -> LabelQuestion:
    if kind is QuestionKind.IDENTICAL:
        output = replace(pair.output_a, producer=CATCH_PREFIX + pair.output_a.producer)
        pair, _ = Pair.of(output, output)
        return LabelQuestion(pair, False, kind)
    swapped = Occasion(pair.key, person).swapped()
    return LabelQuestion(pair, swapped != (kind is QuestionKind.REPEAT), kind)
