import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from db.errors import ConfigError
from farm.methods.ppo import adapted, policy_loss, value_loss
from farm.models.ops import gae, kl_shaped_reward, masked_whiten
from farm.models.scorer import Scorer
from tests.support.on_policy import MethodMaker, MethodTrainer, padded, vectors
from tests.support.tiny_models import ModelMaker


def flat(rows: list[list[float]]) -> list[float]:
    return [number for row in rows for number in row]


@pytest.mark.parametrize("case", vectors("ppo"))
@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 2)])
def test_rewards_advantages_and_returns_are_trls(case: dict[str, Any], left: int, right: int) -> None:
    old, ref, values = (padded(case[name], left, right) for name in ("old_logps", "ref_logps", "old_values"))
    mask = ~old.isnan()
    reward = kl_shaped_reward(tensor(case["scores"]).double(), old, ref, mask, case["beta"])
    if case["whiten_rewards"]:
        reward = masked_whiten(reward, mask, shift_mean=False)
    assert reward[mask].tolist() == pytest.approx(flat(case["rewards"]), rel=1e-5)
    advantages, returns = gae(reward, values, mask, case["gamma"], case["lam"])
    assert returns[mask].tolist() == pytest.approx(flat(case["returns"]), rel=1e-5)
    white = masked_whiten(advantages, mask)
    assert white[mask].tolist() == pytest.approx(flat(case["advantages"]), rel=1e-5)
    assert not white[~mask].any()


@pytest.mark.parametrize("case", vectors("ppo"))
@pytest.mark.parametrize(("left", "right"), [(0, 0), (3, 2)])
def test_losses_and_gradients_are_trls(case: dict[str, Any], left: int, right: int) -> None:
    names = ("logps", "old_logps", "advantages", "values", "old_values", "returns")
    now, old, advantages, values, old_values, returns = (padded(case[name], left, right) for name in names)
    mask = ~now.isnan()
    now, values = now.requires_grad_(), values.requires_grad_()
    of_policy = policy_loss(now, old, advantages, mask, case["clip"])
    of_values = value_loss(values, old_values, returns, mask, case["value_clip"])
    assert of_policy.item() == pytest.approx(case["policy_loss"], rel=1e-5)
    assert of_values.item() == pytest.approx(case["value_loss"], rel=1e-5)
    total = of_policy + case["vf_coef"] * of_values
    assert total.item() == pytest.approx(case["loss"], rel=1e-5)
    gradients = torch.autograd.grad(total, [now, values])
    for gradient, name in zip(gradients, ("gradient", "gradient_of_values"), strict=True):
        assert gradient[mask].tolist() == pytest.approx(flat(case[name]), rel=1e-5, abs=1e-12)


def test_reward_by_hand() -> None:
    """Twice as likely as under the reference at each of two tokens, β ½; the score stands on the last."""
    half = math.log(2) / 2
    logps, ref = tensor([[7.0, 0.0, 0.0, 7.0]]), tensor([[8.0, -math.log(2), -math.log(2), 9.0]])
    reward = kl_shaped_reward(tensor([3.0]), logps, ref, tensor([[0, 1, 1, 0]]), 0.5)
    assert reward.tolist()[0] == pytest.approx([0, -half, 3 - half, 0])


def test_a_token_made_less_likely_is_rewarded() -> None:
    """The KL term of one token may be negative: cut at 0, it would be biased. Half as likely, β ½."""
    reward = kl_shaped_reward(tensor([0.0]), tensor([[-math.log(2)]]), tensor([[0.0]]), tensor([[1]]), 0.5)
    assert reward.item() == pytest.approx(math.log(2) / 2)


def test_value_loss_by_hand() -> None:
    """From V = 0, clip ½. A return of 1: V = ¾ is followed to ½ alone, so ¼. A return of −1: (¾ + 1)²."""
    loss = value_loss(tensor([[0.75, 0.75]]), torch.zeros(1, 2), tensor([[1.0, -1.0]]), torch.ones(1, 2), 0.5)
    assert loss.item() == pytest.approx(0.5 * (0.25 + 49 / 16) / 2)


def test_at_ratio_1_the_gradient_is_the_policy_gradient() -> None:
    logps = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    advantages, mask = torch.randn(2, 3, dtype=torch.float64), tensor([[0, 1, 1], [1, 1, 0]])
    loss = policy_loss(logps, logps.detach(), advantages, mask, 0.2)
    (gradient,) = torch.autograd.grad(loss, logps)
    assert torch.allclose(gradient, -advantages * mask / 4)


def test_the_kl_coefficient_follows_the_kl() -> None:
    beta = tensor(0.1)
    assert adapted(beta, tensor(6.6), 6.0, 0.1).item() == pytest.approx(0.1 * 1.01)  # a tenth above
    assert adapted(beta, tensor(60.0), 6.0, 0.1).item() == pytest.approx(0.1 * 1.02)  # believed to ±0.2
    assert adapted(beta, tensor(0.0), 6.0, 0.1).item() == pytest.approx(0.1 * 0.98)
    assert adapted(beta, tensor(6.0), 6.0, 0.1).item() == pytest.approx(0.1)


