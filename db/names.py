"""Names of annotators: how long they may be, and which of them look alike.

Names that differ in case, in blanks, in signs without width, in their Unicode normal form, or in letters that
Latin, Greek and Cyrillic draw alike are as many annotators, though nobody can tell them apart on a screen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

LONGEST_NAME = 200  # characters
_DRAWN_ALIKE = str.maketrans(
    "АВЕЅІЈКМНОРСТХУҮԌԚԜавеѕіјкмнорстхуүԍԛԝԁһӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοριιυνκχγτɡıℓ",
    "ABESIJKMHOPCTXYYGQWabesijkmhopctxyygqwdhlABEZHIKMNOPTYXaopiiuvkxytgil",
)


def outline(name: str) -> str:
    """What is left of a name when all that eyes miss is taken away. Names of one outline look alike."""
    text = unicodedata.normalize("NFKC", name).translate(_DRAWN_ALIKE).casefold().translate(_DRAWN_ALIKE)
    seen = "".join(each for each in text if each.isspace() or unicodedata.category(each) not in ("Cc", "Cf"))
    return " ".join(seen.split())


def alike(names: Iterable[str]) -> tuple[str, ...]:
    """A line for each group of names that look alike. Letters beyond ASCII are written as escapes."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(outline(name), set()).add(name)
    return tuple(
        f"{', '.join(ascii(name) for name in sorted(group))} look alike and are different annotators"
        for _, group in sorted(groups.items())
        if len(group) > 1
    )
