"""Distillation: TRL's divergences, a student that is its teacher, who draws when, and splits of a step."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import tensor

from db.errors import ConfigError
from farm.methods import load
from farm.methods.gkd import GKDConfig, teacher_divergence
from farm.models.policy import Policy, require_same_tokens
from farm.training.checkpoint import RunFolder
from farm.training.data import Data
from farm.training.distillation import TeacherDivergence, chance
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from tests.support.objectives import Case, cases, step_gradient
from tests.support.tiny_models import ModelMaker
from tests.support.train_script import records

DATA: list[Any] = records("demonstrations", 8)
TRLS: dict[float, TeacherDivergence] = {0.0: "forward", 1.0: "reverse"}


@pytest.fixture(scope="module")
def teacher(make_model: ModelMaker) -> str:
    return str(make_model(seed=9))


class Taught:
    """A student in float64 that nothing trains, and its teacher."""

    def __init__(self, student: str, teacher: str) -> None:
        self._both = Policy.load(student, seed=0).double(), Policy.load(teacher).double()

    def policy(self) -> Policy:
        return self._both[0]

    def teacher(self) -> Policy:
        return self._both[1]


def made_gkd(model: str, teacher: str, data: list[Any] | None = None, **options: Any) -> Any:
    known = {"batch_size": 4, "epochs": 2.0, "learning_rate": 3e-2, "log_every": 1, "max_new_tokens": 8}
    config = GKDConfig(**(known | options))
    return load("gkd")(config, Data(data or DATA, DATA[:2]), LoadedModels(model, config, teacher=teacher))


@pytest.mark.parametrize("case", cases("fresh", "gkd"))
def test_divergences_and_gradients_are_trls(case: Case) -> None:
    """TRL takes its β of 0 and 1 for forward and reverse, which no mixture of js comes near."""
    student = tensor(case.inputs["student"], dtype=torch.float64, requires_grad=True)
    drawn = tensor(case.inputs["labels"]) != -100
    beta, temperature = case.options["beta"], case.options["temperature"]
    how, mixture = TRLS.get(beta, "js"), beta if 0 < beta < 1 else 0.5
    config = GKDConfig(divergence=how, mixture=mixture, temperature=temperature)
    theirs = tensor(case.inputs["teacher"], dtype=torch.float64)
    loss = teacher_divergence(student[drawn], theirs[drawn], config)[:, 0].mean()
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    assert torch.allclose(gradient, tensor(case.gradients["student"]).double(), atol=1e-9)


def test_two_distributions_by_hand() -> None:
    """Student (½, ½), teacher (¾, ¼): ¾ ln 1.5 + ¼ ln ½ = 0.130812, and ½ ln ⅔ + ½ ln 2 = 0.143841.

    js at ½ has m = (⅝, ⅜): ½ (¾ ln 1.2 + ¼ ln ⅔) + ½ (½ ln 0.8 + ½ ln 4/3) = 0.033822.
    """
    student, teacher = tensor([[[0.5, 0.5]], [[0.75, 0.25]]], dtype=torch.float64).log()
    found = {
        how: teacher_divergence(student, teacher, GKDConfig(divergence=how))[0]
        for how in ("forward", "reverse", "js")
    }
    assert found["js"].tolist() == pytest.approx([0.0338221, 0.1308120, 0.1438410], abs=1e-6)
    assert [found[how][0].item() for how in ("forward", "reverse")] == pytest.approx(
        [0.1308120, 0.1438410], abs=1e-6
    )


@pytest.mark.parametrize("how", ["forward", "reverse", "js"])
def test_a_student_that_is_its_teacher_has_no_gradient(how: TeacherDivergence, model_dir: str) -> None:
    options = {"divergence": how, "max_new_tokens": 6}
    same = Taught(model_dir, model_dir)
    found = step_gradient("gkd", same, DATA, 4, student_share=1.0, **options)
    assert found.norm() < 1e-12


def test_who_draws_when(model_dir: str, teacher: str) -> None:
    """Of many steps the shares are as asked; each has the data's, the student's or the teacher's rows."""
    turns = [chance(0, step) for step in range(2000)]
    assert sum(turn < 0.3 for turn in turns) / 2000 == pytest.approx(0.3, abs=0.03)
    method = made_gkd(model_dir, teacher, student_share=0.4, teacher_share=0.3, epochs=8.0)
    plain = made_gkd(model_dir, teacher, student_share=0.0, epochs=8.0)
    kinds = []
    for step, ((mine,), (data,)) in enumerate(
        zip(method.feed.batches(0), plain.feed.batches(0), strict=True)
    ):
        turn = chance(0, step)
        kinds.append("student" if turn < 0.4 else "teacher" if turn < 0.7 else "data")
        assert torch.equal(mine.ids, data.ids) == (kinds[-1] == "data")
        assert mine.ids.shape[0] == 4
    assert set(kinds) == {"student", "teacher", "data"}
    (held_out,) = made_gkd(model_dir, teacher, student_share=1.0).feed.held_out()
    (expected,) = plain.feed.held_out()
    assert torch.equal(held_out.ids, expected.ids)


