"""dr_grpo, dapo, gspo, cispo and reinforce_pp: losses and gradients against TRL's and hand-worked numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from db.errors import ConfigError
from farm.methods.cispo import CISPOConfig
from farm.methods.cispo import loss as cispo_loss
from farm.methods.dapo import DAPOConfig, by_prompt, soft_overlong
from farm.methods.dapo import loss as dapo_loss
from farm.methods.dapo import worth as dapo_worth
from farm.methods.dr_grpo import DrGRPOConfig
from farm.methods.dr_grpo import loss as dr_grpo_loss
from farm.methods.dr_grpo import worth as dr_grpo_worth
from farm.methods.grpo import group_advantages
from farm.methods.gspo import GSPOConfig
from farm.methods.gspo import loss as gspo_loss
from farm.methods.reinforce_pp import ReinforcePPConfig, returns_to_go
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.batches import Rollout
from farm.training.credit import Credit, Graded
from farm.training.processes import Processes
from farm.training.run_models import LoadedModels
from tests.support.objectives import VECTORS
from tests.support.on_policy import MethodMaker, padded

FOUND = json.loads((VECTORS / "rollout_objectives.json").read_text())
INPUTS = FOUND["inputs"]["rollout"]
N = 4


def methods(name: str) -> list[dict[str, Any]]:
    return list(FOUND["methods"][name])


def rollout(scores: Tensor | None = None) -> Rollout:
    """The rollout of the vectors: eight responses to two prompts."""
    old, reference = padded(INPUTS["old_logps"]), padded(INPUTS["ref_logps"])
    mask = ~old.isnan()
    zero = torch.zeros_like(old)
    return Rollout(
        tokens=Tokens(zero.long(), mask),
        logps=old.nan_to_num(),
        ref_logps=reference.nan_to_num(),
        values=zero,
        score=torch.zeros(8).double() if scores is None else scores,
        ended=torch.ones(8, dtype=torch.bool),
    )


def now() -> Tensor:
    return padded(INPUTS["logps"]).nan_to_num().requires_grad_()


def given(drawn: Rollout) -> Tensor:
    """The advantages of the vectors, for every token of their response."""
    return tensor(INPUTS["advantages"], dtype=torch.float64)[:, None] * drawn.tokens.mask


def held(loss: Tensor, logps: Tensor, expected: dict[str, Any], tolerance: float = 1e-9) -> None:
    """Loss and gradients are the expected ones."""
    (gradient,) = torch.autograd.grad(loss, logps)
    mask = rollout().tokens.mask
    assert loss.item() == pytest.approx(expected["loss"], rel=tolerance)
    flat = [value for row in expected["gradients"]["logps"] for value in row]
    assert gradient[mask].tolist() == pytest.approx(flat, rel=1e-6, abs=1e-9)


def test_dr_grpo_is_trls() -> None:
    [case] = methods("dr_grpo")
    longest = case["options"]["max_completion_length"]
    drawn, logps = rollout(), now()
    mask = drawn.tokens.mask.double()
    batch = Credit(drawn, given(drawn), mask / longest, {}, torch.ones(8).double())
    held(dr_grpo_loss(logps, batch, DrGRPOConfig(max_new_tokens=longest)).loss, logps, case)
    made = dr_grpo_worth(
        rollout(tensor(FOUND["scores"], dtype=torch.float64)),
        DrGRPOConfig(n=N, max_new_tokens=longest),
        Processes(),
    )
    assert torch.equal(made.weights, batch.weights)
    assert made.weight == 8
    [advantages] = [each for each in methods("advantages") if each["of"] == "dr_grpo"]
    assert made.advantages[:, 0].tolist() == pytest.approx(advantages["advantages"])


def test_dapo_is_the_papers_and_by_one_mean_trls() -> None:
    [case] = methods("dapo")
    drawn, logps, config = rollout(), now(), DAPOConfig(n=N)
    mask = drawn.tokens.mask.double()
    batch = Credit(drawn, given(drawn), by_prompt(mask, N), {}, torch.full((8,), 1 / N).double())
    held(dapo_loss(logps, batch, config).loss, logps, case["paper"])
    once = Credit(drawn, given(drawn), mask, {})
    held(dapo_loss(logps, once, config).loss, logps, case)


def test_long_responses_lose_as_in_the_paper() -> None:
    [case] = methods("soft_overlong")
    lengths = tensor(case["lengths"])
    found = soft_overlong(lengths, case["max_completion_len"], case["soft_punish_cache"])
    assert found.tolist() == pytest.approx(case["rewards"])
    assert not soft_overlong(lengths, 100, 0).any()


def test_cut_responses_leave_the_tokens_of_their_prompt_and_no_prompt_is_left_out() -> None:
    drawn = rollout(tensor(FOUND["scores"], dtype=torch.float64))
    drawn = drawn._replace(ended=tensor([False, True, True, True, False, False, False, False]))
    made = dapo_worth(drawn, DAPOConfig(n=N, mask_truncated=True), Processes())
    assert not made.weights[0].any()
    assert made.weights.view(2, -1).sum(1).tolist() == pytest.approx([1.0, 0.0])
    assert made.weight.item() == pytest.approx(2.0)


@pytest.mark.parametrize("case", methods("gspo"))
def test_gspo_is_trls(case: dict[str, Any]) -> None:
    options = case["options"]
    config = GSPOConfig(clip=options["epsilon"], clip_high=options["epsilon_high"])
    logps = now()
    batch = Graded(rollout(), tensor(INPUTS["advantages"], dtype=torch.float64), torch.ones(8), {})
    held(gspo_loss(logps, batch, config).loss, logps, case)


@pytest.mark.parametrize("case", methods("cispo"))
def test_cispo_is_trls_and_by_prompt_the_papers(case: dict[str, Any]) -> None:
    drawn, logps = rollout(), now()
    mask, config = drawn.tokens.mask.double(), CISPOConfig(n=N, ratio_max=case["options"]["epsilon_high"])
    once = Credit(drawn, given(drawn), mask, {})
    held(cispo_loss(logps, once, config).loss, logps, case)
    if paper := case.get("paper"):
        batch = once._replace(weights=by_prompt(mask, N), units=torch.full((8,), 1 / N).double())
        held(cispo_loss(logps, batch, config).loss, logps, paper)


def test_reinforce_pp_by_hand() -> None:
    """Scores 2 and -0.2, k1 (.1, 0, 0) and (-.1, 0), β 1: returns 1.9, 2, 2 and -.1, -.2.

    Their mean is 1.12 and their standard deviation, of ddof 1, 1.160603.
    """
    logps = tensor([[0.1, 0.0, 0.0], [-0.1, 0.0, 9.0]], dtype=torch.float64)
    mask = tensor([[True, True, True], [True, True, False]])
    found = returns_to_go(
        tensor([2.0, -0.2], dtype=torch.float64), logps, torch.zeros_like(logps), mask, beta=1.0
    )
    expected = [0.672064, 0.758227, 0.758227, -1.051177, -1.137340]
    assert found[mask].tolist() == pytest.approx(expected, abs=2e-6)
    assert not found[~mask].any()
    with pytest.raises(ConfigError, match="n must be at least 2 with a baseline"):
        ReinforcePPConfig(baseline=True)


def test_group_advantages_are_trls() -> None:
    [case] = [each for each in methods("advantages") if each["of"] == "grpo_group"]
    found = group_advantages(tensor(FOUND["scores"], dtype=torch.float64), N)
    assert found.tolist() == pytest.approx(case["advantages"], rel=1e-6)


@pytest.mark.parametrize("name", ["dapo", "gspo", "cispo", "dr_grpo"])
def test_without_a_kl_term_no_reference_is_loaded(
    name: str, made: MethodMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: LoadedModels) -> Policy:
        raise AssertionError("a reference takes memory")

    monkeypatch.setattr(LoadedModels, "reference", refused)
    method = made(name)
    (batch,) = next(method.feed.batches(0))
    assert batch.rollout.ref_logps is None
    assert "objective/kl" not in method.loss(batch).stats
