"""Escape untrusted text for where it is shown: a web page, a terminal, a spreadsheet.

These functions make invisible characters visible. HTML is escaped elsewhere, by jinja2, and on a terminal
text is never read as markup.
"""

from __future__ import annotations

import re
import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that starts so
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TURNS = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}


def seen(text: str) -> str:
    """Escape for a web page: control characters and marks of writing direction become visible codes."""
    shown = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return "".join(f"\\u{ord(c):04x}" if unicodedata.bidirectional(c) in _TURNS else c for c in shown)


def printed(text: str) -> str:
    """Escape for a terminal: unprintable characters become visible codes, so no escape sequence acts."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def cell(value: object) -> object:
    """Escape for a CSV file: text that a spreadsheet would run as a formula gets a leading quote."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
