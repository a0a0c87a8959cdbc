"""Letters of other alphabets that are drawn as Latin ones, where a judge names an output by them.

A keyboard or a model may give a Cyrillic В for the B of the prompt. A letter counts where it stands alone. In
a text that has other letters of its alphabet it may be a word of that language, as В is "in" in Russian.
"""

from __future__ import annotations

import re
import unicodedata

_DRAWN_ALIKE = dict(
    zip(
        "АВЕЅІЈКМНОРСТХавеѕіјкмнорстхΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοκνυ",
        "ABESIJKMHOPCTXabesijkmhopctxABEZHIKMNOPTYXaoknu",
        strict=True,
    )
)
_LONE = re.compile(rf"(?<![^\W\d_])[{''.join(_DRAWN_ALIKE)}](?![^\W\d_])")
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u04ff]")


def latin(text: str) -> str:
    """The text with every lone letter that is drawn as a Latin one written as that one."""
    return text if text.isascii() else _LONE.sub(lambda found: _DRAWN_ALIKE[found[0]], text)


def is_foreign(text: str) -> bool:
    """Whether a text that `latin` gave still has letters of these alphabets."""
    return not text.isascii() and _FOREIGN.search(text) is not None


def told(text: str) -> str:
    """Which letter of a text is drawn as a Latin one and is none."""
    found = _LONE.search(text)
    assert found is not None
    return f"{found[0]!r} is {unicodedata.name(found[0])}, and is drawn as {_DRAWN_ALIKE[found[0]]}"
