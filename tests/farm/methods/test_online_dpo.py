from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.methods.dpo import DPOConfig, dpo_loss
from farm.methods.online_dpo import OnlineDPOConfig, online_dpo_loss
from farm.models.tokens import Prompt
from farm.training.data import DataError
from farm.training.fresh_pairs import FreshPairs
from farm.training.method import PairJudge
from farm.training.pair_method import RatedPairs
from farm.training.rollout import by_scores
from farm.training.verdicts import penalised
from tests.support.objectives import Case, cases, leaves, responses
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, letters


@pytest.mark.parametrize("case", cases("fresh", "online_dpo")[:1])
def test_loss_and_gradient_are_trls_but_for_ties(case: Case) -> None:
    """Row 1 is a tie, which TRL takes for a preference and this project for a half of either."""
    rows, reference = leaves(case.inputs["logps"]), case.inputs["ref_logps"]
    scores = tensor(case.inputs["rewards"]).double()
    judge = by_scores(lambda prompts, texts: scores)
    preference = judge([Prompt("")] * 3, ["a"] * 3, ["b"] * 3)
    pairs = RatedPairs(responses(rows[:3], reference[:3]), responses(rows[3:], reference[3:]), preference)
    loss = online_dpo_loss(pairs, OnlineDPOConfig(beta=case.options["beta"])).mean()
    loss.backward()
    assert case.paper is not None
    assert loss.item() == pytest.approx(case.paper["loss"], rel=1e-9)
    found = [row.grad.tolist() for row in rows if row.grad is not None]
    assert found == [pytest.approx(row, rel=1e-6) for row in case.paper["gradients"]["logps"]]
    first = pairs._replace(preference=tensor([0.0, 1.0, 0.0]))
    assert online_dpo_loss(first, OnlineDPOConfig(beta=0.1)).mean().item() == pytest.approx(case.loss)


def test_it_is_dpo_on_what_it_draws() -> None:
    torch.manual_seed(0)
    rows = [torch.randn(4).double().tolist() for _ in range(12)]
    sides = responses(leaves(rows[:3]), rows[3:6]), responses(leaves(rows[6:9]), rows[9:])
    soft = RatedPairs(*sides, tensor([0.9, 0.2, 0.5]).double())
    sure = soft._replace(preference=tensor([1.0, 0.0, 0.5]).double())
    config, dpo = OnlineDPOConfig(beta=0.3), DPOConfig(beta=0.3)
    assert torch.equal(online_dpo_loss(soft, config), dpo_loss(sure, dpo))
    assert torch.equal(online_dpo_loss(soft, OnlineDPOConfig(beta=0.3, hard=False)), dpo_loss(soft, dpo))


def test_a_penalty_on_what_was_cut_is_one_on_its_score() -> None:
    """Scores 1 and 0, the first was cut: σ(1 − 3). A sure verdict stays, and so does what both share."""
    preference = torch.cat([tensor([1.0, 1.0]).sigmoid(), tensor([0.0, 1.0, 0.5])])
    found = penalised(preference, tensor([1.0, 0.0, 1.0, 1.0, -1.0]), 3.0)
    expected = tensor([-2.0, 1.0, -torch.inf, torch.inf, 3.0]).sigmoid()
    assert found.tolist() == pytest.approx(expected.tolist())


def test_pairs_without_a_judgement_are_left_out(made: MethodMaker) -> None:
    method = made("online_dpo")
    asked: list[tuple[Prompt, str, str]] = []

    def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        asked.extend(zip(prompts, first, second, strict=True))
        known = torch.arange(32) % 4 > 0
        return torch.where(known, 0.75, torch.nan)

    method.feed.judge = lambda rollout: judge
    (batch,) = next(method.feed.batches(0))
    assert isinstance(batch, FreshPairs)
    assert batch.weight == 24
    assert batch.stats["judging/without_judgement"] == 0.25
    assert (batch.preference == 0.75).all()
    codec = method.policy.codec
    said = {codec.text(ids[mask].tolist()) for ids, mask in zip(*batch.first[:2], strict=True)}
    assert said <= {first for _, first, _ in asked}
    assert {prompt for prompt, _, _ in asked} == set(PROMPTS)
    method.feed.judge = lambda rollout: lambda *_: torch.full((32,), torch.nan)
    with pytest.raises(DataError, match="not one of the 32 fresh pairs of a rollout got a judgement"):
        next(method.feed.batches(0))


def test_the_reference_rates_each_response_once(made: MethodMaker) -> None:
    method = made("online_dpo")
    rated: list[int] = []
    method.feed.reference.register_forward_pre_hook(lambda _, inputs: rated.append(len(inputs[0].ids)))
    (batch,) = next(method.feed.batches(0))
    assert sum(rated) == 2 * batch.weight


def test_each_rollout_has_a_judge_of_its_own(made: MethodMaker) -> None:
    method = made("online_dpo", batch_size=4, epochs=2.0)
    scores, numbers = by_scores(letters), list[int]()

    def judge_of(rollout: int) -> PairJudge:
        numbers.append(rollout)
        return scores

    method.feed.judge = judge_of
    assert len(list(method.feed.batches(1))) == 3
    assert numbers == [1, 2, 3]


def test_learns(made: MethodMaker, trained: MethodTrainer) -> None:
    """The judge counts the letters of 8 tokens."""
    options = {"learning_rate": 5e-3, "epochs": 14.0, "beta": 0.05, "schedule": "constant"}
    found = []
    methods: list[Any] = [made("online_dpo"), trained("online_dpo", **options).method]
    for method in methods:
        drawn = method.feed.responses(next(method.feed.plans(0)), method.policy, 4)
        found.append(letters([], drawn.texts).mean().item())
    assert found[1] > found[0] + 2, found
