"""Dawid and Skene's model: recovers known annotators, equals crowd-kit's fit, and is refused alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from farm.statistics.dawid_skene import Rival, Verdicts, anchored_consensus, dawid_skene

GOLDEN = Path(__file__).parents[2] / "golden" / "vectors"


def simulate(accuracy: list[float], n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
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


def test_the_fit_equals_crowd_kits() -> None:
    """Random verdicts with gaps and repeats, fitted to convergence by tests/golden/crowdkit_vectors.py."""
    golden = json.loads((GOLDEN / "dawid_skene.json").read_text())
    units, annotators, given = (np.array(golden[name]) for name in ("units", "annotators", "category"))
    fit = dawid_skene(units, annotators, given, 80, 6, smoothing=0.0)
    np.testing.assert_allclose(fit.posterior, golden["posterior"], atol=1e-5)
    np.testing.assert_allclose(fit.prior, golden["prior"], atol=1e-6)
    given_then_true = fit.confusion.transpose(0, 2, 1)
    np.testing.assert_allclose(given_then_true, golden["confusion"], atol=1e-6)


def test_a_unit_without_verdicts_changes_nothing() -> None:
    units, annotators, given, _ = simulate([0.9, 0.8, 0.7], 60)
    with_it = dawid_skene(units, annotators, given, 61, 3)
    alone = dawid_skene(units, annotators, given, 60, 3)
    np.testing.assert_allclose(with_it.confusion, alone.confusion)
    np.testing.assert_allclose(with_it.posterior[60], with_it.prior, atol=1e-5)


def test_it_may_be_told_beside_anchors() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8, 0.75], 500)
    truth[100:] = -1
    found = anchored_consensus(Verdicts(units, annotators, given), truth, 3)
    assert found.anchors == 100
    assert found.usable == "not decided"  # 100 anchors do not tell a lead of some 2 points from none
    assert found.rival.annotator == 0
    assert found.rival.accuracy == pytest.approx(0.9, abs=0.06)


def test_a_rival_is_compared_on_the_questions_that_it_judged() -> None:
    """One that judged 40 easy questions alone does not bar a consensus that is right on all of them too."""
    units, annotators, given, truth = simulate([0.8, 0.8, 0.8, 0.8, 0.8], 400)
    easy = np.flatnonzero((given.reshape(5, 400) == truth).all(axis=0))[:40]
    more = Verdicts(np.r_[units, easy], np.r_[annotators, np.full(40, 5)], np.r_[given, truth[easy]])
    found = anchored_consensus(more, truth, 6)
    assert found.accuracy < 1
    assert found.rival == Rival(annotator=5, accuracy=1.0, consensus=1.0)
    assert found.lead.value == 0
    assert found.usable == "not decided"


def test_a_consensus_of_many_good_judges_is_usable() -> None:
    found = anchored_consensus(*_verdicts([0.8] * 7, 400), 7)
    assert found.usable == "yes"
    assert found.lead.value == pytest.approx(found.rival.consensus - found.rival.accuracy)


def test_a_consensus_of_pure_noise_is_not_usable() -> None:
    answers = {anchored_consensus(*_verdicts([0.5] * 5, 200, seed), 5).usable for seed in range(8)}
    assert "yes" not in answers


def _verdicts(accuracies: list[float], n: int, seed: int = 0) -> tuple[Verdicts, np.ndarray]:
    units, annotators, given, truth = simulate(accuracies, n, seed)
    return Verdicts(units, annotators, given), truth


def test_weak_judges_that_agree_on_the_wrong_side_are_found_out() -> None:
    """Three copies of a judge below chance outvote a good one: the anchors say so."""
    _, _, given, truth = simulate([0.85, 0.42], 400)
    copies = np.concatenate([given, given[400:], given[400:]])
    units, annotators = np.tile(np.arange(400), 4), np.repeat(np.arange(4), 400)
    found = anchored_consensus(Verdicts(units, annotators, copies), truth, 4)
    assert found.accuracy < 0.5
    assert found.usable == "no"
    # the good one is its rival, also beside one who is always right on 30 questions that all got right
    easy = np.flatnonzero((given.reshape(2, 400) == truth).all(axis=0))[:30]
    more = (np.r_[units, easy], np.r_[annotators, np.full(30, 4)], np.r_[copies, truth[easy]])
    found = anchored_consensus(Verdicts(*more), truth, 5)
    assert found.rival.annotator == 0
    assert found.rival.accuracy == pytest.approx(0.85, abs=0.05)


def test_without_anchors_it_is_refused_saying_why() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8, 0.7], 100)
    truth[29:] = -1
    with pytest.raises(ValueError, match=r"at least 30 questions that people judged too.* there are 29"):
        anchored_consensus(Verdicts(units, annotators, given), truth, 3)


def test_it_is_refused_where_no_annotator_can_stand_beside_it() -> None:
    truth = np.full(40, 2)
    with pytest.raises(ValueError, match=r"none of them gave 30 verdicts"):
        anchored_consensus(Verdicts(np.arange(40), np.arange(40) // 10, truth), truth, 4)


def test_two_annotators_are_too_few() -> None:
    units, annotators, given, truth = simulate([0.9, 0.8], 100)
    with pytest.raises(ValueError, match="three annotators"):
        anchored_consensus(Verdicts(units, annotators, given), truth, 2)
