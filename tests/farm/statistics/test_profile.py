"""The biases and the consistency of one annotator, each worked by hand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from farm.statistics.agreement import Floats
from farm.statistics.measures import Measure
from farm.statistics.profile import (
    JudgementColumns,
    Reference,
    Units,
    against_reference,
    both_orders,
    by_itself,
    confusion_table,
)

NAN = float("nan")
FIRST, TIE, SECOND = 1.0, 0.5, 0.0


def units(
    *lengths: tuple[int, int],
    lists: list[tuple[bool, bool]] | None = None,
    identical: list[bool] | None = None,
) -> Units:
    n = len(lengths)
    return Units(
        length=np.array(lengths),
        list=np.array(lists or [(False, False)] * n),
        identical=np.array(identical or [False] * n),
        pair=np.arange(n),
        instruction=np.arange(n),
    )


def outside(votes: np.ndarray) -> Reference:
    """The reference as somebody who is no member of it faces it."""
    return Reference(votes, None, np.full(len(votes), NAN))


def judged(
    preference: list[float], places: list[int] | None = None, swapped: list[int] | None = None
) -> JudgementColumns:
    n = len(preference)
    return JudgementColumns(
        np.array(places if places is not None else range(n)),
        np.array(preference),
        np.array(swapped or [-1] * n),
        np.zeros(n, dtype=np.int64),
    )


def value(measures: Mapping[str, Measure], name: str) -> tuple[object, int]:
    """The measure over all rows, to be compared with, and how many count."""
    measure = measures[name]
    found: Floats = measure.statistic(measure.sums.sum(axis=0))
    return pytest.approx(float(found), nan_ok=True), int(measure.counted.sum())


EVEN = units(*[(10, 10)] * 6)


def test_position_bias_counts_ties_half_and_only_known_orders() -> None:
    # shown first preferred: yes (unswapped first), yes (swapped second), no (swapped first), half; the
    # unknown order and the unreadable verdict do not count: (1 + 1 + 0 + 1/2) / 4
    one = judged([FIRST, SECOND, FIRST, TIE, FIRST, NAN], swapped=[0, 1, 1, 0, -1, 0])
    assert value(by_itself(one, EVEN, unreadable_is_same=True), "position_bias") == (0.625, 4)


def test_length_bias_needs_more_than_thirty_characters_and_a_decision() -> None:
    # longer by 31 (first, yes), by 31 (second, no), by 30 (not counted), tie (not counted), soft .7 for the
    # longer (yes): 2 of 3
    places = units((41, 10), (10, 41), (40, 10), (100, 10), (100, 10))
    one = judged([FIRST, FIRST, FIRST, TIE, 0.7])
    assert value(by_itself(one, places, unreadable_is_same=True), "length_bias") == (2 / 3, 3)


def test_list_bias_needs_exactly_one_list() -> None:
    lists = [(True, False), (False, True), (False, True), (True, True), (False, False)]
    places = units(*[(10, 10)] * 5, lists=lists)
    one = judged([FIRST, SECOND, FIRST, FIRST, FIRST])
    assert value(by_itself(one, places, unreadable_is_same=True), "list_bias") == (2 / 3, 3)


def test_identical_outputs_should_tie() -> None:
    places = units(*[(10, 10)] * 4, identical=[True, True, False, True])
    one = judged([TIE, FIRST, TIE, NAN])
    assert value(by_itself(one, places, unreadable_is_same=True), "identical_ties") == (0.5, 2)


@pytest.mark.parametrize(("same", "expected"), [(True, (0.5, 4)), (False, (0.5, 2))])
def test_order_consistency_and_its_unreadable_replies(same: bool, expected: tuple[float, int]) -> None:
    # units: same verdict, other verdict, two unreadable (the same reply), one unreadable (never the same)
    one = judged(
        [FIRST, FIRST, FIRST, SECOND, NAN, NAN, FIRST, NAN],
        places=[0, 0, 1, 1, 2, 2, 3, 3],
        swapped=[0, 1, 0, 1, 0, 1, 0, 1],
    )
    assert value(by_itself(one, EVEN, unreadable_is_same=same), "order_consistency") == expected


def test_orders_are_paired_within_a_replicate() -> None:
    one = judged([FIRST, SECOND, FIRST], places=[0, 0, 0], swapped=[0, 1, 1])
    pairs = both_orders(one._replace(replicate=np.array([0, 1, 0])))
    assert (pairs.units.tolist(), pairs.first.tolist(), pairs.second.tolist()) == ([0], [2], [2])


def test_right_in_both_orders() -> None:
    # right and right; right and wrong; right and unreadable; no single mode in the reference
    reference = np.array([[0, 0, 3], [0, 0, 3], [0, 0, 3], [1, 0, 1], [0, 0, 0], [0, 0, 0]])
    one = judged(
        [FIRST, FIRST, FIRST, SECOND, FIRST, NAN, FIRST, FIRST],
        places=[0, 0, 1, 1, 2, 2, 3, 3],
        swapped=[0, 1] * 4,
    )
    strict = against_reference(one, outside(reference), EVEN, unreadable_is_wrong=True)
    assert value(strict, "both_orders_accuracy") == (1 / 3, 3)
    assert value(strict, "accuracy") == (4 / 6, 3)  # six judgements of three clear questions
    lenient = against_reference(one, outside(reference), EVEN, unreadable_is_wrong=False)
    assert value(lenient, "both_orders_accuracy") == (1 / 2, 2)
    assert value(lenient, "accuracy") == (4 / 5, 3)


def test_kappa_alpha_and_the_table_are_with_the_reference_mode() -> None:
    # first-first 2, first-second 1, second-second 1; on the fifth question one of two people is left out, so
    # first-first and first-second 1/2 each. Agreement 3.5/5, chance 4/5 * 1/2 + 1/5 * 1/2 = 1/2, kappa 2/5.
    # alpha: 10 values, 6.5 first and 3.5 second; D_o = 3/10, D_e = 2 * 6.5 * 3.5 / (10 * 9).
    reference = np.array([[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    one = judged([FIRST, FIRST, FIRST, SECOND, FIRST, FIRST])
    found = against_reference(one, outside(reference), EVEN, unreadable_is_wrong=True)
    assert value(found, "kappa") == (0.4, 5)
    assert value(found, "alpha") == (1 - 0.3 / (45.5 / 90), 5)
    assert confusion_table(one, reference).tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 2]]


def test_the_lead_over_the_longer_output_is_on_the_same_judgements() -> None:
    # the longer is right on the first, wrong on the second, half right (equal lengths) on the third; the
    # judge is right on the first two and unreadable on the third: (1 + 1)/2 - (1 + 0)/2
    reference = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1]])
    one = judged([FIRST, FIRST, NAN])
    places = units((20, 10), (10, 20), (10, 10))
    found = against_reference(one, outside(reference), places, unreadable_is_wrong=True)
    assert value(found, "over_longest") == (0.5, 2)
    assert places.longest.tolist() == [1.0, 0.0, 0.5]
