"""From a report to one HTML page that needs nothing else: no network, no other script than its own.

The content security policy names the hashes of the page's style and script and allows nothing more, so what
an output says can never run. Every text goes through jinja2's autoescaping.
"""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import Markup

from farm.escaping import seen
from farm.pages.report.content import Report
from farm.pages.report.drawing import Figure, as_csv
from farm.pages.report.svg import inline_svg
from farm.pages.templates import source_hash, stylesheet, templates

FOLDER = Path(__file__).parent / "templates"


def page(report: Report) -> str:
    """The whole page as a text."""
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
    return Markup(inline_svg(figure.drawing, figure.name, seen(figure.description)))


def _csv_link(figure: Figure) -> str:
    """The figure's data as a link that downloads a CSV file."""
    return "data:text/csv;base64," + base64.b64encode(as_csv(figure.data).encode("utf-8")).decode()