@pytest.mark.parametrize("shares", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(
    shares: tuple[float, float], model_dir: str, teacher: str
) -> None:
    taught = Taught(model_dir, teacher)
    options = {
        "student_share": shares[0],
        "teacher_share": shares[1],
        "max_new_tokens": 6,
        "temperature": 0.8,
    }
    whole, *split = (step_gradient("gkd", taught, DATA, size, **options) for size in (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


def test_it_comes_near_its_teacher(model_dir: str, teacher: str, tmp_path: Path) -> None:
    """On the data and on its own draws."""
    method = made_gkd(model_dir, teacher, epochs=15.0, learning_rate=1e-2)
    found: list[float] = []

    def log(step: int, metrics: Mapping[str, float]) -> None:
        found.extend([metrics["teacher/reverse_kl"]] if "loss" in metrics else [])

    fit(method, method.config, log, RunFolder(tmp_path, method.config))
    assert sum(found[-5:]) < 0.7 * sum(found[:5])


def test_resume_is_exact(model_dir: str, teacher: str, tmp_path: Path) -> None:
    def fresh(**options: Any) -> Any:
        given = {"lora_rank": 2, "lora_dropout": 0.3, "teacher_share": 0.3, **options}
        return made_gkd(model_dir, teacher, **given)

    def stop(step: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    whole, cut, again = fresh(), fresh(save_every=2), fresh(save_every=2)
    fit(whole, whole.config, lambda *_: None, RunFolder(tmp_path / "whole", whole.config))
    with pytest.raises(KeyboardInterrupt):
        fit(cut, cut.config, stop, RunFolder(tmp_path / "cut", cut.config))
    steps: list[int] = []
    fit(again, again.config, lambda step, _: steps.append(step), RunFolder(tmp_path / "cut", again.config))
    assert steps[:2] == [3, 4]
    for key, value in whole.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[key]), key


def test_more_than_all_steps_and_other_tokens_are_refused(model_dir: str, make_model: ModelMaker) -> None:
    with pytest.raises(ConfigError, match="at most 1 together"):
        GKDConfig(student_share=0.7, teacher_share=0.5)
    student, other = Policy.load(model_dir), Policy.load(str(make_model(seed=3)))
    other.codec.tokenizer.add_tokens(["more"])
    with pytest.raises(ConfigError, match="the teacher writes other tokens than the policy"):
        require_same_tokens(student, other, "teacher")


def test_logits_of_both_come_in_parts(model_dir: str, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few logits at a time the loss and its gradient are the same."""
    (batch,) = islice(made_gkd(model_dir, teacher, student_share=0.0).feed.batches(0), 1)
    found = []
    for most in (2**24, 600):
        monkeypatch.setattr("farm.models.chunks.LOGITS", most)
        method = made_gkd(model_dir, teacher)
        loss = method.loss(batch[0]).loss
        loss.backward()
        grads = torch.cat([p.grad.flatten() for p in method.policy.parameters() if p.grad is not None])
        found.append((loss.item(), grads))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-6)
