"""PF-PPO: what each filter keeps, by hand; ppo without a filter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import tensor

from farm.methods.pf_ppo import Filter, PFPPOConfig, kept_rows
from farm.training.rows import take
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits

SCORES = tensor([3.0, 1.0, 2.0, 2.0, 0.0, 1.0, 5.0, 5.0, 0.0, 0.0])  # of two prompts, five each
EVENLY = torch.zeros(2)


@pytest.mark.parametrize(
    ("how", "expected"),
    [("best", [0, 6]), ("best_worst", [0, 4, 6, 8]), ("all", list(range(10))), ("best_random", [0, 1, 6, 7])],
)
def test_what_a_filter_keeps_by_hand(how: Filter, expected: list[int]) -> None:
    """Of equal scores the first is the best, and the first is the worst."""
    assert kept_rows(SCORES, 5, how, EVENLY).tolist() == expected
    assert PFPPOConfig(filter=how).kept * 2 == len(expected)


def test_equal_scores_keep_two_responses() -> None:
    assert kept_rows(torch.zeros(5), 5, "best_worst", EVENLY[:1]).tolist() == [0, 1]


def test_the_response_at_random_is_each_of_the_rest_as_often() -> None:
    """Never the best: half of all draws are it, and an eighth is each of the other four."""
    uniform = (torch.arange(400) + 0.5) / 400
    rows = kept_rows(tensor([0.0, 1.0, 0.0, 0.0, 0.0]).repeat(400), 5, "best_random", uniform) % 5
    assert rows.bincount(minlength=5).tolist() == [100, 400, 100, 100, 100]


def test_without_a_filter_it_is_ppo(trained: MethodTrainer) -> None:
    options = {"max_steps": 2, "learning_rate": 1e-3}
    plain, mine = trained("ppo", **options), trained("pf_ppo", filter="all", **options)
    assert [line["loss"] for line in mine.log] == [line["loss"] for line in plain.log]


def test_advantages_are_those_of_the_whole_rollout(made: MethodMaker) -> None:
    method: Any = made("pf_ppo", filter="best_worst")
    plain: Any = made("ppo")
    plan = next(method.feed.plans(0))
    lesson, whole = method.feed.learn(plan), plain.feed.learn(plan)
    rows = kept_rows(whole.experience.rollout.score, 4, "best_worst", torch.zeros(8))
    expected = take(whole, rows)
    assert len(lesson.tokens.ids) == 16
    assert torch.equal(lesson.experience.advantages, expected.experience.advantages)
    assert lesson.stats.keys() == whole.stats.keys()


def test_the_response_at_random_is_a_function_of_the_rollout(made: MethodMaker) -> None:
    method = made("pf_ppo", batch_size=4)
    first, second = list(method.feed.plans(0))[:2]

    def places(plan: Any) -> list[list[int]]:
        rows: list[list[int]] = method.feed.learn(plan).tokens.ids.tolist()
        return rows

    assert places(first) == places(first)
    other = second._replace(prompts=first.prompts, whole=first.whole)
    assert places(other) != places(first)


@pytest.mark.parametrize("how", ["best", "best_random"])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(how: Filter, made: MethodMaker) -> None:
    method: Any = made("pf_ppo", filter=how)
    prompts = PROMPTS if how == "best" else PROMPTS[:4]
    plan = next(method.feed.plans(0))._replace(prompts=prompts, whole=prompts)
    method.value.double()
    whole, *split = gradients_of_splits(method, method.feed.learn(plan), (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()
