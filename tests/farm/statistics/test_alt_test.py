"""The alternative annotator test: one worked by hand, the corrections, and who cannot be tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from farm.statistics.alt_test import alt_test, benjamini_yekutieli


def people(labels: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    rows = [
        {"item": item, "annotator": name, "label": label}
        for name, given_ in labels.items()
        for item, label in enumerate(given_)
    ]
    return pd.DataFrame(rows)


def test_by_hand() -> None:
    labels = {"a": [1, 1, 0, 0], "b": [1, 0, 0, 1], "c": [1, 1, 1, 0]}
    candidate = pd.Series([1.0, 0, 1, 0])
    found = alt_test(people(labels), candidate, 0.2, min_items=4)
    # left out a: the others say (1,1) (0,1) (0,1) (1,0)
    #   a matches 2 1 1 1, the candidate 2 1 1 1: W_f = 1 1 1 1, W_a = 1 1 1 1
    # left out b: (1,1) (1,1) (0,1) (0,0): b matches 2 0 1 0, the candidate 2 0 1 2: W_f 1 1 1 1, W_b 1 1 1 0
    # left out c: (1,1) (1,0) (0,0) (0,1): c matches 2 1 0 1, the candidate 2 1 0 1: W_f 1 1 1 1, W_c 1 1 1 1
    assert [person.advantage for person in found.people] == [1, 1, 1]
    assert [person.person_advantage for person in found.people] == [1, 0.75, 1]
    assert found.advantage == 1
    # b: d = 0 0 0 -1, mean -.25, se .25: t = (-.25 - .2) / .25 = -1.8 on 3 degrees, x = 1.8 / sqrt 3 =
    # 1.03923:
    # p = 1/2 - (x / (1 + x^2) + arctan x) / pi = 1/2 - (.49963 + .80463) / pi = .08484
    assert found.people[1].p_value == pytest.approx(0.08484, abs=1e-5)
    # a, c: d = 0 everywhere; of items that are 1 with a chance of .2, four show none with a chance of .8^4
    p_values = [0.8**4, 0.08484, 0.8**4]
    assert [person.p_value for person in found.people] == pytest.approx(p_values, abs=1e-5)
    assert found.winning_rate == 0
    assert not found.passes
    assert found.n == 4


def test_two_items_never_pass_a_candidate() -> None:
    found = alt_test(people({name: [1, 0] for name in "abc"}), pd.Series([1.0, 0]), 0.2, min_items=2)
    assert not found.passes
    many = alt_test(people({name: [1, 0] * 20 for name in "abc"}), pd.Series([1.0, 0] * 20), 0.2)
    assert many.passes
    assert [person.p_value for person in many.people] == pytest.approx([0.8**40] * 3)


def test_p_values_are_those_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    labels = people({name: list(rng.integers(0, 3, 60)) for name in "abcd"})
    candidate = pd.Series(rng.integers(0, 3, 60).astype(float))
    wide = labels.pivot(index="item", columns="annotator", values="label").to_numpy()
    found = alt_test(labels, candidate, 0.1)
    for j, person in enumerate(found.people):
        others = np.delete(wide, j, axis=1)
        mine = (others == wide[:, [j]]).mean(axis=1)
        theirs = (others == candidate.to_numpy()[:, None]).mean(axis=1)
        difference = (mine >= theirs).astype(float) - (theirs >= mine)
        expected = ttest_1samp(difference, 0.1, alternative="less").pvalue
        assert person.p_value == pytest.approx(expected, abs=1e-12)
        assert person.n == 60


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_benjamini_yekutieli_equals_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, alpha=0.05, method="fdr_by")[0]
    assert (benjamini_yekutieli(np.array(p_values)) == expected).all()


def crowd(rng: np.random.Generator, right: float, judge_right: float) -> tuple[pd.DataFrame, pd.Series]:
    truth = rng.integers(0, 2, 100)
    labels = {f"p{j}": list(np.where(rng.random(100) < right, truth, 1 - truth)) for j in range(5)}
    return people(labels), pd.Series(np.where(rng.random(100) < judge_right, truth, 1 - truth).astype(float))


def test_a_judge_better_than_people_passes_and_a_worse_one_fails() -> None:
    rng = np.random.default_rng(1)
    assert alt_test(*crowd(rng, 0.75, 0.95), 0.1).winning_rate == 1
    assert alt_test(*crowd(rng, 0.9, 0.6), 0.1).winning_rate == 0


def test_more_tolerance_never_loses() -> None:
    labels, candidate = crowd(np.random.default_rng(2), 0.8, 0.75)
    rates = [alt_test(labels, candidate, epsilon).winning_rate for epsilon in (0, 0.1, 0.2, 0.5)]
    assert rates == sorted(rates)


def test_few_items_and_failures_are_told() -> None:
    rng = np.random.default_rng(3)
    labels, candidate = crowd(rng, 0.8, 0.8)
    labels = labels[~((labels["annotator"] == "p4") & (labels["item"] >= 20))]
    candidate[:10] = np.nan
    found = alt_test(labels, candidate, 0.1)
    assert found.left_out == ("p4",)
    assert (found.n, found.n_failed) == (90, 10)
    assert [person.n for person in found.people] == [90] * 4


def test_alone_on_an_item_is_not_compared() -> None:
    labels, candidate = crowd(np.random.default_rng(4), 0.8, 0.8)
    alone = labels[(labels["item"] >= 5) | (labels["annotator"] == "p0")]
    assert {person.n for person in alt_test(alone, candidate, 0.1).people} == {95}


@pytest.mark.parametrize(
    ("change", "epsilon", "message"),
    [
        (lambda rows: rows[rows["annotator"].isin(["p0", "p1"])], 0.1, "needs 3 people .* there are 2"),
        (lambda rows: rows[rows["item"] < 29], 0.1, "with 30 items .* there are 0"),
        (lambda rows: rows.iloc[:0], 0.1, "there are 0"),
        (lambda rows: pd.concat([rows, rows.head(1)]), 0.1, "labelled an item twice"),
        (lambda rows: rows, 1.0, "epsilon"),
        (lambda rows: rows, -0.1, "epsilon"),
    ],
)
def test_refusals(change: Any, epsilon: float, message: str) -> None:
    labels, candidate = crowd(np.random.default_rng(5), 0.8, 0.8)
    with pytest.raises(ValueError, match=message):
        alt_test(change(labels), candidate, epsilon)


def test_items_of_one_cluster_count_once() -> None:
    """Four copies of each item, in one cluster, are worth no more than the item; as items they would be."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 40)
    labels = {name: np.where(rng.random(40) < 0.8, truth, 1 - truth).astype(float) for name in "abc"}
    judge = np.where(rng.random(40) < 0.8, truth, 1 - truth).astype(float)
    once = alt_test(people({name: list(each) for name, each in labels.items()}), pd.Series(judge), 0.1)
    rows = people({name: list(np.tile(each, 4)) for name, each in labels.items()})
    copies, apart = pd.Series(np.tile(judge, 4)), alt_test(rows, pd.Series(np.tile(judge, 4)), 0.1)
    together = alt_test(rows.assign(cluster=rows["item"] % 40), copies, 0.1)
    for one, many, few in zip(once.people, together.people, apart.people, strict=True):
        assert many.p_value == pytest.approx(one.p_value)
        assert few.p_value < one.p_value
        assert (many.advantage, many.n) == (one.advantage, 160)
    assert alt_test(rows.assign(cluster=0), copies, 0.1).winning_rate == 0
