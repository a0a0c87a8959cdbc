"""Nash-MD: a policy gradient against a mixture of policy and reference.  Munos et al. 2023, arXiv 2312.00886.

    y ~ π_θ(·|x),   y' ~ π^(1 − k) μ^k / Z, token by token,   P = P(y preferred to y')
    ∇L(θ) = −E ∇ log π_θ(y|x) ( P − ½ − β log π_θ(y|x)/μ(y|x) )                             (sec. 7)

paper   code              differs from the paper
μ       models.reference()
τ       config.beta       0.1 is TRL's
β       config.mixture    k; 0.5 is TRL's
P       models.judge()    a judge of pairs; a sure verdict is one draw of P. A reward model's σ(difference of
                          scores) is Bradley and Terry's, under which the best policy is what RLHF finds
log π/μ nash_md_loss      of the whole response. TRL multiplies it with log π token by token, so that a late
                          token's drift does not weigh the early ones
∇       one step          on each rollout, for there is no ratio to the policy that drew
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.models.mixture import Mixture
from farm.models.policy import Policy
from farm.training.fresh_pairs import FreshConfig, FreshTrainer
from farm.training.pair_method import RatedPairs


class NashMDConfig(FreshConfig):
    """TRL's: β 0.1, half of the mixture is the reference, 5e-7."""

    learning_rate: float = 5e-7
    mixture: float = option(0.5, at_least=0, at_most=1)
    """Share of the reference in the mixture that draws the second response; 0 is self-play."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and more than one step on a rollout."""
        steps = ["rollout_epochs and minibatches must be 1: the gradient holds for the policy that drew"]
        return super().problems() + (steps if self.rollout_steps > 1 else [])


def nash_md_loss(pairs: RatedPairs, config: NashMDConfig) -> Tensor:
    """Loss of each pair, whose gradient is that of Munos et al. 2023, sec. 7: (B,)."""
    own = pairs.chosen
    gain = pairs.preference - 0.5 - config.beta * own.log_ratio.detach()
    return -gain * own.logps


def rival(policy: Policy, reference: Policy, config: NashMDConfig) -> Mixture:
    """The geometric mixture draws the second response."""
    return Mixture(policy, reference, config.mixture)


NashMD = FreshTrainer(NashMDConfig, nash_md_loss, rival, rates_both=False)
"""Nash-MD with a policy gradient (Munos et al. 2023)."""
