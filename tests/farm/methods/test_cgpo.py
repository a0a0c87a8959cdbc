"""CRPG, CODPO and CRRAFT: groups by hand, and an identity."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import tensor

from farm.methods.codpo import CODPOConfig, best_and_worst, codpo_loss
from farm.methods.crpg import CRPGConfig, constrained_reward
from farm.methods.crpg import worth as crpg_worth
from farm.methods.crraft import CRRAFTConfig, imitated
from farm.methods.crraft import worth as crraft_worth
from farm.models.ops import masked_sum
from farm.models.tokens import Tokens
from farm.training.batches import Rollout
from farm.training.constraints import calibrated
from farm.training.pair_method import RatedPairs, RatedResponses
from farm.training.processes import Processes
from tests.support.on_policy import MethodMaker, in_float64


def rollout_by_hand() -> Rollout:
    """A prompt with four responses of one token and its baseline, in the last row.

    Scores minus the baseline's are log 3, log 3, 0 and 2 log 3, so R_c is ¾, ¾, ½ and 9/10. The second and
    the last fail. The log-ratios to the reference are 1, 0, −2 and 4.
    """
    scores = tensor([2 + math.log(3), 2 + math.log(3), 2.0, 2 + 2 * math.log(3), 2.0], dtype=torch.float64)
    ratios = tensor([[1.0], [0.0], [-2.0], [4.0], [0.5]], dtype=torch.float64)
    mask = torch.ones(5, 1, dtype=torch.bool)
    return Rollout(
        tokens=Tokens(torch.arange(5)[:, None], mask),
        logps=ratios - 3,
        ref_logps=torch.full((5, 1), -3.0, dtype=torch.float64),
        values=torch.zeros(5, 1, dtype=torch.float64),
        score=scores,
        ended=torch.ones(5, dtype=torch.bool),
        passes=tensor([True, False, True, False, True]),
    )


def test_crpg_by_hand() -> None:
    """R = (¾ · (1 − 1/5), 0, ½ · 1, 0) = (.6, 0, .5, 0), whose mean is .275."""
    own, reward, kl = calibrated(rollout_by_hand(), 4)
    assert reward.tolist() == pytest.approx([0.75, 0.75, 0.5, 0.9])
    assert kl.tolist() == pytest.approx([1, 0, -2, 4])
    assert own.passes is not None
    assert constrained_reward(reward, own.passes, kl, 5.0).tolist() == pytest.approx([0.6, 0, 0.5, 0])
    lesson = crpg_worth(rollout_by_hand(), CRPGConfig(n=4, kl_max=5.0), Processes())
    assert lesson.advantages[:, 0].tolist() == pytest.approx([0.325, -0.275, 0.225, -0.275])
    assert lesson.stats["constraints/passed"].item() == 0.5, "the baseline is not counted"
    assert lesson.stats["objective/calibrated"].item() == pytest.approx(0.725)


def test_beyond_the_bound_nothing_is_rewarded() -> None:
    found = constrained_reward(torch.ones(3), torch.ones(3), tensor([-9.0, 2.5, 7.0]), 5.0)
    assert found.tolist() == [1.0, 0.5, 0.0]


def test_crraft_by_hand() -> None:
    """Within a bound of 5 the best that passes is the first. Within ½ it is the third, of R_c ½."""
    for bound, row, reward in ((5.0, 0, 0.75), (0.5, 2, 0.5), (None, 0, 0.75)):
        lesson = crraft_worth(rollout_by_hand(), CRRAFTConfig(n=4, kl_max=bound), Processes())
        assert lesson.tokens.ids.tolist() == [[row]]
        assert lesson.advantages.tolist() == pytest.approx([reward])
        assert lesson.stats["constraints/imitated_baseline"].item() == 0


def test_where_nothing_is_permitted_the_baseline_is_imitated_if_it_is() -> None:
    rewards, no = torch.full((3, 2), 0.9), torch.zeros(3, 2, dtype=torch.bool)
    no[2, 1] = True
    place, reward = imitated(rewards, no, tensor([True, False, True]))
    assert place.tolist() == [2, 2, 1]
    assert reward.tolist() == pytest.approx([0.5, 0.0, 0.9])


def test_codpo_pairs_by_hand() -> None:
    """A permitted response of a negative score is better than one that fails, whatever its score."""
    scores = tensor(
        [[-1.0, 5.0, -3.0, 2.0], [1.0, 4.0, 0.0, 4.0], [9.0, 8.0, 7.0, 6.0], [1.0, 1.0, 1.0, 1.0]]
    )
    passes = torch.ones(4, 4, dtype=torch.bool)
    passes[0], passes[2] = tensor([True, False, True, False]), tensor([False] * 4)
    best, worst, taught = best_and_worst(scores, passes)
    assert taught.tolist() == [True, True, False, False]
    assert best[:2].tolist() == [0, 1]
    assert worst[:2].tolist() == [3, 2]


def test_codpo_loss_by_hand() -> None:
    """Log-ratios 2 and −1 with β ½: −log σ(3/2). Five times the mean over tokens of 6 nats over 3 tokens."""
    sides = [
        RatedResponses(tensor([logp, logp], dtype=torch.float64), tensor([ref, ref]).double(), tensor([3, 3]))
        for logp, ref in ((-6.0, -8.0), (-7.0, -6.0))
    ]
    pairs = RatedPairs(sides[0], sides[1], tensor([1.0, 0.5]))
    found = codpo_loss(pairs, CODPOConfig(beta=0.5, nll=5.0))
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-1.5)) + 5 * 2, 0.0])


def test_with_open_constraints_crpg_is_reinforce_on_the_calibrated_reward(made: MethodMaker) -> None:
    """The gradient is that of −Σ (R_c − mean R_c) log π(y|x) over the number of tokens, written out."""
    method: Any = made("crpg", kl_max=None)
    plan = next(method.feed.plans(0))
    drawn, n = method.feed.drawn(plan), method.config.n
    assert bool(drawn.passes.all())
    groups = drawn.score.view(-1, n + 1).double()
    reward = (groups[:, :n] - groups[:, n:]).sigmoid().flatten()
    lesson = method.worth(drawn)
    method.policy.double()
    tokens = lesson.tokens
    logps = method.policy(tokens)
    reinforce = -((reward - reward.mean()) * masked_sum(logps, tokens.mask)).sum() / tokens.mask.sum()
    parameters = [p for p in method.policy.parameters() if p.requires_grad]
    expected = torch.autograd.grad(reinforce, parameters, allow_unused=True)
    batch = in_float64(lesson)
    with torch.no_grad():
        at_draw = method.policy(tokens)
    batch = batch._replace(rollout=batch.rollout._replace(logps=at_draw))
    found = torch.autograd.grad(method.loss(batch).loss, parameters, allow_unused=True)
    for one, other in zip(found, expected, strict=True):
        if one is not None and other is not None:
            assert torch.allclose(one, other, atol=1e-8)
    assert max(each.abs().max() for each in expected if each is not None) > 1e-4
