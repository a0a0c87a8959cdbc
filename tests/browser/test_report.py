"""The report in a real browser: clicked through, looked at by axe, and full of outputs that want to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from accessibility import grave
from playwright.sync_api import Page

from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.report import ReportOptions, report
from farm.studies.results import CurvePoint, Judged, RankAgreement, Rate, StudyResults

Open = Callable[..., Page]
OWNED = "document.title='owned'"
PAYLOADS = (
    f"<script>{OWNED}</script>",
    f"<SCRIPT SRC=data:text/javascript,{OWNED}></SCRIPT>",
    f"</script><script>{OWNED}</script>",
    f"<scr<script>ipt>{OWNED}</scr</script>ipt>",
    f"<script type=module>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}">',
    f'<img src=x onerror="{OWNED}"//',
    f"<image href=x onerror={OWNED}>",
    f'<svg onload="{OWNED}">',
    f"<svg><script>{OWNED}</script></svg>",
    f'<svg><a xlink:href="javascript:{OWNED}"><text y=20>x</text></a></svg>',
    f'<svg><animate onbegin="{OWNED}" attributeName=x dur=1s></svg>',
    f"<svg><foreignObject><body onload={OWNED}></foreignObject></svg>",
    f'<math href="javascript:{OWNED}">x</math>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={OWNED}></style></mglyph></table></mtext></math>",
    f'<a href="javascript:{OWNED}">link</a>',
    f"[link](javascript:{OWNED})",
    f'<a href="java\tscript:{OWNED}" autofocus onfocus={OWNED}>x</a>',
    f'<iframe src="javascript:parent.{OWNED}"></iframe>',
    f'<iframe srcdoc="<script>parent.{OWNED}</script>"></iframe>',
    f'<object data="data:text/html,<script>parent.{OWNED}</script>"></object>',
    f'<embed src="javascript:{OWNED}">',
    f"<video><source onerror={OWNED}></video>",
    f"<audio src=x onerror={OWNED}>",
    f"<body onload={OWNED}>",
    f"<input autofocus onfocus={OWNED}>",
    f"<details open ontoggle={OWNED}>x</details>",
    f"<select autofocus onfocus={OWNED}></select>",
    f"<marquee onstart={OWNED}>x</marquee>",
    f"<form action=javascript:{OWNED}><button>go</button></form>",
    f'" onmouseover="{OWNED}" x="',
    f"' autofocus onfocus='{OWNED}' x='",
    f"--><script>{OWNED}</script><!--",
    f"]]><script>{OWNED}</script>",
    f"</title></style></textarea></noscript><script>{OWNED}</script>",
    f"<template><script>{OWNED}</script></template><noscript><p title='</noscript><img src=x>'>",
    "<style>main { display: none } @import '//evil.example/x.css';</style>",
    "<p style='position:fixed;inset:0;background:url(//evil.example/x)'>over all</p>",
    "<link rel=stylesheet href=//evil.example/x.css><link rel=prefetch href=//evil.example/y>",
    "<meta http-equiv=refresh content='0;url=//evil.example'><base href=//evil.example>",
    f"&lt;script&gt;{OWNED}&lt;/script&gt; &#60;script&#62;",
    f"\\u003cscript\\u003e{OWNED}\\u003c/script\\u003e",
    f"{{{{ report }}}} ${{{OWNED}}} {{% for x in y %}}",
    "\u202e\u2066gnp.exe\u2069 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "e\u0301" * 2_000 + "Z\u0300\u0301\u0302\u0303\u0304" * 200,
    "x" * 100_000,
)


def fill(ledger: Ledger, texts: tuple[str, ...]) -> None:
    """Each text is instruction, input, output, model and judge; people and judge differ on every pair."""
    with ledger.writing() as writer:
        people = writer.annotators([AnnotatorCard(name, AnnotatorKind.HUMAN) for name in ("ada", "ben")])
        for number, text in enumerate(texts):
            asked = Instruction(f"{number} {text}", text)
            rivals = Output(asked, text, f"model {text[:40]}"), Output(asked, f"{text[:30]} hello", "m")
            pair, flipped = Pair.of(*rivals)
            judge = AnnotatorCard(f"{text[:60]} {number}", AnnotatorKind.LLM)
            [pair_id] = writer.pairs([pair])
            for annotator, first in zip([*writer.annotators([judge]), *people], (1.0, 0.0, 0.0), strict=True):
                preference = 1 - first if flipped else first
                writer.annotations([Annotation(pair_id, annotator, preference, preference, False)])


def study() -> StudyResults:
    """Two methods in two worlds, and a curve that turns."""
    rates = (("people", 0.0), ("simulators", 0.05))
    judged = tuple(
        Judged(method, world, world, Rate(value, value - 0.1, value + 0.1), 100, 0)
        for world, shift in rates
        for method, value in (("sft", 0.5 + shift), ("ppo", 0.6 + shift), ("dpo", 0.55 + shift))
    )
    points = tuple(
        CurvePoint("best-of-n", "people", n, n**0.5, Rate(1 - (n - 3) ** 2 / 9, 0, 1), 1.0)
        for n in (1.0, 3.0, 5.0)
    )
    ranking = RankAgreement(Rate(1.0, 0.5, 1.0), 1.0, 3, 0.3, 0.3)
    return StudyResults("baseline", 0, judged, ranking, points, 1.0)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on a ledger full of payloads."""
    folder = tmp_path_factory.mktemp("hostile")
    with Ledger.open(folder / "farm.db", create=True) as ledger:
        fill(ledger, PAYLOADS)
        options = ReportOptions(subject=PAYLOADS[0], draws=50, pairs=len(PAYLOADS))
        assert report(ledger, folder / "report.html", options).disagreements == len(PAYLOADS)
    return (folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with every chapter that needs no training."""
    folder = tmp_path_factory.mktemp("plain")
    study().write(folder / "study.json")
    texts = tuple(f"Some words about the number {number} and what follows" for number in range(12))
    with Ledger.open(folder / "farm.db", create=True) as ledger:
        fill(ledger, texts)
        report(ledger, folder / "report.html", ReportOptions(study=folder / "study.json", draws=50))
    return (folder / "report.html").as_uri()


def test_nothing_that_an_output_says_runs(hostile: str, open_page: Open) -> None:
    page = open_page(hostile)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    for number in range(len(PAYLOADS)):
        assert page.locator("#place").inner_text() == f"{number + 1} of {len(PAYLOADS)}"
        shown = page.locator(".pair:visible")
        assert shown.count() == 1
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


def test_the_disagreements_are_clicked_through(plain: str, open_page: Open) -> None:
    page = open_page(plain)
    place, pairs = page.locator("#place"), page.locator(".pair")
    assert pairs.count() == 12
    assert page.locator(".pair:visible").count() == 1
    assert page.locator("#before").is_disabled()
    page.get_by_role("button", name="Next").click()
    assert place.inner_text() == "2 of 12"
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.get_by_label("Pair", exact=True).select_option("11")
    assert place.inner_text() == "12 of 12"
    assert page.locator("#next").is_disabled()
    assert "prefer the first" in page.locator(".pair:visible").inner_text()
    assert page.locator(".pair:visible mark").count() >= 1


def test_every_figure_can_be_downloaded_and_every_chapter_reached(plain: str, open_page: Open) -> None:
    page = open_page(plain)
    for link in page.locator("a[download]").all():
        with page.expect_download() as download:
            link.click()
        assert Path(download.value.path()).read_text().count("\n") > 1
    for link in page.locator("nav a").all():
        link.click()
        target = page.locator(link.get_attribute("href") or "")
        assert target.is_visible()
    assert page.locator("figure svg[role=img]").count() == page.locator("a[download]").count() >= 5


def test_with_the_keyboard_alone(plain: str, open_page: Open) -> None:
    page = open_page(plain)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 800)], ids=["desk", "phone"])
def test_axe_finds_nothing_serious(
    plain: str, hostile: str, open_page: Open, scheme: str, size: tuple[int, int], screenshots: Path
) -> None:
    for name, address in (("plain", plain), ("hostile", hostile)):
        page = open_page(address, size, scheme)
        page.screenshot(path=screenshots / f"report-{name}-{scheme}-{size[0]}.png", full_page=name == "plain")
        assert grave(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_every_pair_is_there(plain: str, browser: object, open_page: Open) -> None:
    context = browser.new_context(java_script_enabled=False)  # type: ignore[attr-defined]
    page = open_page(plain, context=context)
    assert page.locator(".pair:visible").count() == 12
    assert page.locator(".browse").is_hidden()
    context.close()


def test_a_report_of_real_data(real_data: Path, tmp_path: Path, open_page: Open, screenshots: Path) -> None:
    from db.interchange.rows import ReadOptions
    from farm.exchange import import_files

    with Ledger.open(tmp_path / "real.db", create=True) as ledger:
        import_files(ledger, "preferences", [real_data / "pandalm.jsonl.gz"], ReadOptions(), lambda *_: None)
        made = report(ledger, tmp_path / "report.html", ReportOptions(subject="PandaLM", draws=200))
    assert made.bytes < 5_000_000
    for scheme, size in (("light", (1280, 900)), ("dark", (1280, 900)), ("light", (390, 800))):
        page = open_page((tmp_path / "report.html").as_uri(), size, scheme)
        page.screenshot(path=screenshots / f"report-real-{scheme}-{size[0]}.png", full_page=True)
        page.keyboard.press("j")
        assert page.locator("#place").inner_text() == f"2 of {made.disagreements}"
