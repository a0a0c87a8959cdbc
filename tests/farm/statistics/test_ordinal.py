"""Agreement on an ordered scale: Krippendorff's published example, and the package krippendorff."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from farm.statistics.measures import intervals
from farm.statistics.ordinal import ordinal_alpha_of

NONE = np.nan
PUBLISHED = np.array([  # Krippendorff 2011, example C: four observers, twelve units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
    [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
])  # fmt: skip


def alpha(data: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float | None:
    """data (raters, units): NaN where a rater says nothing."""
    raters, units = np.nonzero(~np.isnan(data))
    measure = ordinal_alpha_of(units, data[raters, units], data.shape[1])
    return intervals({"alpha": measure}, np.arange(data.shape[1]))["alpha"].value


def test_the_published_example() -> None:
    assert alpha(PUBLISHED) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_alpha_of_krippendorff(seed: int) -> None:
    dice = np.random.default_rng(seed)
    truth = dice.integers(-2, 3, 40)
    data = np.clip(truth + dice.integers(-1, 2, (3, 40)), -2, 2).astype(float)
    data[dice.random(data.shape) < 0.2] = np.nan
    assert alpha(data) == pytest.approx(krippendorff.alpha(data, level_of_measurement="ordinal"))
    assert alpha(data**3) == pytest.approx(alpha(data)), "only the order matters"


def test_a_near_miss_costs_less_than_a_contradiction() -> None:
    sure = np.tile([-2.0, -1.0, 1.0, 2.0], 10)
    near, far = sure.copy(), sure.copy()
    near[:8] -= np.sign(near[:8]) * 0.5
    far[:8] *= -1
    assert alpha(np.array([sure, sure])) == 1.0
    assert 1 > alpha(np.array([sure, near])) > alpha(np.array([sure, far]))  # type: ignore[operator]


def test_equal_values_have_no_alpha_and_few_units_no_bounds() -> None:
    assert alpha(np.ones((2, 5))) is None
    units = np.repeat(np.arange(40), 2)
    values = np.random.default_rng(0).integers(0, 3, 40).repeat(2) + (np.arange(80) % 9 == 0)
    found = intervals({"a": ordinal_alpha_of(units, values.astype(float), 40)}, np.arange(40))["a"]
    assert found.low is not None
    assert found.low < found.value < found.high <= 1  # type: ignore[operator]
    few = intervals({"a": ordinal_alpha_of(units, values.astype(float), 40)}, np.arange(40) % 5)["a"]
    assert (few.low, few.value) == (None, found.value)
