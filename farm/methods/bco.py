"""Binary classifier optimisation on good and bad outputs.  Jung et al. 2024, arXiv 2404.04656.

    L(θ) = E −log σ( r − δ )  of a good output,   −log σ( −(r − δ) )  of a bad one
    r    = β log π_θ(y|x)/π_ref(y|x),   δ = ½ mean of r over good outputs + ½ mean of r over bad ones

paper   code               differs from the paper
δ       reward_shift       of a step, without gradient, whatever its micro-batches and processes: our reading
                           of the paper. TRL keeps a running mean over all outputs, good and bad together
        by_label           a label p < 1 weighs both losses and both means
                           the paper's weights of prompts (underlying distribution matching) are not here
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.models.ops import Total
from farm.training.judged_method import Judged, JudgedConfig, JudgedTrainer, RatedOutputs, RateRows, by_label


class BCOConfig(JudgedConfig):
    """TRL's β; the rest as DPO's."""

    beta: float = 0.01


def bco_loss(rated: RatedOutputs, config: BCOConfig) -> Tensor:
    """Loss of each output: (B,). Jung et al. 2024. rated.shift: δ."""
    logit = config.beta * rated.responses.log_ratio - rated.shift
    return by_label(-logsigmoid(logit), -logsigmoid(-logit), rated.label)


def class_mean(rewards: Tensor, label: Tensor, total: Total) -> Tensor:
    """Half the mean reward of good outputs plus half that of bad ones: (n,), (n,) -> scalar.

    label: P(good). Where one class is missing it is the mean of the other.
    """
    weights = torch.stack([label, 1 - label]).to(rewards)
    sums = total(torch.cat([weights @ rewards, weights.sum(1)]))
    there = sums[2:] > 0
    return (sums[:2][there] / sums[2:][there]).mean()


def reward_shift(step: Sequence[Judged], rate: RateRows, config: BCOConfig, total: Total) -> Tensor:
    """δ of a step."""
    ratios = torch.cat([rate(batch.tokens).log_ratio.double() for batch in step])
    return class_mean(config.beta * ratios, torch.cat([batch.label for batch in step]), total)


BCO = JudgedTrainer(BCOConfig, bco_loss, reward_shift)
"""Binary classifier optimisation (Jung et al. 2024)."""
