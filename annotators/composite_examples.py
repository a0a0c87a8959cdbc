"""The examples by which panels and cascades test themselves: members' votes, and what they give."""

from __future__ import annotations

from collections.abc import Sequence

from annotators.composite import Ruling
from annotators.spec import read_preference
from annotators.strict_yaml import Reader, nearest
from db.records import AnnotationStatus


def example_votes(example: Reader, names: Sequence[str]) -> dict[str, float | None]:
    """The votes of an example, by member; a member that is left out is recused."""
    votes = example.reader("votes")
    said = votes.rest()
    for name in sorted(said.keys() - set(names)):
        votes.complain(name, f"no member{nearest(name, names)}")
    return {name: read_preference(votes, name, said[name]) for name in names if name in said}


def read_expected(example: Reader) -> tuple[float | None, bool]:
    """What an example expects: a preference, and whether the pair is contested."""
    value = example.take("expect", None)
    if value == AnnotationStatus.CONTESTED.value:
        return None, True
    return read_preference(example, "expect", value), False


def is_as_expected(ruling: Ruling, expected: float | None, contested: bool) -> bool:
    """Whether a ruling is what an example expects."""
    if ruling.verdict is None or contested:
        return contested and ruling.verdict is None
    found = ruling.verdict.first
    return found is expected or (found is not None and expected is not None and abs(found - expected) < 1e-6)


def said_of(ruling: Ruling) -> str:
    """A ruling in a word."""
    if ruling.verdict is None:
        return AnnotationStatus.CONTESTED.value
    return "no verdict" if ruling.verdict.first is None else f"{ruling.verdict.first:g}"
