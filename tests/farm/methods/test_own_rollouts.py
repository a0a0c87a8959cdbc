"""Methods that learn from responses of their own policy: what they share."""

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from db.errors import ConfigError
from db.queries.history import CLOCKED
from farm.methods.grpo import GRPOConfig
from farm.models.forward import autocast
from farm.models.tokens import Tokens
from farm.training.checkpoint import RunFolder
from farm.training.data import DataError
from farm.training.loop import fit
from tests.golden import own_rollout_trajectories as golden
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, letters

RATIO_NAMES = ("rloo", "grpo", "ppo")  # those whose loss is about the ratio to the policy that drew
NAMES = (*RATIO_NAMES, "quark")
ALL = (*NAMES, "dapo", "online_dpo", "xpo", "pairwise_grpo", "pairwise_ppo", "a_star_po")  # ways of drawing
SOME = [
    each if each in ("ppo", "quark", "online_dpo") else pytest.param(each, marks=pytest.mark.slow)
    for each in ALL
]
ALIKE = ("gdpo", "crpg", "dr_grpo", "gspo", "cispo", "reinforce_pp")  # those that draw as grpo does
ROUNDING = "rewards/accuracies"  # of gaps of a fresh policy, whose signs are rounding


@pytest.mark.parametrize("name", [*ALL, *ALIKE, "nash_md"])
def test_padding_side_amount_and_row_order_change_no_loss(name: str, made: MethodMaker) -> None:
    method = made(name, reward=letters)
    (batch,) = next(method.feed.batches(0))
    expected = method.loss(batch)
    order = torch.randperm(32)

    def moved(value: Any, left: int) -> Any:
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            return type(value)(*(moved(x, left) for x in value)) if isinstance(value, tuple) else value
        value = value[order]
        return torch.nn.functional.pad(value, (left, 5 - left)) if value.ndim == 2 else value

    for left in (0, 3):
        found = method.loss(with_attention(moved(batch, left), left))
        assert found.loss.item() == pytest.approx(expected.loss.item(), rel=5e-6, abs=2e-6)
        for key, value in expected.stats.items():
            if key == ROUNDING:
                continue
            assert found.stats[key].item() == pytest.approx(value.item(), rel=1e-6, abs=2e-6), key


def other_tokens(batch: Any) -> Tokens:
    return batch if isinstance(batch, Tokens) else other_tokens(batch[0])


