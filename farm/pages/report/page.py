"""Render a report as one HTML page that needs no network and runs no script but its own.

The Content-Security-Policy allows the page's style and script by their hashes and nothing else, so nothing in
an output can run. jinja2 escapes every text.
"""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import Markup

from db.whole_files import Kind
from farm.escaping import seen
from farm.pages.report.content import Report
from farm.pages.report.drawing import Figure, as_csv
from farm.pages.report.svg import inline_svg
from farm.pages.templates import source_hash, stylesheet, templates

PAGE = Kind(b"<!doctype html>", b'<meta name="generator" content="Preference Farm"')
FOLDER = Path(__file__).parent / "templates"


def page(report: Report) -> str:
    """The whole page as HTML."""
    environment = templates(FOLDER)
    environment.filters |= {"svg": _svg, "csv": _csv_link}
    style, script = stylesheet(FOLDER / "report.css"), (FOLDER / "report.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src '{source_hash(style)}'; script-src '{source_hash(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("report.html.j2").render(
        report=report, style=Markup(style), script=Markup(script), policy=policy
    )


def _svg(figure: Figure) -> Markup:
    """The figure as it is on a desk and, where it is drawn so, as it is on a phone; CSS shows one of them.

    A broad figure is shown as on a phone up to a broader page.
    """
    words = seen(figure.description)
    if figure.narrow is None:
        return Markup(inline_svg(figure.drawing, figure.name, words))
    wide, narrow = ("wide broad", "narrow broad") if figure.is_broad else ("wide", "narrow")
    drawn = inline_svg(figure.drawing, figure.name, words, shown=wide)
    return Markup(drawn + inline_svg(figure.narrow, f"{figure.name} narrow", words, shown=narrow))


def _csv_link(figure: Figure) -> str:
    """A data URL that downloads the figure's data as a CSV file."""
    return "data:text/csv;base64," + base64.b64encode(as_csv(figure.data).encode("utf-8")).decode()
