"""What axe finds wrong with a page."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


def grave(page: Page) -> list[str]:
    """The elements with a serious or critical violation, each with its rule."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:300]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
