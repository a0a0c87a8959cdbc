"""Self-play preference optimisation, on given pairs.  Wu et al. 2024, arXiv 2405.00675.

    L(θ) = E ½ [ ( β c − (P_w − ½) )² + ( β r − (P_l − ½) )² ]                             (eq. 4.7, times β²)
    c    = log π_θ(y_w|x)/π_ref(y_w|x),   r = log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
1/η     config.beta        the paper's loss is ours divided by β². At its β of 0.001 that is near 250,000,
                           with two digits after the point in float32, and each gradient is clipped
½       ½                  as in the authors' code; TRL takes the sum
P_w     pairs.preference   P(w beats l), and P_l = 1 − P_w; the authors average over K responses of the prompt
        config.hard        P_w = 1 and P_l = 0, as TRL's sppo_hard; a tie stays ½
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs


class SPPOConfig(BetaConfig):
    """The paper's β; the rest as DPO's."""

    beta: float = 1e-3
    hard: bool = False
    """Take the preferred response for a sure winner; else P(w beats l) is the pair's preference."""


def sppo_loss(pairs: RatedPairs, config: SPPOConfig) -> Tensor:
    """Loss of each pair: (B,). Wu et al. 2024, eq. 4.7, times β²."""
    won = torch.as_tensor(pairs.preference) - 0.5  # P_w − ½, which is −(P_l − ½)
    if config.hard:
        won = 0.5 * won.sign()
    chosen, rejected = config.beta * pairs.chosen.log_ratio, config.beta * pairs.rejected.log_ratio
    return 0.5 * ((chosen - won).square() + (rejected + won).square())


SPPO = PairTrainer(SPPOConfig, sppo_loss)
"""Self-play preference optimisation on given pairs (Wu et al. 2024)."""
