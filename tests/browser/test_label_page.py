"""The labelling page in a real browser: keyboard, undo, reload, two people at once, hostile texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, Page, expect

from db.ledger import Ledger
from db.queries.aspects import aspects_of
from db.queries.contests import contests
from db.queries.given import given_by
from db.records import AnnotationStatus, Instruction, Item, Output, Pair
from tests.support import hostile_texts
from tests.support.accessibility import grave
from tests.support.hostile_texts import PAYLOADS
from tests.support.label_page import labelling

OpenPage = Callable[..., Page]
LONG = "\n\n".join(
    f"{i}. Water it when the top of the soil is dry, and turn the pot now and then." for i in range(1, 9)
)


def fill(path: Path, count: int = 30) -> None:
    """So many pairs of a good and a bad output."""
    asked = [Instruction(f"How do I keep basil alive? ({i})", "On a windowsill.") for i in range(count)]
    pairs = [Pair.of(Output(each, f"good. {LONG}", "m"), Output(each, "bad.", "n")) for each in asked]
    with Ledger.open(path, create=True) as made, made.writing() as writer:
        writer.items([Item("crossed", str(i), pair, flipped) for i, (pair, flipped) in enumerate(pairs)])


def press(page: Page, key: str) -> None:
    """Press a key that sends a verdict, and wait for the page after it."""
    page.wait_for_selector("body[data-ready]")
    with page.expect_navigation():
        page.keyboard.press(key)


def good_one(page: Page) -> str:
    """The key for the good output, or for a tie where both are the same."""
    first, second = (page.inner_text(f"#output-{i} .text") for i in (1, 2))
    return "0" if first == second else "1" if first.startswith("good") else "2"


def test_thirty_pairs_by_keyboard_with_undo_and_reload_and_two_at_once(
    tmp_path: Path, open_page: OpenPage
) -> None:
    path = tmp_path / "farm.db"
    fill(path)
    with labelling(path, "--annotator", "ada", "--annotator", "ben", "--source", "crossed") as running:
        pages = {name: open_page(running.link(name)) for name in ("ada", "ben")}
        ada = pages["ada"]
        press(ada, good_one(ada))
        wrong = ada.inner_text(".asked .text")
        press(ada, "0")
        press(ada, "u")
        assert ada.inner_text(".asked .text") == wrong
        assert "Taken back" in (ada.text_content("[role=status]") or "")
        turns = 0
        while any(page.locator("#clock").count() for page in pages.values()):
            turns += 1
            if turns == 15:
                before = ada.inner_text("main")
                ada.reload()
                assert ada.inner_text("main") == before
                assert "14 of 33" not in ada.inner_text(".count")
            for page in pages.values():
                if page.locator("#clock").count():
                    press(page, good_one(page))
        for page in pages.values():
            assert "33 of 33" in page.inner_text(".count")
        report = running.stop()
    assert [each["judged"] for each in report["people"]] == [33, 33]
    assert [each["identical_ties"] for each in report["people"]] == [2, 2]
    assert [each["repeats_same"] for each in report["people"]] == [1, 1]
    assert all(each["seconds"] > 0 for each in report["people"])
    with Ledger.open(path) as ledger:
        assert ledger.counts()["annotation"] == 2 * 33 + 2  # ada's tie and its retraction
        rows = contests(ledger, "crossed")
        assert (rows["preference"] == (rows["model_a"] == "m")).all()
        assert Counter(rows.groupby(["pair_id", "annotator"]).size()) == {1: 58, 2: 2}  # one repeat each
        for annotator in (1, 2):
            given = given_by(ledger, annotator)
            assert len({(each.pair_key, each.swapped) for each in given}) == len(given) == 33
            assert {each.status for each in given} == {AnnotationStatus.OK}


PRESSED = "new KeyboardEvent('keydown', {key: '1', bubbles: true})"
AT_ONCE = f"addEventListener('DOMContentLoaded', () => document.body.dispatchEvent({PRESSED}))"
"""Presses a key on every page as soon as it stands, before anybody can have read it."""


def test_a_key_that_is_held_or_comes_too_early_judges_one_pair_only(
    tmp_path: Path, browser: Browser, open_page: OpenPage
) -> None:
    path = tmp_path / "farm.db"
    fill(path, 5)
    with labelling(path, "--annotator", "ada") as running, browser.new_context() as context:
        context.add_init_script(AT_ONCE)
        page = open_page(running.link("ada"), context=context)
        page.wait_for_selector("body[data-ready]")
        assert page.inner_text(".count") == "0 of 5"
        with page.expect_navigation():
            page.keyboard.down("1")
        for _ in range(5):
            page.keyboard.down("1")  # the key repeats
        page.keyboard.up("1")
        page.keyboard.press("Control+0")
        page.wait_for_selector("body[data-ready]")
        assert page.inner_text(".count") == "1 of 5"
        page.dblclick("button[value='0']", no_wait_after=True)
        expect(page.locator(".count")).to_have_text("2 of 5")


def test_seven_points_stand_in_a_row_and_take_their_keys(tmp_path: Path, open_page: OpenPage) -> None:
    path = tmp_path / "farm.db"
    fill(path, 3)
    with labelling(path, "--annotator", "ada", "--scale", "7", "--catch", "0") as running:
        page = open_page(running.link("ada"))
        buttons = page.locator(".main button")
        assert buttons.count() == 7
        assert "much" in buttons.first.inner_text()
        assert not grave(page)
        press(page, "7")
        assert "2 much" in (page.text_content("[role=status]") or "")
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert running.stop()["people"][0]["judged"] == 1


CRITERIA = ("helpfulness", "correctness, as far as a layman of the subject can tell", "tone")


def test_criteria_are_judged_by_keyboard_and_by_mouse(
    tmp_path: Path, browser: Browser, open_page: OpenPage, screenshots: Path
) -> None:
    path = tmp_path / "farm.db"
    fill(path, 3)
    flags = [flag for name in CRITERIA for flag in ("--aspect", name)]
    with labelling(path, "--annotator", "ada", "--catch", "0", "--scale", "5", *flags) as running:
        page = open_page(running.link("ada"))
        page.wait_for_selector("body[data-ready]")
        page.screenshot(path=screenshots / "label-aspects.png")
        assert not grave(page)
        current = page.locator(".aspect.current .criterion")
        checked = page.locator(".aspect :checked")
        for name, key in zip(CRITERIA, ("1", "2", "0"), strict=True):
            expect(current).to_have_text(name)
            page.keyboard.press(key)
        expect(current).to_have_count(0)
        page.keyboard.press("Backspace")
        expect(current).to_have_text("tone")
        page.keyboard.press("5")  # no verdict on a criterion, and none on the pair before all of them
        expect(checked).to_have_count(2)
        page.keyboard.press("2")
        first = page.inner_text("#output-1 .text").startswith("good")
        press(page, "5")
        assert "2 clearly" in (page.text_content("[role=status]") or "")
        page.wait_for_selector("body[data-ready]")
        expect(checked).to_have_count(0)
        page.set_viewport_size({"width": 360, "height": 640})
        page.screenshot(path=screenshots / "label-aspects-phone.png")
        assert not grave(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.click("button[value='3']")  # the browser asks for the criteria first
        assert page.inner_text(".count") == "1 of 3"
        for row in page.locator(".aspect").all():
            row.get_by_text("Tie").click()
        with page.expect_navigation():
            page.click("button[value='3']")
        assert page.inner_text(".count") == "2 of 3"
        context = browser.new_context(java_script_enabled=False)
        plain = open_page(running.link("ada"), context=context)
        plain.click("button[value='u']")  # needs no criteria, and no script
        assert plain.inner_text(".count") == "1 of 3"
        context.close()
        assert running.stop()["people"][0]["judged"] == 1
    with Ledger.open(path) as ledger:
        [pair] = [each for each in ledger.pairs() if each.key == given_by(ledger, 1)[0].pair_key]
        found = aspects_of(ledger, [given_by(ledger, 1)[0].id])
    [aspects] = found.values()
    turned = first != pair.output_a.text.startswith("good")
    said = dict(zip(CRITERIA, (1.0, 0.0, 0.0), strict=True))
    assert {each.name: 1 - said[each.name] if turned else said[each.name] for each in aspects} == {
        each.name: each.preference for each in aspects
    }


def test_hostile_texts_are_text(tmp_path: Path, open_page: OpenPage) -> None:
    """Nothing runs, and nothing of what judges replied to the same pairs is shown."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        hostile_texts.fill(ledger)
    with labelling(path, "--annotator", "<b>ada</b>", "--catch", "0") as running:
        page = open_page(running.link("<b>ada</b>"))
        for _ in PAYLOADS:
            assert "owned" not in page.title()
            assert page.locator("script").count() == 1
            assert page.locator("form").count() == 1
            assert page.locator("main img, main svg, main style, main a, header b").count() == 0
            assert page.locator("main").get_by_text(hostile_texts.REPLY).count() == 0
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert "\u202e" not in page.content()
            press(page, "s")
        assert running.stop()["people"][0]["skipped"] == len(PAYLOADS)


