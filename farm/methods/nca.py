"""Noise contrastive alignment: pairs against the reference as noise.  Chen et al. 2024, arXiv 2402.05369.

    L(θ) = E [ −log σ(β c) − ½ log σ(−β c) − ½ log σ(−β r) ]                                (section 4, K = 2)
    c    = log π_θ(y_w|x)/π_ref(y_w|x),   r = log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
α       config.beta
r(x,y)  pairs.preference   the paper has a reward for each response; of a pair we know which one is preferred
E       both_ways          a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.training.pair_method import BetaConfig, PairTrainer, RatedPairs, both_ways


class NCAConfig(BetaConfig):
    """The paper's β; the rest as DPO's."""

    beta: float = 0.01


def nca_loss(pairs: RatedPairs, config: NCAConfig) -> Tensor:
    """Loss of each pair: (B,). Chen et al. 2024, section 4."""
    chosen, rejected = config.beta * pairs.chosen.log_ratio, config.beta * pairs.rejected.log_ratio
    return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)


NCA = PairTrainer(NCAConfig, both_ways(nca_loss))
"""Noise contrastive alignment on pairs (Chen et al. 2024)."""
