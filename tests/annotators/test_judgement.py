"""From a verdict on what was shown to a judgement of the pair: where the order is undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.draws import Occasion
from annotators.judgement import Verdict, judgement_of, spared
from annotators.noise import NO_NOISE, LabelNoise
from db.records import AnnotationStatus

HERE = Occasion("pair", "asked")


@pytest.mark.parametrize(
    ("first", "swapped", "preference"),
    [(1.0, False, 1.0), (1.0, True, 0.0), (0.0, True, 1.0), (0.5, True, 0.5), (0.75, True, 0.25)],
)
def test_the_order_is_undone(first: float, swapped: bool, preference: float) -> None:
    found = judgement_of(Verdict(first), swapped, NO_NOISE, HERE)
    assert (found.preference, found.label, found.swapped) == (preference, preference, swapped)
    assert (found.status, found.reason) == (AnnotationStatus.OK, None)


@given(st.floats(0, 1), st.booleans(), st.text(max_size=4))
def test_the_same_output_preferred_in_either_order_is_the_same_judgement(
    first: float, flipped: bool, key: str
) -> None:
    noise, occasion = LabelNoise(0.5 * flipped), Occasion(key, "asked")
    one = judgement_of(Verdict(first), False, noise, occasion)
    other = judgement_of(Verdict(1 - first), True, noise, occasion)
    assert other.preference == pytest.approx(one.preference)
    assert other.label == pytest.approx(one.label)
    assert one.label in (one.preference, 1 - (one.preference or 0.0))


def test_what_cannot_be_read_is_a_row_with_its_reason() -> None:
    found = judgement_of(Verdict(None, "mumbled"), True, LabelNoise(0.5), HERE)
    assert (found.preference, found.label, found.swapped) == (None, None, True)
    assert (found.status, found.reason) == (AnnotationStatus.UNREADABLE, "mumbled")


def test_half_of_the_judgements_are_spared_at_a_flip_of_a_quarter() -> None:
    """Twice the flip rate is replaced by a coin: 2,000 of 4,000, and half of these say 1."""
    noise = LabelNoise(0.25, replace=True)
    found = [spared(False, noise, Occasion(f"{i}", "asked")) for i in range(4_000)]
    coins = [each for each in found if each is not None]
    assert abs(len(coins) - 2_000) < 5 * 31.7
    assert abs(sum(each.label or 0.0 for each in coins) - len(coins) / 2) < 5 * 22.4
    assert {(each.preference, each.status) for each in coins} == {(None, AnnotationStatus.SPARED)}
    assert spared(False, LabelNoise(0.25), HERE) is None