def test_the_page_cannot_be_framed_or_driven_by_another_site(tmp_path: Path, open_page: OpenPage) -> None:
    """The same browser, with its cookie, on a page of another origin that posts a form and frames ours."""
    path = tmp_path / "farm.db"
    fill(path, 3)
    with labelling(path, "--annotator", "ada") as running:
        page = open_page(running.link("ada"))
        address = page.url.rstrip("/")
        fields = {name: page.get_attribute(f"[name={name}]", "value") for name in ("token", "question")}
        inputs = "".join(f"<input name={name} value={value}>" for name, value in fields.items())
        hostile = tmp_path / "evil.html"
        hostile.write_text(
            f"<form method=post action={address}/judge>{inputs}<input name=verdict value=1></form>"
            "<script>document.forms[0].submit()</script>"
        )
        other = page.context.new_page()
        with other.expect_response(f"{address}/judge") as refused:
            other.goto(hostile.as_uri())
        assert refused.value.status == 403
        with Ledger.open(path) as ledger:
            assert ledger.counts()["annotation"] == 0
        assert httpx2.get(address).headers["x-frame-options"] == "DENY"


def test_it_works_without_a_script(tmp_path: Path, browser: Browser, open_page: OpenPage) -> None:
    path = tmp_path / "farm.db"
    fill(path, 2)
    with labelling(path, "--annotator", "ada") as running:
        context = browser.new_context(java_script_enabled=False)
        page = open_page(running.link("ada"), context=context)
        for verdict in ("1", "s", "u", "0"):
            page.click(f"button[value='{verdict}']")
        assert "2 of 2" in page.inner_text(".count")
        context.close()
        assert running.stop()["people"][0]["ties"] == 1


