from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, tensor

from db.errors import ConfigError
from farm.methods.nash_md import NashMDConfig, nash_md_loss
from farm.training.checkpoint import RunFolder
from farm.training.loop import fit
from farm.training.pair_method import RatedPairs
from tests.support.objectives import Case, cases, leaves, responses
from tests.support.on_policy import MethodMaker, assert_fresh_pairs_add_up


@pytest.mark.parametrize("case", cases("fresh", "nash_md"))
def test_loss_and_gradient_are_those_of_the_whole_response(case: Case) -> None:
    """The paper's; TRL's, token by token, is another, which stands beside it in the vectors."""
    own, paper = leaves(case.inputs["own"]), case.paper
    assert paper is not None
    sides = responses(own, case.inputs["own_reference"])
    pairs = RatedPairs(sides, sides, tensor(case.options["probability"], dtype=torch.float64))
    loss = nash_md_loss(pairs, NashMDConfig(beta=case.options["beta"])).mean()
    loss.backward()
    assert loss.item() == pytest.approx(paper["loss"], rel=1e-9)
    assert loss.item() != pytest.approx(case.loss, rel=0.1)
    found = [row.grad.tolist() for row in own if row.grad is not None]
    assert found == [pytest.approx(row, rel=1e-6) for row in paper["gradients"]["own"]]


def test_the_mean_gradient_is_that_of_the_regularised_win_rate() -> None:
    """Three responses, all of them weighed by π: ∇ of −E[P] + β KL(π ‖ μ), by differences.

    The baseline ½ drops out of the mean.
    """
    logits = tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    reference, wins, beta = (
        tensor([0.5, 0.3, 0.2], dtype=torch.float64).log(),
        tensor([0.9, 0.4, 0.1], dtype=torch.float64),
        0.3,
    )

    def objective(z: Tensor) -> Tensor:
        logps = z.log_softmax(-1)
        return (logps.exp() * (beta * (logps - reference) - wins)).sum()

    logps = logits.log_softmax(-1)
    sides = responses([logps[i : i + 1] for i in range(3)], reference[:, None].tolist())
    losses = nash_md_loss(RatedPairs(sides, sides, wins), NashMDConfig(beta=beta))
    (found,) = torch.autograd.grad((logps.exp().detach() * losses).sum(), logits)
    (expected,) = torch.autograd.grad(objective(logits), logits)
    assert found.tolist() == pytest.approx(expected.tolist())


def test_the_second_response_is_rated_by_nobody_but_the_reference(made: MethodMaker) -> None:
    method = made("nash_md")
    (batch,) = next(method.feed.batches(0))
    loss, stats = method.loss(batch)
    assert loss.isfinite()
    assert not any(name.startswith("rewards/") for name in stats)


def test_more_steps_on_a_rollout_are_refused() -> None:
    with pytest.raises(ConfigError, match="rollout_epochs and minibatches must be 1"):
        NashMDConfig(minibatches=2)


def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(made: MethodMaker) -> None:
    assert_fresh_pairs_add_up(made("nash_md", batch_size=4, n=2, beta=0.3))


def test_resume_is_exact(made: MethodMaker, tmp_path: Path) -> None:
    """The mixture is of the policy as it is now, so a resumed run draws from the same one."""
    options = {"batch_size": 4, "epochs": 3.0, "learning_rate": 3e-2, "mixture": 0.3}
    whole, cut = made("nash_md", **options), made("nash_md", save_every=2, **options)
    fit(whole, whole.config, lambda *_: None, RunFolder(tmp_path / "whole", whole.config))

    def stop(step: int, metrics: Mapping[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(cut, cut.config, stop, RunFolder(tmp_path / "cut", cut.config))
    again, steps = made("nash_md", save_every=2, **options), list[int]()
    fit(again, again.config, lambda step, _: steps.append(step), RunFolder(tmp_path / "cut", again.config))
    assert steps[0] == 3
    start = made("nash_md", **options).trained.state_dict()
    for key, value in whole.trained.state_dict().items():
        assert torch.equal(value, again.trained.state_dict()[key]), key
    assert not all(torch.equal(value, start[key]) for key, value in whole.trained.state_dict().items())
