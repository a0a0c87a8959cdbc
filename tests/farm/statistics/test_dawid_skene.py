"""Dawid and Skene's model: recovers known annotators, equals their published fit, and is refused alone."""

from __future__ import annotations

import numpy as np
import pytest

from farm.statistics.dawid_skene import anchored_consensus, dawid_skene


def simulate(accuracy: list[float], n: int, seed: int = 0) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    """Units, annotators, categories (no ties) and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, n) * 2
    right = rng.random((len(accuracy), n)) < np.array(accuracy)[:, None]
    given = np.where(right, truth, 2 - truth)
    return (
        np.tile(np.arange(n), len(accuracy)),
        np.repeat(np.arange(len(accuracy)), n),
        given.ravel(),
        truth,
    )


def test_reliabilities_are_recovered() -> None:
    accuracy = [0.95, 0.9, 0.8, 0.7, 0.6]
    units, annotators, given, truth = simulate(accuracy, 4_000)
    fit = dawid_skene(units, annotators, given, len(truth), 5)
    np.testing.assert_allclose(fit.reliability(), accuracy, atol=0.02)
    assert (fit.posterior.argmax(axis=1) == truth).mean() > 0.96  # the best single judge has .95


def test_it_may_be_told_beside_anchors() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8, 0.75], 500)
    truth[100:] = -1
    found = anchored_consensus(units, annotators, given, truth, 3)
    assert found.anchors == 100
    assert found.usable
    assert found.best_single == pytest.approx(0.9, abs=0.06)


def test_weak_judges_that_agree_on_the_wrong_side_are_found_out() -> None:
    """Three copies of a judge below chance outvote a good one: the anchors say so."""
    _, _, given, truth = simulate([0.85, 0.42], 400)
    copies = np.concatenate([given, given[400:], given[400:]])
    found = anchored_consensus(np.tile(np.arange(400), 4), np.repeat(np.arange(4), 400), copies, truth, 4)
    assert found.accuracy < 0.5
    assert not found.usable


def test_without_anchors_it_is_refused_saying_why() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8, 0.7], 100)
    truth[29:] = -1
    with pytest.raises(ValueError, match=r"at least 30 questions that people judged too.* there are 29"):
        anchored_consensus(units, annotators, given, truth, 3)


def test_two_annotators_are_too_few() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8], 100)
    with pytest.raises(ValueError, match="three annotators"):
        anchored_consensus(units, annotators, given, truth, 2)
