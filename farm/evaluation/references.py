"""Who judged, under which name, and who counts as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.errors import ConfigError
from db.records import AnnotatorCard, AnnotatorKind

GROUPS = {"human": AnnotatorKind.HUMAN, "gold": AnnotatorKind.GOLD}  # names that stand for all of a kind


class Who(NamedTuple):
    """An annotator of the frames: its code in their columns, its name and kind."""

    code: int
    name: str
    kind: AnnotatorKind


def named(cards: Sequence[AnnotatorCard]) -> tuple[Who, ...]:
    """The annotators under distinct names: where two share a name, each gets `#` and part of its key."""
    count: dict[str, int] = {}
    for card in cards:
        count[card.name] = count.get(card.name, 0) + 1
    return tuple(
        Who(card.id, card.name if count[card.name] == 1 else f"{card.name}#{card.key[:6]}", card.kind)
        for card in cards
    )


def reference_members(who: Sequence[Who], name: str | None) -> tuple[Who, ...]:
    """The members of the reference: all of a group (`human`, `gold`), or the annotator of that name.

    None means people, or gold standards where no person judged. Raises ConfigError where nobody has the name.
    """
    if name is None:
        people = [each for each in who if each.kind is AnnotatorKind.HUMAN]
        return tuple(people or [each for each in who if each.kind is AnnotatorKind.GOLD])
    if name in GROUPS:
        members = tuple(each for each in who if each.kind is GROUPS[name])
        if not members:
            raise ConfigError(
                f"nobody of kind {name} judged here", where="--reference", remedy="name another"
            )
        return members
    return annotators_named(who, (name,))


def annotators_named(who: Sequence[Who], names: Sequence[str]) -> tuple[Who, ...]:
    """The annotators of these names; all where none is given. Raises ConfigError for an unknown name."""
    known = {each.name for each in who}
    for name in names:
        if name not in known:
            some = ", ".join(sorted(known)[:8])
            raise ConfigError(f"no annotator {name!r} judged here", remedy=f"there are {some} ...")
    return tuple(each for each in who if not names or each.name in names)


def annotator_named(who: Sequence[Who], name: str) -> Who:
    """The annotator of this name. Raises ConfigError where there is none."""
    return annotators_named(who, (name,))[0]
