"""On-policy distillation: a student that is its teacher, who draws, and splits of a rollout."""

from __future__ import annotations

import pytest
import torch

from farm.models.policy import Policy
from tests.support.on_policy import MethodMaker, MethodTrainer, gradients_of_splits
from tests.support.tiny_models import ModelMaker


@pytest.fixture(scope="module")
def teacher(make_model: ModelMaker) -> str:
    return str(make_model(seed=9))


def test_a_student_that_is_its_teacher_has_no_gradient_on_its_own_prompts(
    made: MethodMaker, model_dir: str
) -> None:
    method = made("on_policy_distillation", teacher=model_dir, n=1)
    (batch,) = next(method.feed.batches(0))
    loss = method.loss(batch).loss
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert all(p.grad is None or p.grad.norm() < 1e-4 for p in method.policy.parameters())


def test_the_teacher_draws_its_own_responses(made: MethodMaker, model_dir: str, teacher: str) -> None:
    own, theirs = (
        made("on_policy_distillation", teacher=teacher, teacher_share=share) for share in (0.0, 1.0)
    )
    plan = next(own.feed.plans(0))
    assert (
        not torch.equal(own.drawn(plan).ids[:, :8], theirs.drawn(plan).ids[:, :8])
        or own.drawn(plan).ids.tolist() != theirs.drawn(plan).ids.tolist()
    )
    expected = theirs.feed.responses(plan, Policy.load(teacher)).tokens
    assert torch.equal(theirs.drawn(plan).ids, expected.ids)


def test_a_rollout_in_parts_is_the_whole(made: MethodMaker, teacher: str) -> None:
    method = made("on_policy_distillation", teacher=teacher, n=1)
    method.teacher.double()
    whole, *split = gradients_of_splits(method, method.drawn(next(method.feed.plans(0))), (8, 2, 1))
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_it_comes_near_its_teacher(trained: MethodTrainer, teacher: str) -> None:
    run = trained("on_policy_distillation", teacher=teacher, epochs=30.0, learning_rate=1e-2, n=1)
    found = [line["teacher/reverse_kl"] for line in run.log if "loss" in line]
    assert len(found) == 30
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