def test_what_it_looks_like(tmp_path: Path, open_page: OpenPage, screenshots: Path) -> None:
    """Light, dark and phone: nothing is cut off, all is reached by tabulator, axe finds nothing grave."""
    path = tmp_path / "farm.db"
    fill(path, 4)
    with labelling(path, "--annotator", "ada") as running:
        for name, size, scheme in (
            ("light", (1280, 860), "light"),
            ("dark", (1280, 860), "dark"),
            ("phone", (390, 844), "light"),
            ("small-phone", (320, 568), "dark"),
        ):
            page = open_page(running.link("ada"), size, scheme)
            page.wait_for_selector("body[data-ready]")
            is_open = page.evaluate("document.getElementById('guideline').open")
            assert is_open == (size[0] > 1000)  # on a phone it would hide the outputs
            for opened in (is_open, not is_open):
                page.screenshot(path=screenshots / f"label-{name}{'-guideline' * opened}.png")
                assert grave(page) == []
                assert page.evaluate(
                    "(output => output.top < document.querySelector('form').getBoundingClientRect().top - 60)"
                    "(document.getElementById('output-1').getBoundingClientRect())"
                ) or (opened and size[0] < 390)
                page.keyboard.press("g")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            for button in page.locator("form button:enabled").all():
                assert button.is_visible()
                box = button.bounding_box()
                assert box
                assert box["height"] >= 40
        reached = []
        for _ in range(6):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.value ?? document.activeElement.tagName"))
        assert {"SUMMARY", "1", "0", "2", "s"} <= set(reached)
        for _ in range(4):
            press(page, good_one(page))
        page.screenshot(path=screenshots / "label-end.png")
        assert grave(page) == []
