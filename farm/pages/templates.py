"""The templates and style sheets of our pages, and the hashes that a content policy names."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from farm.escaping import seen

PALETTE = Path(__file__).parent / "palette.css"


def templates(folder: Path) -> Environment:
    """Pages whose every value is escaped; `seen` is a filter of theirs, and an unknown name is an error."""
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["seen"] = seen
    return environment


def stylesheet(path: Path) -> str:
    """A page's own style after the colours that all pages share."""
    return "".join(each.read_text(encoding="utf-8") for each in (PALETTE, path))


def source_hash(text: str) -> str:
    """A script or a style as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
