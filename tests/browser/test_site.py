"""The documentation's site in a real browser: what it loads, what axe finds; its looks; its search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Page

from tests.support.accessibility import grave

PAGES = ("index", "tutorial", "reference/options")
Open = Callable[..., Page]


class Silent(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, format: str, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_wide_tables_move_in_a_frame_below_their_first_column(
    address: str, open_page: Open, scheme: str, screenshots: Path
) -> None:
    page = open_page("about:blank", (390, 800), scheme)
    page.goto(f"{address}/import.html", wait_until="networkidle")
    moved = page.evaluate(
        """[...document.querySelectorAll(".md-typeset__scrollwrap")]
            .filter((frame) => frame.scrollWidth > frame.clientWidth)
            .map((frame) => {
                frame.scrollLeft = frame.scrollWidth;
                const side = (element) => element.getBoundingClientRect().left;
                const cell = frame.querySelector("tbody td");
                return [frame.scrollLeft, side(cell) - side(frame)];
            })"""
    )
    page.screenshot(path=screenshots / f"site-tables-{scheme}-390.png", full_page=True)
    assert moved
    assert [first for left, first in moved if left < 1 or abs(first) > 20] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_what_it_looks_like(address: str, open_page: Open, screenshots: Path) -> None:
    """Light, dark and phone: nothing is asked of another machine, cut off, or grave to axe."""
    asked: list[str] = []
    for name in PAGES:
        for scheme, size in (("light", (1280, 900)), ("dark", (1280, 900)), ("light", (390, 800))):
            page = open_page("about:blank", size, scheme)
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{address}/{name}.html", wait_until="networkidle")
            page.screenshot(path=screenshots / f"site-{Path(name).name}-{scheme}-{size[0]}.png")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert grave(page) == []
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


@pytest.mark.parametrize("read", ["served", "from disk"])
def test_it_is_searched(address: str, site: Path, open_page: Open, read: str) -> None:
    page = open_page(f"{address if read == 'served' else site.as_uri()}/index.html")
    page.keyboard.press("s")
    page.keyboard.type("derangement")
    page.wait_for_selector(".md-search-result__link[href*='pair.html']")
