"""Agreement with one's own imitation by hand, and how often it is claimed where there is nothing to claim."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from farm.aligning.likeness import likeness
from farm.statistics.bounds import answer
from tests.support.benchmark_scripts import benchmark

SCRIPT = benchmark("imitations")
FULL = bool(os.environ.get("FARM_FULL"))
RUNS = 2_000 if FULL else 200
NOTHING = [name for name in SCRIPT.WORLDS if name.startswith("examples teach nothing")]
SHARED = ("examples teach what all people like", "the same, some imitations better than others")
NOT_PERSONAL = [*NOTHING, *SHARED]
NONE = pd.DataFrame({"person": [], "instruction": [], "agreement": []})
ROWS = pd.DataFrame(
    {
        "person": ["ann", "ann", "ann", "ben"],
        "instruction": ["x", "x", "y", "z"],
        "mean": [1.0, 0.0, 0.5, 1.0],
        "own": [1.0, 0.0, 1.0, np.nan],
        "alone": [0.0, 0.0, 1.0, 1.0],
        "others": [1.0, 1.0, 0.0, 0.0],
    }
)


def test_each_person_counts_the_same() -> None:
    """Own: ann agrees 1, 1, 1/2 and ben, without a verdict, 1/2: (5/6 + 1/2) / 2 = 2/3. Alone: ann 0, 1, 1/2,
    ben 1: 3/4. Others: ann 1, 0, 1/2, ben 0: 1/4. Both were asked of three instructions."""
    found = likeness(ROWS, NONE, 0.95)
    assert found.own.value == pytest.approx(2 / 3)
    assert found.alone.value == pytest.approx(3 / 4)
    assert found.others.value == pytest.approx(1 / 4)
    assert found.gain.value == pytest.approx(2 / 3 - 3 / 4)
    assert found.personal.value == pytest.approx(2 / 3 - 1 / 4)
    assert (found.pairs, found.gain.n, found.failed) == (4, 3, 1)
    assert found.retest.value is None


def test_the_bounds_are_those_of_the_weighted_clusters() -> None:
    """By hand: weights 1/3 and 1; of the differences own - alone 1, 0, 0, -1/2 the mean is -1/12."""
    found = likeness(ROWS, NONE, 0.95)
    values, weights = np.array([1.0, 0, 0, -0.5]), np.array([1 / 3, 1 / 3, 1 / 3, 1])
    parts = weights * (values - (-1 / 12))
    sums = np.array([parts[0] + parts[1], parts[2], parts[3]])
    error = np.sqrt(3 / 2 * np.square(sums).sum()) / 2
    assert found.gain.low is not None
    assert found.gain.high is not None
    share, half = (1 - 1 / 12) / 2, error / 2
    t = 4.302652729911275  # scipy.stats.t.ppf(0.975, 2)
    per_n = t**2 * half**2 / (share * (1 - share))
    centre = (share + per_n / 2) / (1 + per_n)
    reach = np.sqrt(per_n * share * (1 - share) + per_n**2 / 4) / (1 + per_n)
    assert found.gain.low == pytest.approx(2 * (centre - reach) - 1)
    assert found.gain.high == pytest.approx(2 * (centre + reach) - 1)


def test_one_person_has_nobody_to_be_compared_with() -> None:
    found = likeness(ROWS[ROWS["person"] == "ann"].assign(others=np.nan), NONE, 0.95)
    assert answer(found.personal) is None
    assert found.others.value is None
    assert found.own.value == pytest.approx(5 / 6)


def test_what_people_say_again_is_counted_by_person() -> None:
    again = pd.DataFrame(
        {"person": ["ann"] * 4 + ["ben"] * 2, "instruction": list("xxyyzz"), "agreement": [1, 1, 0, 0, 1, 1]}
    )
    found = likeness(ROWS, again, 0.95)
    assert found.retest.value == pytest.approx(0.75)
    assert found.retest.n == 3


@pytest.mark.proof
@pytest.mark.parametrize("name", NOTHING if FULL else NOTHING[:2])
def test_imitations_that_know_nothing_are_claimed_in_one_of_twenty_at_most(name: str) -> None:
    """The interval is two-sided, so 2.5 % are expected. 5 % and three standard errors are the limit."""
    found = SCRIPT.claimed(SCRIPT.WORLDS[name], RUNS)
    assert max(found) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.proof
@pytest.mark.parametrize("name", NOT_PERSONAL if FULL else NOT_PERSONAL[-1:])
def test_what_all_people_like_is_not_called_their_own_taste(name: str) -> None:
    """Unlike skill of the imitations is none either: each is somebody's own and somebody else's."""
    found = SCRIPT.claimed(SCRIPT.WORLDS[name], RUNS)
    assert found.personal <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.proof
def test_what_is_there_is_found() -> None:
    """In most studies: in 2,000 of them 74.6 % and 88.8 %, and 52.5 % of what all people like."""
    found = SCRIPT.claimed(SCRIPT.WORLDS["examples teach a taste of their own"], RUNS // 4)
    assert min(found) > 0.55
    shared = SCRIPT.claimed(SCRIPT.WORLDS["examples teach what all people like"], RUNS // 4)
    assert shared.better > 0.3
