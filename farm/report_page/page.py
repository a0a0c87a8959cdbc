"""From a report to one HTML page that needs nothing else: no network, no other script than its own.

The content security policy names the hashes of the page's style and script and allows nothing more, so what
an output says can never run. Every text goes through jinja2's autoescaping.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import unicodedata
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from farm.report_page.content import Report
from farm.report_page.figures import Figure
from farm.report_page.svg import inline_svg

FOLDER = Path(__file__).parent / "templates"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run it
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def page(report: Report) -> str:
    """The whole page as a text."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"seen": seen, "svg": _svg, "csv": _csv_link}
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("report.html.j2").render(
        report=report, style=Markup(style), script=Markup(script), policy=policy
    )


def seen(text: str) -> str:
    """A text with control characters and marks that turn the writing direction made visible."""
    shown = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return "".join(f"\\u{ord(c):04x}" if unicodedata.bidirectional(c) in _TURNS else c for c in shown)


_TURNS = {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _svg(figure: Figure) -> Markup:
    return Markup(inline_svg(figure.drawing, figure.name, figure.description))


def _csv_link(figure: Figure) -> str:
    """The figure's data as a link that downloads a CSV file."""
    return "data:text/csv;base64," + base64.b64encode(as_csv(figure.data).encode("utf-8")).decode()


def as_csv(data: pd.DataFrame) -> str:
    """A frame as CSV; a text that a spreadsheet would run as a formula gets a quote before it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(data.columns)
    for row in data.itertuples(index=False):
        writer.writerow([f"'{v}" if isinstance(v, str) and v.startswith(FORMULA) else v for v in row])
    return buffer.getvalue()
