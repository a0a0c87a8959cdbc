"""Does a text hold a list? The audit, the rule `list-lover` and the world's people ask it."""

from __future__ import annotations

import re

_LIST_ITEM = re.compile(r"^[ \t]{0,12}(?:[-*+•‣–]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)


def has_list(text: str) -> bool:
    """Whether a text holds a list: at least two lines that begin with a bullet or a number."""
    lines = _LIST_ITEM.finditer(text)
    return next(lines, None) is not None and next(lines, None) is not None
