"""Text that came from outside, made harmless for where it is shown: a web page, a terminal, a spreadsheet.

On a page it is escaped by jinja2 as well, and on a terminal it is never read as markup; here it loses what
would act without being seen.
"""

from __future__ import annotations

import re
import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run it
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TURNS = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}


def seen(text: str) -> str:
    """For a page: control characters and marks that turn the writing direction made visible."""
    shown = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return "".join(f"\\u{ord(c):04x}" if unicodedata.bidirectional(c) in _TURNS else c for c in shown)


def printed(text: str) -> str:
    """For a terminal: whatever is not printable made visible, so that no escape sequence acts."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def cell(value: object) -> object:
    """For a CSV file: a text that a spreadsheet would run as a formula gets a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
