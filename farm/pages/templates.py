"""Templates and style sheets of the pages, and the hashes that a Content-Security-Policy names."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from farm.escaping import seen

PALETTE = Path(__file__).parent / "palette.css"


def templates(folder: Path) -> Environment:
    """The jinja2 environment of a folder of pages.

    Every value is escaped, an unknown name is an error, and `seen` (farm/escaping.py) is a filter.
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seen"] = seen
    return environment


def stylesheet(path: Path) -> str:
    """The colours that all pages share, followed by the page's own style sheet."""
    return "".join(each.read_text(encoding="utf-8") for each in (PALETTE, path))


def source_hash(text: str) -> str:
    """The SHA-256 of a script or style in the form of a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
