import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.autograd import gradcheck

from db.errors import ConfigError
from farm.methods.quark import QuarkConfig, Terms, quark_loss, quark_terms
from farm.models import chunks
from farm.training.controls import quantile_levels
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, vectors
from tests.support.tiny_models import ModelMaker


@pytest.mark.parametrize("case", vectors("quark"))
def test_terms_loss_and_gradient_are_scipys(case: dict[str, Any]) -> None:
    logits, ref = tensor(case["logits"], dtype=torch.float64, requires_grad=True), tensor(case["ref_logits"])
    terms = quark_terms(logits, ref.double(), tensor(case["ids"]))
    for name, values in terms._asdict().items():
        assert values.tolist() == pytest.approx(case[name], rel=1e-6)
    losses = quark_loss(terms, case["beta"], case["entropy_coef"])
    assert losses.tolist() == pytest.approx(case["losses"], rel=1e-6)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    for found, expected in zip(gradient.tolist(), case["gradient_of_sum"], strict=True):
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_by_hand() -> None:
    """π = (¼, ½, ¼), the last a control token, π_ref = (½, ½): KL ½ log 2, H 3/2 log 2, −log π log 2."""
    logits, ref = tensor([[0.0, math.log(2), 0.0]]), tensor([[1.0, 1.0]])
    terms = quark_terms(logits, ref, tensor([1]))
    log2 = math.log(2)
    assert [term.item() for term in terms] == pytest.approx([-log2, log2 / 2, 1.5 * log2])
    assert quark_loss(terms, 0.5, 0.25).item() == pytest.approx(log2 + 0.25 * log2 - 0.375 * log2)


def test_at_the_reference_only_the_likelihood_is_left() -> None:
    logits = torch.randn(3, 4)
    terms = quark_terms(logits, logits, tensor([0, 1, 2]))
    assert terms.kl.tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    expected = torch.nn.functional.cross_entropy(logits, tensor([0, 1, 2]), reduction="none")
    assert quark_loss(terms, 7.0, 0.0).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_gradients() -> None:
    logits, ref = torch.randn(3, 5).double().requires_grad_(), torch.randn(3, 4).double()
    ids = tensor([3, 0, 1])
    assert gradcheck(lambda x: quark_loss(quark_terms(x, ref, ids), 0.3, 0.2), [logits])
    terms = [torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert gradcheck(lambda *x: quark_loss(Terms(*x), 0.3, 0.2), terms)


def test_quantiles_are_those_of_all_processes() -> None:
    mine, others = tensor([5.0, 1.0]), tensor([3.0, 2.0])
    assert quantile_levels(mine, 4, torch.cat([mine, others])).tolist() == [3, 0]
    assert quantile_levels(others, 4, torch.cat([mine, others])).tolist() == [2, 1]


def test_responses_stand_under_the_token_of_their_quantile_and_keep_their_end(
    made: MethodMaker, make_model: ModelMaker
) -> None:
    method = made("quark", model=str(make_model(end_bias=2.0)), n=4)
    (batch,) = next(method.feed.batches(0))
    codec = method.policy.codec
    asked = {
        level: codec.tokenizer.convert_tokens_to_ids(token) for level, token in enumerate(method.controls)
    }
    scores, levels, ends = [], [], 0
    for ids, mask, plain, of_plain in zip(*batch.tokens[:2], *batch.plain[:2], strict=True):
        start = int(mask.int().argmax())
        assert ids[mask].tolist() == plain[of_plain].tolist()
        assert ids[: start - 1].tolist() == plain[: start - 1].tolist(), (
            "but for the token, the prompt is the same"
        )
        levels.append(next(level for level, token in asked.items() if token == ids[start - 1]))
        scores.append(float(sum(c.islower() for c in codec.text(ids[mask].tolist()))))
        ends += ids[mask][-1].item() == codec.eos_id
    assert levels == quantile_levels(tensor(scores), 4).tolist()
    assert ends == round(len(levels) * batch.stats["completions/ended"].item())
    assert 0 < ends < len(levels)


def test_only_the_first_rollout_is_the_references(made: MethodMaker) -> None:
    """A policy whose control tokens are trained away from it draws otherwise; the reference never does."""
    method = made("quark", epochs=2.0)
    first, second = (next(method.feed.plans(start)) for start in (0, 1))
    before = [method.levelled(plan) for plan in (first, second)]
    with torch.no_grad():
        method.policy.model.lm_head.weight[10:] += 1.0
    after = [method.levelled(plan) for plan in (first, second)]
    assert torch.equal(before[0].tokens.ids, after[0].tokens.ids)
    assert before[1].tokens.ids.shape != after[1].tokens.ids.shape or not torch.equal(
        before[1].tokens.ids, after[1].tokens.ids
    )


def test_the_best_is_asked_for_from_then_on(made: MethodMaker, tmp_path: Path) -> None:
    from farm.models.policy import Policy

    method = made("quark", levels=3)
    method.product.save(tmp_path)
    saved = Policy.load(str(tmp_path))
    last = saved.codec.prompt_ids(method.feed.source.rows[0])[-1]
    assert saved.codec.tokenizer.convert_ids_to_tokens(last) == "<|quality_2|>"


def test_control_tokens_need_their_embeddings_trained() -> None:
    with pytest.raises(ConfigError, match="lora_rank must be 0"):
        QuarkConfig(lora_rank=4)


@pytest.mark.parametrize("positions", [1, 3])
def test_parts_of_the_positions_give_the_loss_and_gradients_of_all(
    made: MethodMaker, monkeypatch: pytest.MonkeyPatch, positions: int
) -> None:
    method = made("quark", entropy_coef=0.1)
    method.policy.double()
    method.reference.double()
    (batch,) = next(method.feed.batches(0))

    def learnt() -> tuple[float, list[Tensor]]:
        method.trained.zero_grad()
        loss, _ = method.loss(batch)
        loss.backward()
        return loss.item(), [p.grad.clone() for p in method.trained.parameters() if p.grad is not None]

    loss, gradients = learnt()
    both = sum(each.model.lm_head.weight.shape[0] for each in (method.policy, method.reference))
    monkeypatch.setattr(chunks, "LOGITS", positions * both)
    in_parts, of_parts = learnt()
    assert in_parts == pytest.approx(loss, abs=1e-12)
    assert all(map(partial(torch.allclose, rtol=0, atol=1e-12), gradients, of_parts))


def test_nothing_is_held_out(made: MethodMaker) -> None:
    assert not list(made("quark", held_out=PROMPTS[:2]).feed.held_out())


def test_learns(trained: MethodTrainer) -> None:
    options = {
        "n": 32,
        "levels": 2,
        "max_new_tokens": 4,
        "rollout_epochs": 8,
        "minibatches": 4,
        "warmup": 0.0,
    }
    run = trained("quark", learning_rate=1e-2, epochs=4.0, schedule="constant", **options)
    assert run.mean("objective/scores", slice(-32, None)) > run.mean("objective/scores", slice(32)) + 0.5
