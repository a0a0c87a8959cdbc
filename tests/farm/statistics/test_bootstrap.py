"""The weights of the bootstrap by item, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from farm.statistics.bootstrap import resamplings


def test_each_resampling_has_as_many_items() -> None:
    weights = np.concatenate(list(resamplings(50, 40, 1)))
    assert weights.shape == (40, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert np.array_equal(weights, np.concatenate(list(resamplings(50, 40, 1))))
    assert weights.var() == pytest.approx(0.98, abs=0.08)  # multinomial: 1 - 1/50
