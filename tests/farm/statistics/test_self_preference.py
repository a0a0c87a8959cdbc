"""The difference in differences of a judge's votes for its kin: by hand, by regression, and where known."""

from __future__ import annotations

import os

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import binomtest

from farm.statistics.agreement import Bools, Floats, Ints
from farm.statistics.self_preference import Leads, self_preference

STUDIES = 1_000 if os.environ.get("FARM_FULL") else 200


def leads(*rows: tuple[float, float, int, int, int]) -> Leads:
    """Rows (judge, others, kin, opponent, cluster)."""
    judge, others, kin, opponent, cluster = zip(*rows, strict=True)
    numbers: tuple[Ints, ...] = tuple(np.array(each, np.int64) for each in (opponent, cluster))
    return Leads(np.array(judge, float), np.array(others, float), np.array(kin, bool), *numbers)


def test_the_figures_by_hand() -> None:
    """Two opponents. The second one meets no others, so that only the first one tells what is beyond.

    Kin against 0: leads 1 - 0.5 and 1 - 1, mean 0.25. Others against 0: 0.5 - 0 and 0 - 0.5, mean 0. Kin
    against 1: lead 0 - 1. own = (1 + 1 + 0) / 3, others = (0.5 + 1 + 1) / 3, lead = -0.5 / 3.
    """
    found = self_preference(
        leads((1, 0.5, 1, 0, 1), (1, 1, 1, 0, 2), (0, 1, 1, 1, 3), (0.5, 0, 0, 0, 1), (0, 0.5, 0, 0, 4))
    )
    values = [each.value for each in found]
    assert values == pytest.approx([2 / 3, 2.5 / 3, -0.5 / 3, 0.25])
    assert [each.n for each in found] == [3, 3, 3, 3]
    assert found.beyond.low is None  # three instructions are too few


def test_opponents_weigh_as_often_as_kin_met_them() -> None:
    """Leads of kin less others': 0.5 - 0.25 against 0 (three pairs), 1 - (-1) against 1 (one pair)."""
    against_0 = [(1, 0.5, 1, 0, i) for i in range(3)] + [(0.5, 0.25, 0, 0, 3)]
    against_1 = [(1, 0, 1, 1, 4), (0, 1, 0, 1, 5), (0, 1, 0, 1, 6)]
    assert self_preference(leads(*against_0, *against_1)).beyond.value == pytest.approx((3 * 0.25 + 2) / 4)


def drawn(seed: int, clusters: int, own: float, harsh: float) -> Leads:
    """A judge and two others on five models' outputs, each against two baselines.

    The judge likes its kin (model 0) by `own` more, and baseline 1 by `harsh` more. What is special about an
    instruction is shared by all its pairs, so that they are no independent draws.
    """
    rng = np.random.default_rng(seed)
    model = np.tile(np.arange(5), 2 * clusters)
    baseline = np.tile(np.repeat([0, 1], 5), clusters)
    cluster = np.repeat(np.arange(clusters), 10)
    taste = np.repeat(rng.normal(0, 0.15, (clusters, 2)), 5, axis=0).ravel()
    quality = np.array([0.65, 0.6, 0.4, 0.5, 0.3])[model] + taste
    lead = own * (model == 0) - harsh * (baseline == 1)

    def votes(extra: Floats) -> Floats:
        said: Floats = (rng.random(len(model)) < np.clip(quality + extra, 0, 1)).astype(float)
        return said

    nobody = np.zeros(len(model))
    kin: Bools = model == 0
    return Leads(votes(lead), (votes(nobody) + votes(nobody)) / 2, kin, baseline, clusters=cluster)


def test_one_opponent_is_the_interaction_of_a_regression() -> None:
    """Votes on judge, kin and their product: the last coefficient is the difference in differences."""
    given = drawn(3, 80, own=0.15, harsh=0.2)
    chosen = given.opponents == 0
    judge, others, kin, opponents, clusters = (each[chosen] for each in given)
    found = self_preference(Leads(judge, others, kin, opponents, clusters=clusters)).beyond
    is_judge = np.repeat([1.0, 0.0], len(judge))
    twice = np.tile(kin.astype(float), 2)
    x = np.column_stack([np.ones(len(twice)), is_judge, twice, is_judge * twice])
    fit = sm.OLS(np.concatenate([judge, others]), x).fit(
        cov_type="cluster", cov_kwds={"groups": np.tile(clusters, 2), "use_correction": False}
    )
    assert found.value == pytest.approx(fit.params[3], abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 / 1.99 == pytest.approx(fit.bse[3], rel=0.03)


def test_a_judge_without_taste_for_its_kin_has_none_although_it_is_harsh() -> None:
    """Against baseline 1 it leads by -0.25 whoever it meets: `lead` shows that, `beyond` does not."""
    found = self_preference(drawn(0, 2_000, own=0.0, harsh=0.25))
    assert found.lead.high is not None
    assert found.lead.high < 0
    assert found.beyond.value == pytest.approx(0, abs=0.04)


@pytest.mark.proof
@pytest.mark.parametrize(("own", "clusters"), [(0.0, 30), (0.2, 30), (0.2, 100)])
def test_intervals_cover(own: float, clusters: int) -> None:
    """Of lead and beyond, where a very large study tells the truth."""
    whole = self_preference(drawn(10**6, 60_000, own=own, harsh=0.1))
    hits = {"lead": 0, "beyond": 0}
    for seed in range(STUDIES):
        found = self_preference(drawn(seed, clusters, own=own, harsh=0.1))
        for name in hits:
            each, truth = getattr(found, name), getattr(whole, name).value
            assert each.low is not None
            hits[name] += each.low <= truth <= each.high
    for name, hit in hits.items():
        assert binomtest(hit, STUDIES, 0.95).pvalue > 1e-3 or hit / STUDIES > 0.95, (name, hit / STUDIES)


def test_no_interval_is_certain_and_nothing_has_no_value() -> None:
    same = [(1.0, 1.0, k, 0, i) for i in range(12) for k in (0, 1)]
    for each in self_preference(leads(*same)):
        assert each.low is not None
        assert each.high is not None
        assert each.low < each.high
    nothing = self_preference(leads((1, 1, 0, 0, 0)))
    assert [each.value for each in nothing] == [None] * 4
