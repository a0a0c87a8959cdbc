"""A policy and its reference as a reward: β log π/π_ref, token by token.  Rafailov et al. 2024, 2404.12358.

Any policy that was trained against a reference is such a reward, by dpo or by implicit_prm (Yuan et al. 2024,
arXiv 2412.01981): the reward of a response is the sum of the rewards of its tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farm.config import LogRatioRead
from farm.models.hub import ModelError
from farm.models.ops import kl_k1, masked_row_mean, masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens


def token_rewards(logps: Tensor, ref_logps: Tensor, mask: Tensor, beta: float) -> Tensor:
    """β log π(y_t|·)/π_ref(y_t|·) of each response token: (B, T), 0 off the mask."""
    return (beta * kl_k1(logps, ref_logps)).masked_fill(mask == 0, 0.0)


class LogRatio:
    """Frozen policy and reference as one model that scores rows of tokens.

    read: the score of a response is the sum of its tokens' rewards, or their mean. Raises ModelError where
    the two read other tokens.
    """

    def __init__(self, policy: Policy, reference: Policy, beta: float, read: LogRatioRead) -> None:
        if policy.codec.tokenizer.get_vocab() != reference.codec.tokenizer.get_vocab():
            what = "the policy and its reference read other tokens"
            raise ModelError(
                what, where="reference", remedy="name the reference that the policy started from"
            )
        self.policy, self.reference, self.beta, self.read = policy, reference, beta, read
        self.codec, self.device = policy.codec, policy.device

    @torch.no_grad()
    def token_rewards(self, tokens: Tokens, temperature: float = 1.0) -> Tensor:
        """The reward of each response token: (B, T), 0 off the mask. temperature: of both policies."""
        logps, reference = (each(tokens, temperature) for each in (self.policy, self.reference))
        return token_rewards(logps, reference, tokens.mask, self.beta)

    def __call__(self, tokens: Tokens) -> Tensor:
        """The score of each row: (B,)."""
        rewards = self.token_rewards(tokens)
        return (masked_sum if self.read == "sum" else masked_row_mean)(rewards, tokens.mask)
