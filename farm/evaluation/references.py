"""Who judged, under which name, and who counts as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.errors import ConfigError, did_you_mean
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
    return (annotator_named(who, name),)


def annotators_named(who: Sequence[Who], names: Sequence[str]) -> tuple[Who, ...]:
    """The annotators of these names; all where none is given. Raises ConfigError for an unknown name.

    A name that several share means each of them, such as the versions of an annotator whose prompt changed.
    """
    chosen = {each.name for name in names for each in _called(who, name)}
    return tuple(each for each in who if not names or each.name in chosen)


def annotator_named(who: Sequence[Who], name: str) -> Who:
    """The annotator of this name. Raises ConfigError where there is none, or where several share the name."""
    found = _called(who, name)
    if len(found) > 1:
        versions = ", ".join(each.name for each in found)
        raise ConfigError(
            f"{len(found)} annotators are called {name!r}, of which one is needed here",
            remedy=f"name one of {versions}; the last is the newest",
        )
    return found[0]


def _called(who: Sequence[Who], name: str) -> list[Who]:
    """Whoever has this name, or shares it, the oldest first. Raises ConfigError where nobody does."""
    own = [each for each in who if each.name == name]
    found = own or sorted(each for each in who if each.name.rpartition("#")[0] == name)
    if not found:
        some = ", ".join(sorted(each.name for each in who)[:8])
        remedy = did_you_mean(name, (each.name for each in who), f"there are {some} ...")
        raise ConfigError(f"no annotator {name!r} judged here", remedy=remedy)
    return found