def with_attention(value: Any, left: int) -> Any:
    if isinstance(value, Tokens):
        attention = torch.ones_like(value.mask)
        attention[:, :left] = False
        return value._replace(attention=attention)
    return type(value)(*(with_attention(x, left) for x in value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", SOME)
def test_1_batch_of_32_is_many_small_ones(name: str, trained: MethodTrainer) -> None:
    """Two steps on one rollout: in a second one, rounding may turn the draw of a token."""
    options = {
        "max_grad_norm": 0.5,
        "max_steps": 2,
        "rollout_epochs": 2,
        "learning_rate": 1e-3,
        "adam_epsilon": 1e-3,
    }
    whole = trained(name, **options)
    for limits in ({"micro_batch": 1}, {"micro_batch": 5}, {"token_budget": 150}):
        parts = trained(name, **options, **limits)
        for one, other in zip(whole.log, parts.log, strict=True):
            for key, value in one.items():
                if key != ROUNDING and not key.startswith(CLOCKED):
                    assert other[key] == pytest.approx(value, rel=1e-4, abs=1e-5), (limits, key)
        weights = whole.method.trained.parameters(), parts.method.trained.parameters()
        for weight, other_weight in zip(*weights, strict=True):
            assert torch.allclose(weight, other_weight, atol=1e-5), limits


@pytest.mark.parametrize("name", [*RATIO_NAMES, "dapo", "pairwise_grpo", *ALIKE])
def test_a_fresh_policy_is_its_reference(name: str, made: MethodMaker) -> None:
    method = made(name)
    (batch,) = next(method.feed.batches(0))
    loss, stats = method.loss(batch)
    assert stats.get("objective/kl", loss * 0).item() == pytest.approx(0, abs=1e-4)  # some have no reference
    assert stats["policy/approxkl_avg"].item() == pytest.approx(0, abs=1e-6)
    assert stats["policy/clipfrac_avg"].item() == 0
    assert 5 < stats["completions/mean_length"].item() <= 8
    assert loss.isfinite()


@pytest.mark.parametrize("half", [{"precision": "bf16"}, {"dtype": "bfloat16"}])
def test_in_half_precision_too_a_fresh_policy_is_its_reference(
    half: dict[str, str], made: MethodMaker
) -> None:
    """Log-probabilities of the draw, rounded otherwise, would be up to hundredths off."""
    method = made("rloo", max_new_tokens=32, **half)
    (batch,) = next(method.feed.batches(0))
    with autocast(method.config):
        stats = method.loss(batch).stats
    assert stats["policy/approxkl_avg"].item() < 1e-6
    assert stats["objective/kl"].item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_every_response_is_met_once_in_each_pass(name: str, made: MethodMaker) -> None:
    method = made(name, rollout_epochs=2, minibatches=4, batch_size=4, micro_batch=3, epochs=1.0)
    assert (method.feed.steps, method.feed.rollout_steps) == (16, 8)
    steps = list(method.feed.batches(0))
    assert len(steps) == 16
    for passed in (steps[:4], steps[4:8]):
        seen = [row for step in passed for batch in step for row in rows_of(batch)]
        assert len(seen) == 16
        assert len(set(seen)) > 8
    first, second = (
        {row for step in part for b in step for row in rows_of(b)} for part in (steps[:4], steps[4:8])
    )
    assert first == second
    assert [rows_of(b) for s in steps[:4] for b in s] != [rows_of(b) for s in steps[4:8] for b in s]


def rows_of(batch: Any) -> list[tuple[int, ...]]:
    tokens = other_tokens(batch)
    return [tuple(ids[mask].tolist()) for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]


@pytest.mark.parametrize("name", ALL)
def test_rollouts_are_lazy_and_start_anywhere(name: str, made: MethodMaker) -> None:
    method = made(name, batch_size=4, epochs=2.0, rollout_epochs=2)
    later = [rows_of(batch) for (batch,) in islice(method.feed.batches(4), 2)]
    steps = method.feed.batches(0)
    all_steps = [rows_of(batch) for (batch,) in steps]
    assert all_steps[4:6] == later
    assert all_steps[0] != all_steps[2]
    assert all_steps[0] != all_steps[4], "the next epoch draws anew"


@pytest.mark.parametrize("name", RATIO_NAMES)
def test_held_out_prompts_are_evaluated_the_same_way_every_time(name: str, made: MethodMaker) -> None:
    method = made(name, held_out=PROMPTS[:2])
    (one,), (other,) = method.feed.held_out(), method.feed.held_out()
    assert rows_of(one) == rows_of(other)
    assert len(rows_of(one)) == 8
    assert not list(made(name).feed.held_out())
    parts = list(made(name, held_out=PROMPTS[:2], micro_batch=3).feed.held_out())
    assert sorted(row for part in parts for row in rows_of(part)) == sorted(rows_of(one))


@pytest.mark.parametrize("name", SOME)
def test_resume_is_exact(name: str, made: MethodMaker, tmp_path: Path) -> None:
    options = {"batch_size": 4, "epochs": 3.0, "rollout_epochs": 2, "learning_rate": 1e-3}
    if name != "quark":
        options |= {"lora_rank": 2, "lora_dropout": 0.3}
    if name == "ppo":
        options |= {"kl_target": 0.01, "value_warmup": 1}
    whole = made(name, **options)
    fit(whole, whole.config, lambda *_: None, RunFolder(tmp_path / "whole", whole.config))
    cut = made(name, save_every=5, **options)

    def stop(step: int, metrics: Mapping[str, float]) -> None:
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(cut, cut.config, stop, RunFolder(tmp_path / "cut", cut.config))
    again = made(name, save_every=5, **options)
    steps = []
    fit(again, again.config, lambda step, _: steps.append(step), RunFolder(tmp_path / "cut", again.config))
    assert steps[0] == 7, "the checkpoint that was due at step 5 fell at the end of its rollout, step 6"
    for key, value in whole.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[key]), key


def test_what_cannot_be_shared_out_is_a_clear_error(made: MethodMaker) -> None:
    with pytest.raises(DataError, match="3 prompts cannot be shared out over 7 minibatches"):
        made("rloo", batch_size=5, n=2, minibatches=7)
    with pytest.raises(ConfigError, match="temperature must be above 0"):
        GRPOConfig(temperature=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_20_steps_go_where_they_went(name: str, trained: MethodTrainer) -> None:
    kept = json.loads(golden.OUT.read_text())
    here = golden.environment()
    if any(kept[package] != version for package, version in here.items()):
        pytest.skip(f"the trajectory was recorded with other versions than {here}")
    found = golden.trajectory(trained(name, **golden.COMMON, **golden.OPTIONS[name]).log)
    for metric, values in kept["cases"][name].items():
        assert found[metric] == pytest.approx(values, rel=1e-3, abs=1e-4), metric
