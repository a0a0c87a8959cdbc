"""The committed tastes give the figures that they were fitted to, measured again; and fitting finds them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from db.records import Pair
from farm.statistics.agreement import categories, leave_one_out, votes
from farm.world.crowd import CROWD, crowd, judges_of
from farm.world.fit import (
    PAPER,
    Figures,
    Measured,
    drawn_pairs,
    fit,
    mean_figures,
    mean_judged_figures,
    measure_pairs,
)
from farm.world.judges import CROWD_JUDGES


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    """Of another seed than those that the tastes were fitted on, 0 to 4."""
    return drawn_pairs(seed=7)


@pytest.fixture(scope="module")
def measured(pairs: list[Pair]) -> Measured:
    return measure_pairs(pairs)


def test_people_are_like_those_of_alpaca_farm(measured: Measured) -> None:
    found = mean_figures(measured, CROWD)
    assert found.agreement == pytest.approx(PAPER.agreement, abs=0.01)
    assert found.first == pytest.approx(PAPER.first, abs=0.005)
    assert found == pytest.approx(PAPER, abs=0.04)  # some 400 pairs differ much in length, 200 in lists


def test_judges_agree_with_people_as_people_do(measured: Measured) -> None:
    found = mean_judged_figures(measured, CROWD_JUDGES)
    assert found.agreement == pytest.approx(PAPER.agreement, abs=0.01)
    assert found.first > PAPER.first - 0.01


def test_verdicts_agree_as_expected(pairs: list[Pair]) -> None:
    """The expectation that is fitted, against verdicts as given, by the statistics of the audit."""
    units, preferences = [], []
    for number, pair in enumerate(pairs):
        if pair.output_a.text == pair.output_b.text:
            continue
        for person in judges_of(pair, crowd(0), 4):
            units.append(number)
            preferences.append(person.judge(pair).preference)
    preference, unit = np.array(preferences), np.array(units)
    agreement = leave_one_out(preference, votes(unit, categories(preference), len(pairs))[unit]).mean()
    assert agreement == pytest.approx(PAPER.agreement, abs=0.03)


def test_fitting_finds_the_tastes_again(pairs: list[Pair]) -> None:
    few = measure_pairs(pairs[:300])
    wanted = mean_figures(few, CROWD)
    found = fit(lambda tastes: mean_figures(few, tastes), replace(CROWD, noise=1.0, length_lean=0.0), wanted)
    assert mean_figures(few, found) == pytest.approx(wanted, abs=0.003)
    assert found.noise == pytest.approx(CROWD.noise, rel=0.05)


def test_noise_makes_people_disagree(measured: Measured) -> None:
    quiet, loud = (mean_figures(measured, replace(CROWD, noise=noise)) for noise in (0.2, 50.0))
    assert quiet.agreement > 0.85
    assert loud == pytest.approx(Figures(0.5, 0.5, 0.5, 0.5), abs=0.02)
