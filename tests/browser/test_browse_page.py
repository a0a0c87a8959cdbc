"""The ledger's pages in a real browser: every query over hostile texts; what axe finds; how they look."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from db.ledger import Ledger
from farm.browse import TITLES
from tests.support.accessibility import grave
from tests.support.command_line import farm_arguments
from tests.support.hostile_texts import PAYLOADS, fill

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The first page of a ledger full of hostile_texts."""
    pytest.importorskip("datasette", reason="the extra `browse` is not installed")
    path = tmp_path_factory.mktemp("browse") / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        fill(ledger)
    command = farm_arguments(path, "browse", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


def test_nothing_that_the_ledger_says_runs(address: str, open_page: Open) -> None:
    """Instructions, outputs, names, replies and reasons, in queries and in tables, in rows and in facets."""
    page = open_page(address)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    pages = [*TITLES, "instruction", "output", "annotator", "completion", "annotation", "completion/1"]
    pages.append("annotation?_facet=reason&_size=max")
    for name in pages:
        page.goto(f"{address}/{name}")
        for element in page.locator("td", has_text="onmouseover").all():
            element.hover()
        assert "owned" not in page.title()
        assert page.locator("td iframe, td object, td embed, td img, td svg, td form, td script").count() == 0
    assert PAYLOADS[0] in page.inner_text("main, body")
    root = address.rsplit("/", 1)[0]
    assert [url for url in asked if not url.startswith((root, "data:"))] == []


def test_what_it_looks_like(address: str, open_page: Open, screenshots: Path) -> None:
    """Desk and phone; datasette has no dark pages."""
    for name in ("", "/disagreements", "/annotation?_facet=status"):
        for size in ((1280, 900), (390, 800)):
            page = open_page(f"{address}{name}", size)
            page.wait_for_selector("html[lang]")
            shot = f"browse-{name[1:].partition('?')[0] or 'first'}-{size[0]}.png"
            page.screenshot(path=screenshots / shot)
            assert grave(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
