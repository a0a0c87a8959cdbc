"""Means that do not fall: by hand, and no other non-decreasing values are nearer."""

from __future__ import annotations

import numpy as np
import pytest

from farm.statistics.isotonic import isotonic_means


def test_by_hand() -> None:
    # .7 (30) and .6 (10) are in the wrong order: (21 + 6) / 40 = .675
    found = isotonic_means(np.array([0.7, 0.6, 0.9]), np.array([30.0, 10.0, 20.0]))
    assert found == pytest.approx([0.675, 0.675, 0.9])
    assert isotonic_means(np.array([0.5, 0.6]), np.ones(2)) == pytest.approx([0.5, 0.6])


def test_nothing_that_does_not_fall_is_nearer() -> None:
    dice = np.random.default_rng(0)
    for _ in range(50):
        means, weights = dice.random(3), dice.random(3) + 0.1
        best = (weights * (isotonic_means(means, weights) - means) ** 2).sum()
        others = np.sort(dice.random((200, 3)), axis=1)
        assert best <= (weights * (others - means) ** 2).sum(axis=1).min() + 1e-12
