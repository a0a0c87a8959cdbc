"""Traits of a text that a judge may reward: its length, lists, markdown, hedges and others, as numbers.

The words are English. A trait is about how a text is written, never about whether it is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from annotators.lists import has_list

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_MARKDOWN = re.compile(
    r"^#{1,6} \S|\*\*[^*\n]+\*\*|__[^_\n]+__|^```|`[^`\n]+`|^\|.+\|\s*$|\[[^\]\n]+\]\([^)\s]+\)|^> \S", re.M
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|presumably|apparently|arguably|likely|unlikely|might|may|could|"
    r"seems?|appears?|suggests?|generally|usually|typically|often|sometimes|somewhat|in general|"
    r"it depends|depending on|i think|i believe|i guess|in my opinion|to my knowledge|as far as i know|"
    r"not sure|uncertain|roughly|approximately)\b",
    re.I,
)
_APOLOGY = re.compile(
    r"\b(?:sorry|apolog(?:y|ies|i[sz]e[sd]?|etic)|my apologies|regret|forgive me|pardon me)\b", re.I
)
_REFUSAL = re.compile(
    r"\bas an ai\b|\bi (?:can(?:no|['\u2019])t|could not|couldn['\u2019]t|am (?:not able|unable)"
    r"|won['\u2019]t|will not|must decline|do(?: not|n['\u2019]t) have (?:access|the ability))\b"
    r"|\bi['\u2019]m (?:not able|unable)\b|\b(?:against|violates?) (?:my|our) (?:guidelines|polic)",
    re.I,
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b50\u2b55\u203c\u2049]|[:;]-?[)(DP](?!\\w)"
)
_FIRST_PERSON = re.compile(r"\b(?:i|me|my|mine|myself|we|us|our|ours|ourselves)\b(?!\.)", re.I)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w])")
_QUOTE = re.compile('[\u201c\u201e\u00ab][^\u201d\u201c\u00bb\\n]{2,}[\u201d\u201c\u00bb]|"[^"\\n]{2,}"')


def _words(text: str) -> int:
    """How many words and numbers there are, at least 1."""
    return max(sum(1 for pattern in (_WORD, _NUMBER) for _ in pattern.finditer(text)), 1)


def _rate(pattern: re.Pattern[str]) -> Callable[[str], float]:
    """How often a pattern stands in a text, for each 100 words and numbers."""
    return lambda text: 100 * sum(1 for _ in pattern.finditer(text)) / _words(text)


def _has(pattern: re.Pattern[str]) -> Callable[[str], float]:
    """1 where a pattern stands in a text, else 0."""
    return lambda text: float(pattern.search(text) is not None)


TRAITS: Mapping[str, Callable[[str], float]] = MappingProxyType(
    {
        "length": lambda text: math.log1p(len(text)),
        "list": lambda text: float(has_list(text)),
        "markdown": _has(_MARKDOWN),
        "hedges": _rate(_HEDGE),
        "apology": _has(_APOLOGY),
        "refusal": _has(_REFUSAL),
        "emoji": _has(_EMOJI),
        "first person": _rate(_FIRST_PERSON),
        "numbers": _rate(_NUMBER),
        "quotes": _has(_QUOTE),
    }
)
"""Name -> the number of a text. length: log of 1 + characters. hedges, first person, numbers: for each 100
words and numbers. The others: 1 where the text has it."""


def traits_of(text: str) -> list[float]:
    """All traits of a text, in the order of TRAITS."""
    return [measure(text) for measure in TRAITS.values()]
