"""The catalogue as a user sees it: models, forms, shares, and prices that say what for and of when."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from annotators import catalogue
from annotators.prices import PriceTable
from farm.annotators import Line, annotator, annotators
from farm.terminal.annotators import annotator_view, annotators_view
from tests.support.command_line import farm, told


@cache
def lines() -> dict[str, Line]:
    return {line.name: line for line in annotators()}


def shown(view: object) -> str:
    console = Console(width=140, file=io.StringIO())
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def test_every_entry_has_a_line_with_its_model_and_form() -> None:
    assert list(lines()) == catalogue.names()
    assert (lines()["plain"].model, lines()["plain"].prompt) == (
        catalogue.default_slots()["small"],
        "verdict",
    )
    assert (lines()["ranked-list"].batch, lines()["ranked-list"].prompt) == (5, "list")
    assert lines()["crowd"].prompt == "13 members"
    assert lines()["longest"].price_per_1000 == 0


def test_a_price_is_for_pairs_in_the_annotators_own_orders() -> None:
    """The strong judge asks each pair twice."""
    both = lines()["judge"]
    price = PriceTable.load().price(both.model)
    assert price is not None
    assert both.orders == "both"
    assert both.price_per_1000 is not None
    # About 650 tokens a prompt: twice 1,000 of them at the input price are within a factor of two of it.
    assert 1 < both.price_per_1000 / (2 * 0.65 * price.input) < 2
    assert both.priced == price.checked


def test_a_pools_price_is_that_of_its_members_by_share() -> None:
    pool = annotator("crowd", None)
    assert sum(member.share or 0 for member in pool.members) == pytest.approx(1)
    expected = sum((member.share or 0) * (member.price_per_1000 or 0) for member in pool.members)
    assert pool.line.price_per_1000 == pytest.approx(expected)
    assert {member.orders for member in pool.members} == {"random"}
    novice, reader = pool.members[0], next(each for each in pool.members if each.name == "reader")
    assert (novice.prompt, reader.prompt) == ("verdict", "list, persona, 4 examples")


def test_an_unknown_price_is_said_and_never_zero() -> None:
    [line] = [line for line in annotators(("home-made",)) if line.name == "plain"]
    assert (line.price_per_1000, line.priced) == (None, "")
    text = shown(annotators_view([line]))
    assert "?" in text
    assert "where the price is unknown" in text


def test_the_list_says_what_its_prices_are() -> None:
    text = shown(annotators_view(list(lines().values())))
    assert "US dollars for 1,000 pairs of typical length, as they were in 2026-" in text
    assert "0.077" in shown(annotator_view(annotator("crowd", None)))  # a thirteenth


def test_no_summary_is_cut_in_a_pipe(tmp_path: Path) -> None:
    said = farm(tmp_path / "none.db", "annotators").out
    assert all(line.summary in said for line in lines().values())


def test_every_shipped_price_has_a_date_or_says_that_it_is_unverified() -> None:
    prices = PriceTable.load().models
    dated = re.compile(r"20\d\d(-\d\d)?")
    assert all(dated.fullmatch(price.checked) or price.checked == "unverified" for price in prices.values())
    assert all(catalogue_model in prices for catalogue_model in catalogue.default_slots().values())


def test_annotators_lists_the_catalogue_and_shows_one_whole(sums_ledger: Path, tmp_path: Path) -> None:
    lines = {each["name"]: each for each in told(tmp_path / "none.db", "annotators")}
    assert {"plain", "crowd", "longest"} <= lines.keys()
    assert lines["longest"]["price_per_1000"] == 0
    assert lines["plain"]["price_per_1000"] > 0
    shown = told(sums_ledger, "annotators", "plain", "--model", "home-made")
    assert shown["line"]["model"] == "home-made"
    assert shown["line"]["price_per_1000"] is None
    assert "What is 3 plus 7?" in shown["prompt"][-1][1]  # the ledger's first pair
    assert len(told(sums_ledger, "annotators", "crowd")["members"]) == 13
    assert "no annotator 'plian'" in farm(sums_ledger, "annotators", "plian").error
