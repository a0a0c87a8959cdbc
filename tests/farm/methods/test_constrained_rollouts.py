"""CRPG, CODPO and CRRAFT in a run: verdicts, baselines, splits of a step, resume, learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, tensor

from farm.models.tokens import Prompt, Tokens
from farm.training.checkpoint import RunFolder
from farm.training.constraints import BoundedJudge
from farm.training.data import DataError, Demonstration
from farm.training.loop import fit
from farm.training.run_models import ConstraintSource
from tests.support.on_policy import PROMPTS, MethodMaker, MethodTrainer, gradients_of_splits, letters

NAMES = ("crpg", "codpo", "crraft")
CALIBRATED = ("crpg", "crraft")


def even(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    """Whether a response has an even number of characters."""
    return tensor([float(len(each) % 2 == 0) for each in responses])


def none(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    return torch.zeros(len(responses))


EVEN, NONE = ConstraintSource(even), ConstraintSource(none)


def test_verdicts_are_those_of_every_judge_on_its_prompts(made: MethodMaker) -> None:
    one = frozenset(PROMPTS[:4])
    short = ConstraintSource(lambda p, texts: tensor([-float(len(each)) for each in texts]), -6.0, one)
    method: Any = made("codpo", constraints=[EVEN, short])
    plan = next(method.feed.plans(0))
    drawn = method.feed.drawn(plan)
    texts = method.feed.texts(drawn.tokens)
    asked = [prompt for prompt in plan.prompts for _ in range(4)]
    expected = [
        len(text) % 2 == 0 and (prompt not in one or len(text) <= 6)
        for prompt, text in zip(asked, texts, strict=True)
    ]
    assert drawn.passes.tolist() == expected
    assert len({*expected}) == 2


def test_a_verdict_that_is_no_number_is_refused() -> None:
    judge = BoundedJudge(lambda prompts, texts: torch.full((len(texts),), torch.nan))
    with pytest.raises(DataError, match="is nan"):
        judge.accepts(PROMPTS[:1], ["x"])


def test_baselines_are_the_references_and_stay_for_the_run(made: MethodMaker) -> None:
    method: Any = made("crpg", batch_size=4, epochs=2.0)
    plans = list(method.feed.plans(0))

    def baselines(plan: Any) -> dict[str, str]:
        drawn = method.feed.drawn(plan)
        last = Tokens(drawn.tokens.ids[4::5], drawn.tokens.mask[4::5])
        return dict(zip((p.instruction for p in plan.prompts), method.feed.texts(last), strict=True))

    first = baselines(plans[0])
    with torch.no_grad():
        for weight in method.policy.parameters():
            weight.mul_(0.5)
    again = next(plan for plan in plans[2:] if {*plan.prompts} & {*plans[0].prompts})
    later = baselines(again)
    common = first.keys() & later.keys()
    assert common
    assert {key: first[key] for key in common} == {key: later[key] for key in common}


def test_a_demonstration_is_the_baseline_of_its_prompt(made: MethodMaker) -> None:
    shown = [Demonstration(prompt, f"so {i}") for i, prompt in enumerate(PROMPTS)]
    method: Any = made(
        "crraft", demonstrations=[*shown, Demonstration(PROMPTS[0], "later")], constraints=[NONE]
    )
    plan = next(method.feed.plans(0))
    drawn = method.feed.drawn(plan)
    last = Tokens(drawn.tokens.ids[4::5], drawn.tokens.mask[4::5])
    said = {each.prompt: each.output for each in reversed(shown)}
    assert method.feed.texts(last) == [said[prompt] for prompt in plan.prompts]
    assert torch.equal(drawn.score[4::5], letters(plan.prompts, [said[prompt] for prompt in plan.prompts]))
    with pytest.raises(DataError, match="4 of 8 prompts have no demonstration"):
        made("crraft", demonstrations=shown[:4])


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_of_which_nothing_is_permitted_moves_nothing(name: str, made: MethodMaker) -> None:
    method: Any = made(name, constraints=[NONE])
    (batch,) = next(method.feed.batches(0))
    loss, stats = method.loss(batch)
    loss.backward()
    assert stats["constraints/passed"].item() == 0
    grads = [p.grad for p in method.policy.parameters() if p.grad is not None]
    assert all(bool((grad == 0).all()) for grad in grads)


@pytest.mark.parametrize("name", NAMES)
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, made: MethodMaker) -> None:
    method: Any = made(name, constraints=[EVEN], n=2, missing_eos_penalty=0.5)
    prompts = PROMPTS[:4] if name == "crpg" else PROMPTS
    plan = next(method.feed.plans(0))._replace(prompts=prompts, whole=prompts)
    whole, *split = gradients_of_splits(method, method.feed.learn(plan), (8, 2, 1))
    assert whole.norm() > 0
    for each in split:
        assert (each - whole).norm() < 1e-12 * whole.norm()


@pytest.mark.parametrize("name", NAMES)
def test_resume_is_exact(name: str, made: MethodMaker, tmp_path: Path) -> None:
    options = {"batch_size": 4, "epochs": 3.0, "learning_rate": 1e-3, "constraints": [EVEN], "save_every": 2}
    whole, cut, again = (made(name, **options) for _ in range(3))
    fit(whole, whole.config, lambda *_: None, RunFolder(tmp_path / "whole", whole.config))

    def stop(step: int, metrics: Mapping[str, float]) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(cut, cut.config, stop, RunFolder(tmp_path / "cut", cut.config))
    steps = []
    fit(again, again.config, lambda step, _: steps.append(step), RunFolder(tmp_path / "cut", again.config))
    assert steps[0] > 1
    for key, value in whole.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[key]), key


@pytest.mark.parametrize("name", CALIBRATED)
def test_it_learns_what_its_judge_permits(name: str, trained: MethodTrainer) -> None:
    """The judge permits responses of an even number of characters."""
    run = trained(name, constraints=[EVEN], max_steps=30, epochs=40.0, learning_rate=3e-3, kl_max=None, n=8)
    first, last = (run.mean("constraints/passed", steps) for steps in (slice(0, 5), slice(-5, None)))
    assert first < 0.9
    assert last > first + 0.1
