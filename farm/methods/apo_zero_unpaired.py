"""APO-zero on single outputs.  D'Oosterlinck et al. 2024, arXiv 2408.06266.

    L(θ) = E w_d ( 1 − σ(β r) )  of a good output,   w_u σ(β r)  of a bad one,   r = log π_θ(y|x)/π_ref(y|x)

paper   code                      differs from the paper
        single outputs            the paper has pairs (apo_zero); this is TRL's form, KTO with z = 0
w_d     config.good_weight
w_u     config.bad_weight
E       by_label                  a label p < 1 weighs both losses; ½ is an output of which nothing is known
"""

from __future__ import annotations

from torch import Tensor

from farm.config import option
from farm.training.judged_method import JudgedConfig, JudgedTrainer, RatedOutputs, by_label


class APOZeroUnpairedConfig(JudgedConfig):
    """β and weights of TRL; the rest as DPO's."""

    good_weight: float = option(1.0, above=0)
    """Weight of good outputs."""
    bad_weight: float = option(1.0, above=0)
    """Weight of bad outputs."""


def apo_zero_unpaired_loss(rated: RatedOutputs, config: APOZeroUnpairedConfig) -> Tensor:
    """Loss of each output: (B,)."""
    reward = config.beta * rated.responses.log_ratio
    good, bad = config.good_weight * (-reward).sigmoid(), config.bad_weight * reward.sigmoid()
    return by_label(good, bad, rated.label)


APOZeroUnpaired = JudgedTrainer(APOZeroUnpairedConfig, apo_zero_unpaired_loss)
"""Anchored preference optimisation on single outputs."""
