"""Sums with a right and a wrong answer, judged by a person who prefers the right one."""

from __future__ import annotations

from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from db.writer import Writer

ADA = AnnotatorCard("ada", AnnotatorKind.HUMAN)


def write_sums(writer: Writer, count: int = 40) -> list[Output]:
    """Write so many judged pairs; returns the right answers."""
    [ada] = writer.annotators([ADA])
    answers = []
    for i in range(count):
        ask = Instruction(f"Add {i} and 2.")
        right = Output(ask, f"It is {i + 2}.", "m")
        pair, flipped = Pair.of(right, Output(ask, f"It is {i}.", "m"))
        [pair_id] = writer.pairs([pair])
        preference = 0.0 if flipped else 1.0
        writer.annotations([Annotation(pair_id, ada, preference, preference, False)])
        answers.append(right)
    return answers
