"""Keyed draws: a fair coin for each pair and replicate, the same for all who ask the same."""

from __future__ import annotations

import pytest

from annotators.draws import Occasion, Orders
from db.ids import keyed_uniform


def test_a_draw_depends_on_all_of_its_occasion_and_its_purpose() -> None:
    occasion = Occasion("pair", "asked", 1)
    assert occasion.uniform("order", 3) == keyed_uniform("order", "pair", "asked", 1, 3)
    others = [
        Occasion("other", "asked", 1).uniform("order", 3),
        Occasion("pair", "other", 1).uniform("order", 3),
        Occasion("pair", "asked", 2).uniform("order", 3),
        occasion.uniform("member", 3),
        occasion.uniform("order", 4),
    ]
    assert len({occasion.uniform("order", 3), *others}) == 6


def test_the_shown_order_is_a_fair_coin_for_pairs_and_for_replicates() -> None:
    """4,000 tosses: half of them, give or take five standard errors of 32."""
    by_pair = sum(Occasion(f"{i}", "asked").swapped() for i in range(4_000))
    by_replicate = sum(Occasion("pair", "asked", i).swapped() for i in range(4_000))
    assert abs(by_pair - 2_000) < 5 * 31.7
    assert abs(by_replicate - 2_000) < 5 * 31.7


@pytest.mark.parametrize("flipped", [False, True])
def test_the_orders_that_a_pair_is_asked_in(flipped: bool) -> None:
    occasion = Occasion("pair", "asked")
    assert occasion.shown(Orders.RANDOM, flipped) == (occasion.swapped(),)
    assert occasion.shown(Orders.BOTH, flipped) == (False, True)
    assert occasion.shown(Orders.STORED, flipped) == (flipped,)
