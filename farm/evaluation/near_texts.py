"""How alike two outputs are: identical but for case and blanks, one word apart, or nearly the same."""

from __future__ import annotations

import re
from enum import StrEnum

SHINGLE = 3  # words
NEAR = 0.8  # Jaccard similarity of shingles from which two texts are nearly the same

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Likeness(StrEnum):
    """How alike two outputs are, the nearest first."""

    IDENTICAL = "identical"
    BLANKS = "case and blanks"  # differ in these alone
    ONE_WORD = "one word"  # one word or sign is put in, left out or exchanged
    NEAR = "near-duplicates"  # NEAR of their shingles are shared
    EMPTY = "an empty output"  # one of them says nothing
    APART = "apart"


def likeness(one: str, other: str) -> Likeness:
    """How alike two texts are."""
    if one == other:
        return Likeness.IDENTICAL
    a, b = (_TOKEN.findall(text.casefold()) for text in (one, other))
    if not a or not b:
        return Likeness.EMPTY
    if a == b:
        return Likeness.BLANKS
    if is_one_word(a, b):
        return Likeness.ONE_WORD
    return Likeness.NEAR if similarity(a, b) >= NEAR else Likeness.APART


def is_one_word(a: list[str], b: list[str]) -> bool:
    """Whether one word is put in, left out or exchanged: an edit distance of 1."""
    if abs(len(a) - len(b)) > 1:
        return False
    shorter, longer = sorted((a, b), key=len)
    same = next((i for i, word in enumerate(shorter) if word != longer[i]), len(shorter))
    skip = len(longer) == len(shorter)
    return shorter[same + skip :] == longer[same + 1 :]


def similarity(a: list[str], b: list[str]) -> float:
    """The Jaccard similarity of the shingles of two texts, in [0, 1] (Broder 1997)."""
    one, other = (_shingles(words) for words in (a, b))
    return len(one & other) / len(one | other)


def _shingles(words: list[str]) -> set[tuple[str, ...]]:
    size = min(SHINGLE, len(words))
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
