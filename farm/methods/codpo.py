"""CODPO: online DPO, the best permitted response against a worst one.  Xu et al. 2024, arXiv 2409.20370.

    y_w  = the highest r of those with v = 1,   y_l = the lowest r of those with v = 0, of all if all pass
    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )
           − λ E log π_θ(y_w|x)/|y_w|                                                           (eq. 14)

paper   code                  differs from the paper
v       models.constraints()  1 where every judge of the prompt accepts the response, else 0
r       models.reward()       missing_eos_penalty is taken off the score of a response that was cut
β, λ    config.beta, .nll     the defaults are those of a public re-implementation. There a score of 0 stands
                              for a response that fails, which beats a permitted one of a negative score
E       over all prompts      one of which no response is permitted counts as 0, and so does one whose two
                              responses are one: all pass, and have one score
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import option
from farm.models.mixture import Drawer
from farm.models.ops import masked_sum, preference_loss
from farm.models.policy import Policy
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.constraints import ConstrainedRollouts, constraint_stats
from farm.training.data import Data
from farm.training.fresh_pairs import FreshConfig, FreshPairs, FreshTrainer
from farm.training.method import Models
from farm.training.on_policy import RolloutPlan
from farm.training.pair_method import RatedPairs
from farm.training.processes import Processes
from farm.training.rollout import mean_over

TIE = 0.5  # the preference of a prompt that teaches nothing


class CODPOConfig(FreshConfig):
    """4 responses to a prompt, a β of 0.1 and a λ of 5, as in the public re-implementation."""

    n: int = option(4, at_least=2)
    """Responses drawn for each prompt of a rollout, of which two are learnt from."""
    learning_rate: float = 1e-6
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the score of a response that did not end within max_new_tokens."""
    nll: float = option(5.0, at_least=0)
    """Weight of the mean over tokens of the better response's negative log-likelihood."""

    @property
    def kept(self) -> int:
        """Pairs to each prompt that are learnt from."""
        return 1


def best_and_worst(scores: Tensor, passes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The better and the worse response of each group, and whether they teach: (P,) each, two of int64.

    scores, passes: (P, n). Of equal scores the first is taken. Xu et al. 2024.
    """
    best = scores.masked_fill(~passes, -torch.inf).argmax(1)
    blamed = ~passes | passes.all(1, keepdim=True)
    worst = scores.masked_fill(~blamed, torch.inf).argmin(1)
    return best, worst, passes.any(1) & (best != worst)


def pairs_of(rollout: Rollout, config: CODPOConfig, processes: Processes) -> FreshPairs:
    """The pair of each prompt, the better response first: P · n rows -> P pairs."""
    assert rollout.passes is not None
    n = config.n
    best, worst, taught = best_and_worst(rollout.score.view(-1, n), rollout.passes.view(-1, n))
    start = torch.arange(len(best), device=best.device) * n
    reference = masked_sum(rollout.reference, rollout.tokens.mask)
    (silent,) = mean_over(processes, ~taught)
    first, second = (
        Tokens(rollout.tokens.ids[start + place], rollout.tokens.mask[start + place])
        for place in (best, worst)
    )
    return FreshPairs(
        first=first,
        second=second,
        ref_first=reference[start + best],
        ref_second=reference[start + worst],
        preference=torch.where(taught, 1.0, TIE).to(reference),
        stats=constraint_stats(rollout, processes) | {"constraints/taught_nothing": silent},
    )


def codpo_loss(pairs: RatedPairs, config: CODPOConfig) -> Tensor:
    """Loss of each pair: (B,); 0 where its prompt teaches nothing. Xu et al. 2024, eq. 14."""
    losses = preference_loss(config.beta * pairs.gap, 1.0) + config.nll * pairs.chosen.nll(per_token=True)
    return losses * (torch.as_tensor(pairs.preference) != TIE)


class ConstrainedPairs(ConstrainedRollouts[FreshPairs]):
    """A feed of one pair for each prompt."""

    config: CODPOConfig

    def __init__(
        self, config: CODPOConfig, data: Data[Prompt], models: Models, policy: Policy, rival: Drawer | None
    ) -> None:
        super().__init__(config, data, models, policy=policy, learn=self.paired)

    def paired(self, plan: RolloutPlan) -> FreshPairs:
        """The pairs of a rollout."""
        return pairs_of(self.drawn(plan), self.config, self.processes)


CODPO = FreshTrainer(
    CODPOConfig, codpo_loss, feed=ConstrainedPairs, needs=("reference", "reward", "constraints")
)
"""Constrained online DPO of CGPO (Xu et al. 2024)."""
