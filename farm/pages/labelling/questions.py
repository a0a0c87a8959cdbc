"""Which pairs a person sees, in which order, with the catch items among them.

Everything here depends on the pairs and the person alone, so a person who comes back finds the same order.
All people get the pairs in one order: those who label a few label the same few and can be compared. Which
output is shown first is drawn for each person. A catch item finds people who do not look. There are two
kinds: an output beside itself, which is a tie, and an earlier pair in the other order, which should get the
same verdict.
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
    REPEAT = "repeat"  # an earlier pair in the other order
    IDENTICAL = "identical"  # an output beside itself


class Place(NamedTuple):
    """One position of the order. pair: the number of the pair, from 0. kind: the pair itself or a catch
    item."""

    pair: int
    kind: QuestionKind


@dataclass(frozen=True)
class LabelQuestion:
    """A pair as one person sees it. swapped: output_b is shown first."""

    pair: Pair
    swapped: bool
    kind: QuestionKind

    @cached_property
    def key(self) -> str:
        """The identity of the question, the same for everybody."""
        return question_key(self.pair.key, self.swapped)


def question_key(pair_key: str, swapped: bool) -> str:
    """The identity of a question: a hash of the pair and the order, the same for everybody."""
    return content_hash("label question", [pair_key, swapped])


def in_random_order(keys: Mapping[int, str]) -> list[int]:
    """Ids of pairs in an order that a keyed draw gives, the same for everybody. keys: key of a pair by its
    id."""
    return sorted(keys, key=lambda number: keyed_uniform("label order", keys[number]))


def places(count: int, catch: float, person: str) -> list[Place]:
    """The order of `count` pairs with a catch item in every block of 1 / catch pairs.

    Blocks have an identical pair and a repeat in turn. The position in the block, and the pair that is used,
    are drawn for the person. A repeat uses a pair of the block before, so that some pairs lie between. catch:
    catch items for each pair; 0 means none.
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
    """The questions of one person in order, each once. catch: as in `places`. person: the annotator's key."""
    shown = (_question(pairs[place.pair], place.kind, person) for place in places(len(pairs), catch, person))
    return list({question.key: question for question in shown}.values())


def _question(pair: Pair, kind: QuestionKind, person: str) -> LabelQuestion:
    if kind is QuestionKind.IDENTICAL:
        output = replace(pair.output_a, producer=CATCH_PREFIX + pair.output_a.producer)
        pair, _ = Pair.of(output, output)
        return LabelQuestion(pair, False, kind)
    swapped = Occasion(pair.key, person).swapped()
    return LabelQuestion(pair, swapped != (kind is QuestionKind.REPEAT), kind)
