"""The report in a real browser: clicked through, looked at by axe, and full of outputs that want to run.

One report is a quickstart's, one of real people's judgements, one of a ledger of hostile texts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from farm.import_ import import_files
from farm.quickstart import Quickstart
from farm.report import ReportOptions, report
from tests.support.accessibility import grave
from tests.support.hostile_texts import PAYLOADS, fill

Open = Callable[..., Page]
VIEWS = (("light", (1280, 900)), ("dark", (1280, 900)), ("light", (390, 800)), ("dark", (390, 800)))
REPORTS = ("quickstart", "real")
IN_FULL = (pytest.param("quickstart", marks=pytest.mark.slow), "real")
HOSTILE_TOO = (*IN_FULL, pytest.param("hostile", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on a ledger full of hostile_texts."""
    folder = tmp_path_factory.mktemp("hostile")
    with Ledger.open(folder / "farm.db", create=True) as ledger:
        fill(ledger)
        options = ReportOptions(subject=PAYLOADS[0], pairs=len(PAYLOADS))
        assert report(ledger, folder / "report.html", options).disagreements == len(PAYLOADS)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def quickstart(studied: Quickstart) -> str:
    """The address of a report with every chapter."""
    return studied.report.as_uri()


@pytest.fixture(scope="module")
def real(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on what real people and real models judged."""
    folder = tmp_path_factory.mktemp("real")
    files = [real_data / f"{name}.jsonl.gz" for name in ("autoj", "llmfao", "pandalm")]
    with Ledger.open(folder / "farm.db", create=True) as ledger:
        import_files(ledger, "preferences", files, ReadOptions(), lambda *_: None)
        made = report(ledger, folder / "report.html", ReportOptions(subject="Real people"))
    assert made.bytes < 5_000_000
    assert made.disagreements == ReportOptions().pairs
    return (folder / "report.html").as_uri()


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


def test_nothing_that_an_output_says_runs(hostile: str, open_page: Open) -> None:
    page = open_page(hostile)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for number in range(len(PAYLOADS)):
        assert page.locator("#place").inner_text() == f"{number + 1} of {len(PAYLOADS)}"
        shown = page.locator(".pair:visible")
        assert shown.count() == 1
        assert shown.locator(".opinions details").count() == 2  # the replies of both judges
        for element in shown.locator("p.text").all():
            element.hover()
            element.focus()
        page.keyboard.press("j")
    assert page.title() == f"{PAYLOADS[0]}: report"
    assert requests == []
    assert page.locator("main").is_visible()
    assert page.locator("iframe, object, embed, form, img, base, link, video, audio").count() == 0
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("address", IN_FULL, indirect=True)
def test_the_disagreements_are_clicked_through(address: str, open_page: Open) -> None:
    page = open_page(address)
    place, pairs = page.locator("#place"), page.locator(".pair")
    count = pairs.count()
    assert count > 3
    assert page.locator("#before").is_disabled()
    seen = set()
    for number in range(1, count + 1):
        assert place.inner_text() == f"{number} of {count}"
        [shown] = page.locator(".pair:visible").all()
        said = shown.inner_text()
        assert said.count("prefer the first") == 2  # of people, of simulators
        seen.add(shown.get_attribute("aria-label"))
        if number < count:
            page.get_by_role("button", name="Next").click()
    assert len(seen) == count
    assert page.locator("#next").is_disabled()
    page.get_by_role("button", name="Before").click()
    page.keyboard.press("k")
    page.keyboard.press("j")
    assert place.inner_text() == f"{count - 1} of {count}"
    page.get_by_label("Pair", exact=True).select_option("0")
    assert place.inner_text() == f"1 of {count}"
    assert page.locator(".pair mark").count() >= 1


def test_every_figure_can_be_downloaded_and_every_chapter_reached(quickstart: str, open_page: Open) -> None:
    page = open_page(quickstart)
    for link in page.locator("a[download]").all():
        with page.expect_download() as download:
            link.click()
        assert Path(download.value.path()).read_text().count("\n") > 1
    for link in page.locator("nav a").all():
        link.click()
        target = page.locator(link.get_attribute("href") or "")
        assert target.is_visible()
    assert page.locator("figure svg[role=img]:visible").count() == page.locator("a[download]").count() >= 5


def test_a_caption_is_read_whole_on_a_phone(quickstart: str, open_page: Open) -> None:
    page = open_page(quickstart, (390, 800))
    ends = page.evaluate(
        """[...document.querySelectorAll(".scroll caption:not(.hidden)")].map((caption) => {
            const words = document.createRange();
            words.selectNodeContents(caption);
            return [caption.textContent, words.getBoundingClientRect().right];
        })"""
    )
    assert ends
    assert [words for words, right in ends if right > 390] == []


WIDTHS = (320, 390, 560, 703, 705, 800, 991, 993, 1050, 1280, 1400)  # beside each step of the style sheet
SIZES = """[...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().width > 1)
    .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
    .map((each) => {
        const { a, b } = each.ownerSVGElement ? each.getScreenCTM() : { a: 1, b: 0 };
        return [parseFloat(getComputedStyle(each).fontSize) * Math.hypot(a, b), each.textContent];
    })"""


@pytest.mark.parametrize("address", REPORTS, indirect=True)
def test_no_text_is_below_11_pixels_at_any_width(address: str, open_page: Open) -> None:
    page = open_page(address)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        sizes = page.evaluate(SIZES)
        assert len(sizes) > 100
        assert [(width, said) for size, said in sizes if size < 11] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", REPORTS, indirect=True)
def test_a_phone_shows_figures_and_tables_that_can_be_read(
    address: str, open_page: Open, scheme: str
) -> None:
    """Each figure is drawn for it; wide tables move in a frame below their first column."""
    page = open_page(address, (390, 800), scheme)
    assert page.locator("figure svg:visible").count() == page.locator("figure").count()
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    moved = page.evaluate(
        """[...document.querySelectorAll(".scroll")].filter((frame) => frame.scrollWidth > frame.clientWidth)
            .map((frame) => {
                frame.scrollLeft = frame.scrollWidth;
                const side = (element) => element.getBoundingClientRect().left;
                return [frame.scrollLeft, side(frame.querySelector("tbody th")) - side(frame)];
            })"""
    )
    assert moved
    assert [first for left, first in moved if left < 1 or abs(first) > 1] == []


def test_with_the_keyboard_alone(quickstart: str, open_page: Open) -> None:
    page = open_page(quickstart)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("address", HOSTILE_TOO, indirect=True)
def test_what_it_looks_like(
    address: str, open_page: Open, request: pytest.FixtureRequest, screenshots: Path
) -> None:
    """Light and dark, desk and phone: nothing is cut off, axe finds nothing grave."""
    name = request.node.callspec.params["address"]
    for scheme, size in VIEWS:
        page = open_page(address, size, scheme)
        shot = screenshots / f"report-{name}-{scheme}-{size[0]}.png"
        page.screenshot(path=shot, full_page=name != "hostile")
        assert grave(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_every_pair_is_there(quickstart: str, browser: object, open_page: Open) -> None:
    context = browser.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    page = open_page(quickstart, context=context)
    assert page.locator(".pair:visible").count() == page.locator(".pair").count() > 3
    assert page.locator(".browse").is_hidden()
    context.close()
