"""Agreement of raters on outputs that are judged alone: by hand, and by the package krippendorff."""

from __future__ import annotations

from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.statistics.measures import intervals
from farm.statistics.rating_agreement import alpha_of, difference_of, one_rating_each


def test_values_by_hand() -> None:
    """Outputs 0: 0 and 1; 1: 1 and 1; 2: 0.5 alone, which pairs with nothing.

    n D_o = 2 + 0 over n = 4: 1/2. The 4 ratings 0, 1, 1, 1: 6 of 12 ordered pairs differ by 1: D_e = 1/2.
    """
    rated = one_rating_each(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 0]), np.array([0, 1, 1, 1, 0.5]))
    found = intervals({"alpha": alpha_of(rated, 3), "apart": difference_of(rated, 3)}, np.arange(3))
    assert (found["alpha"].value, found["alpha"].n) == (0.0, 2)
    assert (found["apart"].value, found["apart"].n) == (0.5, 2)


def test_what_a_rater_says_twice_of_an_output_is_its_mean() -> None:
    rated = one_rating_each(np.array([3, 3, 3]), np.array([1, 1, 0]), np.array([0.0, 0.5, 1.0]))
    assert [column.tolist() for column in rated] == [[3, 3], [0, 1], [1.0, 0.25]]


@settings(max_examples=40)
@given(st.lists(st.lists(st.none() | st.sampled_from([0, 0.25, 0.5, 1]), min_size=4, max_size=4), min_size=2))
def test_alpha_is_that_of_the_package(table: list[list[float | None]]) -> None:
    """Rows are raters, columns outputs."""
    cells = [(u, r, x) for r, row in enumerate(table) for u, x in enumerate(row) if x is not None]
    pairable = [u for u in range(4) if sum(each[0] == u for each in cells) > 1]
    if not pairable or len({x for u, _, x in cells if u in pairable}) < 2:
        return
    outputs, raters, labels = (np.array(column) for column in zip(*cells, strict=True))
    rated = one_rating_each(outputs, raters, labels.astype(float))
    data = np.array([[np.nan if x is None else x for x in row] for row in table], float)
    found = intervals({"alpha": alpha_of(rated, 4), "apart": difference_of(rated, 4)}, np.arange(4))
    assert found["alpha"].value == pytest.approx(
        krippendorff.alpha(data, level_of_measurement="interval"), abs=1e-9
    )
    apart = [abs(x - y) for u in range(4) for x, y in combinations([x for v, _, x in cells if v == u], 2)]
    assert found["apart"].value == pytest.approx(np.mean(apart))


def test_bounds_hold_alpha_and_there_are_none_with_few_instructions() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(40)
    labels = np.clip(truth[:, None] + generator.normal(0, 0.2, (40, 3)), 0, 1)
    outputs, raters = (each.ravel() for each in np.meshgrid(np.arange(40), np.arange(3), indexing="ij"))
    rated = one_rating_each(outputs, raters, labels.ravel())
    found = intervals({"alpha": alpha_of(rated, 40)}, np.arange(40))["alpha"]
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert found.low < found.value < found.high < 1
    few = intervals({"alpha": alpha_of(rated, 40)}, np.arange(40) % 9)["alpha"]
    assert (few.value, few.low) == (found.value, None)
