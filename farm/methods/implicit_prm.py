"""Implicit process rewards: token rewards from labels of whole outputs.  Yuan et al. 2024, arXiv 2412.01981.

    r(x, y) = Σ_t r_t,   r_t = β log π_θ(y_t|x, y_<t)/π_ref(y_t|x, y_<t)
    L(θ) = −ℓ log σ(r + b) − (1 − ℓ) log σ(−r − b)

paper   code              differs from the paper
ℓ       rated.label       whether the output is right. A soft label weighs both sides. Of a pair each output
                          has P(preferred to the other)
β       config.beta       the authors' 0.05
b       config.offset     not in the paper: the log-odds of a label at π = π_ref. Without it, labels that are
                          mostly good push up every token
r_t     token_rewards     in farm/models/log_ratio.py. The authors choose the best of n by its lowest step, a
                          line of their data. Here a score is the sum or the mean over tokens
"""

from __future__ import annotations

from torch import Tensor

from farm.config import LogRatioRead
from farm.models.ops import preference_loss
from farm.models.policy import Policy
from farm.models.reward_cards import LogRatioCard, RewardFolder
from farm.training.judged_method import JudgedConfig, JudgedTrainer, RatedOutputs
from farm.training.method import Models


class ImplicitPRMConfig(JudgedConfig):
    """The authors' β, 1 epoch of batches of 64; the rest as KTO's."""

    epochs: float = 1.0
    batch_size: int = 64
    beta: float = 0.05
    offset: float = 0.0
    """Log-odds that an output is good where policy and reference agree."""
    read: LogRatioRead = "sum"
    """The score of a response, where the model is a reward: the sum or the mean of its tokens' rewards."""


def implicit_prm_loss(rated: RatedOutputs, config: ImplicitPRMConfig) -> Tensor:
    """Loss of each output: (B,)."""
    return preference_loss(config.beta * rated.responses.log_ratio + config.offset, rated.label)


def as_reward(policy: Policy, config: ImplicitPRMConfig, models: Models) -> RewardFolder:
    """The policy, with a reward.json that names its reference."""
    card = LogRatioCard(models.reference_source, config.beta, config.read)
    return RewardFolder(policy, card.text)


ImplicitPRM = JudgedTrainer(ImplicitPRMConfig, implicit_prm_loss, product=as_reward)
"""Implicit process reward model, cross-entropy form (Yuan et al. 2024)."""
