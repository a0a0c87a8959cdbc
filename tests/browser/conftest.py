"""A real browser for the tests of pages: the machine's own Chromium, headless, with no way to the network.

The browser of a module is closed at its end, since Playwright keeps an event loop running in this thread
while it is open: what a test of these runs with asyncio in this process, it runs in a thread or a process
of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
STAY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
DESK = (1280, 900)


def starts(path: str | None) -> bool:
    """Whether there is a program here; some systems have one that only says where to get it."""
    return (
        path is not None
        and not subprocess.run([path, "--version"], capture_output=True, check=False).returncode
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as FARM_CHROMIUM or the PATH names it; the test skips where none of these starts."""
    path = os.environ.get("FARM_CHROMIUM") or next(filter(starts, map(shutil.which, NAMES)), None)
    if not path:
        pytest.skip("no Chromium that starts: install it, or name it in FARM_CHROMIUM")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=[STAY_HERE, "--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def console() -> list[str]:
    """The errors of every page that `open_page` opened: a test that expects some empties it."""
    return []


@pytest.fixture
def open_page(browser: Browser, console: list[str]) -> Iterator[Callable[..., Page]]:
    """Opens an address in a fresh profile, or in `context`; no page may leave an error on the console."""
    contexts: list[BrowserContext] = []

    def opened(
        url: str,
        size: tuple[int, int] = DESK,
        scheme: Literal["light", "dark"] = "light",
        context: BrowserContext | None = None,
    ) -> Page:
        if context is None:
            viewport = {"width": size[0], "height": size[1]}
            context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: console.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: console.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert console == []


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where a test leaves screenshots to be looked at: FARM_SCREENSHOTS, or a folder that is thrown away."""
    folder = Path(os.environ.get("FARM_SCREENSHOTS") or tmp_path / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
