"""The browser of the tests: it runs scripts, tells of errors and reaches nothing beyond this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page


def test_it_runs_a_page_and_hears_its_errors(
    open_page: Callable[..., Page], console: list[str], tmp_path: Path
) -> None:
    page_file = tmp_path / "page.html"
    page_file.write_text("<title>before</title><script>document.title = 'after'; undefined.x</script>")
    page = open_page(page_file.as_uri(), scheme="dark")
    assert page.title() == "after"
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert len(console) == 1
    assert "undefined" in console[0]
    console.clear()


def test_it_stays_on_this_machine(open_page: Callable[..., Page]) -> None:
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        open_page("http://example.org/")