def test_gradients() -> None:
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    old, other = (x.detach() + 0.3 * torch.randn(2, 3).double() for _ in range(2))
    mask = tensor([[1, 1, 0], [1, 1, 1]])
    assert gradcheck(lambda x: policy_loss(x, old, other, mask, 0.2), [x])
    assert gradcheck(lambda x: value_loss(x, old, other, mask, 0.2), [x])


def test_learns_with_its_options(trained: MethodTrainer) -> None:
    options = {"rollout_epochs": 2, "minibatches": 2, "whiten_rewards": True, "lam": 0.95}
    run = trained("ppo", learning_rate=3e-3, epochs=16.0, beta=0.02, schedule="constant", **options)
    assert run.mean("objective/scores", slice(-8, None)) > run.mean("objective/scores", slice(8)) + 3
    assert run.mean("policy/clipfrac_avg", slice(None)) > 0


def test_the_value_model_learns_and_explains_returns(trained: MethodTrainer) -> None:
    """Alone, on a policy that stands still: first the mean of returns, then how the letters so far count."""
    options = {"value_warmup": 30, "epochs": 30.0, "rollout_epochs": 2, "vf_coef": 1.0, "value_clip": 10.0}
    run = trained("ppo", learning_rate=3e-3, schedule="constant", **options)
    before, after = (run.mean("value/explained_variance", part) for part in (slice(4), slice(-4, None)))
    assert before == pytest.approx(0, abs=2e-3)  # all values are about the same
    assert after > 0.01
    assert run.mean("objective/kl", slice(None)) == pytest.approx(0, abs=1e-5)
    assert run.log[-1]["loss/value_avg"] < run.log[0]["loss/value_avg"] / 2


def test_explained_variance_is_of_returns_without_values(made: MethodMaker) -> None:
    """With lam 0 a return is little but the next value: against those, any values would look good."""
    shown = []
    for lam in (0.0, 1.0):
        method = made("ppo", lam=lam)
        (batch,) = next(method.feed.batches(0))
        shown.append(batch.stats["value/explained_variance"].item())
    rollout, mask = batch.experience.rollout, batch.tokens.mask
    left = batch.experience.returns - rollout.values  # at lam 1: all that is paid, minus the value
    expected = 1 - left[mask].var() / batch.experience.returns[mask].var()
    assert shown == pytest.approx([expected.item()] * 2, rel=1e-4)


def test_the_parts_that_are_clipped_are_all_that_is_trained(made: MethodMaker) -> None:
    method = made("ppo")
    of_parts = [weight for part in method.parts().values() for weight in part.parameters()]
    assert [*map(id, of_parts)] == [*map(id, method.trained.parameters())]


def test_both_norms_are_logged(trained: MethodTrainer) -> None:
    log = trained("ppo", learning_rate=1e-3, max_steps=2).log
    for line in log[:2]:
        whole = math.hypot(line["grad_norm/policy"], line["grad_norm/value"])
        assert line["grad_norm"] == pytest.approx(whole)
        assert min(line["grad_norm/policy"], line["grad_norm/value"]) > 0


def test_the_value_model_starts_as_the_reward_model(made: MethodMaker, scorer_dir: str) -> None:
    method = made("ppo", reward=scorer_dir)
    assert torch.equal(method.value.model.score.weight, Scorer.load(scorer_dir).model.score.weight)
    assert all(weight.requires_grad for weight in method.value.parameters())


def test_values_start_at_0_where_there_is_no_reward_model(made: MethodMaker) -> None:
    method = made("ppo")
    (batch,) = next(method.feed.batches(0))
    assert not batch.experience.rollout.values.any()
    method.loss(batch).loss.backward()
    assert method.value.model.score.weight.grad.any()


def test_beta_is_adapted_and_part_of_what_is_saved(trained: MethodTrainer) -> None:
    run = trained("ppo", learning_rate=1e-3, epochs=4.0, kl_target=1e-6, beta=0.1)
    betas = [line["objective/kl_coef"] for line in run.log]
    assert betas[0] == pytest.approx(0.1)
    assert betas[2] > betas[1]
    assert run.method.trained.state_dict()["kl_coef"].item() == pytest.approx(betas[-1] * 1.02)
    fixed = trained("ppo", learning_rate=1e-3, epochs=2.0, beta=0.1)
    assert {line["objective/kl_coef"] for line in fixed.log if "objective/kl_coef" in line} == {0.1}


def test_the_policy_is_what_is_saved_for_use(made: MethodMaker, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    method = made("ppo")
    method.product.save(tmp_path)
    saved = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(saved.lm_head.weight, method.policy.model.lm_head.weight)


def test_a_reward_model_of_other_tokens_is_a_clear_error(
    made: MethodMaker, make_model: ModelMaker, tmp_path: Path
) -> None:
    other = make_model(pad=None, eos="<s>")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(other)
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(other)
    model = AutoModelForCausalLM.from_pretrained(other)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(other)
    Scorer.load(str(other), seed=0, new_head=True).save(tmp_path)
    with pytest.raises(ConfigError, match="reads other tokens"):
        made("ppo", reward=str(tmp_path))
