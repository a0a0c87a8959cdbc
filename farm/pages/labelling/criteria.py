"""Criteria that a person judges beside the pair: which output is better at each.

A verdict on a criterion is an aspect of the judgement, as a rubric gives one. What was said is kept as the
person's reply, a line for each criterion, which the parser `aspects` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from db.records import AspectVerdict
from farm.pages.labelling.scales import SIDES, scale_of

FIELD: Final = "aspect-"
SAYINGS: Final[Mapping[str, str]] = MappingProxyType({"1": "1", "0": "tie", "2": "2"})
"""What the reply says of a criterion, by the key that was pressed."""


def field_of(place: int) -> str:
    """The form's field of a criterion. place: of the criterion, from 0."""
    return f"{FIELD}{place}"


def pressed(names: Sequence[str], fields: Mapping[str, str]) -> tuple[str, ...] | None:
    """The key for each criterion; None where one has no verdict, or one that there is not."""
    keys = tuple(fields.get(field_of(place), "") for place in range(len(names)))
    return keys if all(key in SAYINGS for key in keys) else None


def aspects_of(names: Sequence[str], keys: Sequence[str], swapped: bool) -> tuple[AspectVerdict, ...]:
    """The verdicts on the criteria for the pair in canonical order. keys: as pressed. swapped: as shown."""
    sides = scale_of(SIDES)
    shown = (AspectVerdict(name, sides[key].first) for name, key in zip(names, keys, strict=True))
    return tuple(each.turned if swapped else each for each in shown)


def reply_of(names: Sequence[str], keys: Sequence[str], verdict: str) -> str:
    """The person's reply as the ledger keeps it: the key, after a line for each criterion."""
    lines = [f"{name}: {SAYINGS[key]}" for name, key in zip(names, keys, strict=True)]
    return "\n".join([*lines, f"overall: {verdict}"]) if lines else verdict
