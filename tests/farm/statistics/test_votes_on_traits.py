"""What an annotator rewards: by statsmodels' GLM and GEE, and where weights are known."""

from __future__ import annotations

import os

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.stats import binomtest, t

from farm.statistics.agreement import Bools
from farm.statistics.votes_on_traits import Ballot, TiedTraits, difference, estimable, fit_votes

STUDIES = 1_000 if os.environ.get("FARM_FULL") else 200


def ballot(seed: int, clusters: int = 60, size: int = 3, weights: tuple[float, ...] = (0.8, -0.4)) -> Ballot:
    """Votes by known weights, ties among them. Three in ten draws of a cluster are one draw."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(clusters), size)
    x = rng.normal(size=(clusters * size, len(weights)))
    chance = 1 / (1 + np.exp(-x @ np.array(weights)))
    own = np.repeat(rng.random(clusters), size)
    drawn = np.where(rng.random(len(group)) < 0.3, own, rng.random(len(group))) < chance
    votes = np.where(rng.random(len(group)) < 0.1, 0.5, drawn.astype(float))
    return Ballot(votes, x, group)


def test_coefficients_and_errors_are_statsmodels() -> None:
    """GLM's clustered errors have the factor (n - 1) / (n - k) beside G / (G - 1); GEE's have neither."""
    votes, x, group = given = ballot(0)
    fit = fit_votes(given)
    glm = sm.GLM(votes, x, family=sm.families.Binomial())
    clustered = glm.fit(cov_type="cluster", cov_kwds={"groups": group, "use_correction": False})
    gee = sm.GEE(votes, x, groups=group, family=sm.families.Binomial()).fit()
    factor = np.sqrt(60 / 59)
    for k in range(2):
        found = fit.interval(k)
        assert found.value == pytest.approx(clustered.params[k], abs=1e-8)
        assert found.value == pytest.approx(gee.params[k], abs=1e-8)
        assert found.low is not None
        assert found.value is not None
        half = found.value - found.low
        for other in (clustered.bse[k], gee.bse[k]):
            assert half == pytest.approx(t.ppf(0.975, 59) * factor * other, rel=1e-5)


def test_a_difference_is_that_of_the_model_with_all_interactions() -> None:
    """Two annotators on the same clusters: statsmodels fits both at once, the second's weights as offsets."""
    one, other = ballot(1), ballot(2, weights=(0.2, 0.5))
    fits = fit_votes(one), fit_votes(other)
    votes = np.concatenate([one.votes, other.votes])
    nothing = np.zeros_like(other.differences)
    x = np.vstack([np.hstack([one.differences, one.differences]), np.hstack([other.differences, nothing])])
    group = np.concatenate([one.clusters, other.clusters])
    whole = sm.GEE(votes, x, groups=group, family=sm.families.Binomial()).fit()
    for k in range(2):
        found = difference(*fits, k)
        assert found.value == pytest.approx(whole.params[2 + k], abs=1e-6)
        assert found.high is not None
        half = found.high - (found.value or 0.0)
        assert half == pytest.approx(t.ppf(0.975, 59) * np.sqrt(60 / 59) * whole.bse[2 + k], rel=1e-4)


def test_which_output_is_called_the_first_changes_nothing() -> None:
    votes, x, group = given = ballot(3)
    turned = np.random.default_rng(0).random(len(votes)) < 0.5
    other = Ballot(np.where(turned, 1 - votes, votes), np.where(turned[:, None], -x, x), group)
    assert fit_votes(other).coefficients == pytest.approx(fit_votes(given).coefficients)
    assert fit_votes(other).influence == pytest.approx(fit_votes(given).influence)


@pytest.mark.proof
def test_intervals_cover() -> None:
    """With shared leanings in clusters of three; what 200,000 clusters tell is the truth."""
    truth = fit_votes(ballot(10**6, clusters=200_000)).coefficients[0]
    hits = 0
    for seed in range(STUDIES):
        found = fit_votes(ballot(seed, clusters=80)).interval(0)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert truth == pytest.approx(0.8, abs=0.15)
    assert binomtest(hits, STUDIES, 0.95).pvalue > 1e-3, hits / STUDIES


def chosen(*flags: bool) -> Bools:
    return np.array(flags)


def test_what_no_model_can_weigh_is_left_out() -> None:
    """A trait in too few clusters, one that decides every vote, and one that nobody has."""
    votes, x, group = ballot(4)
    rare, decisive = np.zeros(len(votes)), np.where(votes > 0.5, 1.0, -1.0)
    rare[:9] = 1.0
    decisive[votes == 0.5] = 0.0
    wide = Ballot(votes, np.column_stack([x, rare, decisive, np.zeros(len(votes))]), group)
    assert estimable(wide).tolist() == [True, True, False, False, False]
    with pytest.raises(ValueError, match="decide every vote"):
        fit_votes(wide.of_traits(chosen(True, True, False, True, False)))
    with pytest.raises(TiedTraits, match="always differ together") as tied:
        fit_votes(Ballot(votes, np.column_stack([x[:, 0], x[:, 1], 2 * x[:, 0]]), group))
    assert tied.value.traits.tolist() == [0, 2]
    with pytest.raises(ValueError, match="votes on 5 instructions"):
        fit_votes(ballot(5, clusters=5))
