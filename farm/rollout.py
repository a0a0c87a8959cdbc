"""Drawing responses from a policy in the form that methods learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farm.codec import Row, collate
from farm.config import Decoding
from farm.methods.method import Prompt, Tokens
from farm.policies import Policy
from farm.sampler import sample


class Responses(NamedTuple):
    """n responses to each prompt; row i * n + k is the k-th response to prompt i."""

    prompts: list[Prompt]  # one for each row
    texts: list[str]  # without special tokens
    tokens: Tokens  # padded at the right
    logps: Tensor  # (B, T) at the temperature of the draw, 0 off the mask
    ended: Tensor  # (B,) bool: stopped with an end-of-sequence token


def draw(
    policy: Policy, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, n: int = 1
) -> Responses:
    """n responses to each prompt, each a function of (policy, prompt, decoding, seed, k)."""
    codec = policy.codec
    prompt_ids = [codec.prompt_ids(prompt) for prompt in prompts]
    drawn = sample(policy, prompt_ids, decoding, seed=seed, n=n)
    rows = [Row(prompt_ids[i // n], one.ids) for i, one in enumerate(drawn)]
    tokens = collate(rows, codec.pad_id, policy.device)
    flat = torch.tensor([logp for one in drawn for logp in one.logps], device=policy.device)
    return Responses(
        prompts=[prompt for prompt in prompts for _ in range(n)],
        texts=[codec.text(one.ids) for one in drawn],
        tokens=tokens,
        logps=torch.zeros(tokens.mask.shape, device=policy.device).masked_scatter(tokens.mask, flat),
        ended=torch.tensor([one.ended for one in drawn], device=policy.device),
    )
