"""A geometric mixture of two policies, to draw from. It cannot be trained and is not saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from transformers import Cache, DynamicCache

from farm.models.codec import Codec
from farm.models.forward import key_value_layers
from farm.models.policy import Policy, require_same_tokens


class Mixture(nn.Module):
    """π(y_t|·)^(1 − share) μ(y_t|·)^share, renormalised at every token, for policies π and μ.

    At a temperature it is the mixture of both policies at this temperature, because the logits are mixed.
    Each policy reads with keys and values of its own.
    """

    def __init__(self, policy: Policy, other: Policy, share: float) -> None:
        """share: weight of the other policy, in [0, 1]. Raises ConfigError where it writes other tokens."""
        super().__init__()
        require_same_tokens(policy, other, "reference")
        self._parts = (policy, other)  # in a tuple, so that they are no modules of this one
        self._weights = (1 - share, share)

    @property
    def codec(self) -> Codec:
        """The policy's."""
        return self._parts[0].codec

    @property
    def device(self) -> torch.device:
        """The device of the policy's weights."""
        return self._parts[0].device

    @property
    def models(self) -> Sequence[Any]:
        """The models of both policies: each keeps keys and values of its own."""
        return [part.model for part in self._parts]

    @property
    def never_drawn(self) -> list[int]:
        """Tokens that the policy must not draw."""
        return self._parts[0].never_drawn

    def step_logits(self, ids: Tensor, attention: Tensor, positions: Tensor, cache: Any) -> Tensor:
        """As Policy.step_logits. The cache holds the layers of the policy, then those of the other."""
        first, logits = 0, torch.zeros(())
        is_new = not cache.layers
        for part, weight in zip(self._parts, self._weights, strict=True):
            last = first + key_value_layers(part.model.config)
            own = DynamicCache() if is_new else Cache(layers=cache.layers[first:last])
            said = part.step_logits(ids, attention, positions, own).float()
            logits = logits.to(said) + weight * said
            if is_new:
                cache.layers.extend(own.layers)
            first = last
        return logits


Drawer: TypeAlias = Policy | Mixture
"""What responses are drawn from."""
