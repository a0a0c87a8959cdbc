"""Best of n: draw n responses and answer with the one that a reward model likes best.  Stiennon et al. 2020.

    y* = argmax_(i ≤ n) r(x, y_i),  y_i ~ π(· | x)
    KL(best of n ‖ π) = log n − (n − 1)/n               (Stiennon et al. 2020, arXiv 2009.01325, app. G.3)
    E r(y*) = Σ_i C(i − 1, n − 1)/C(N, n) r_(i)         (Nakano et al. 2021, arXiv 2112.09332, app. I)

paper   code            differs from the paper
r       reward          missing_eos_penalty is taken off the score of a response that was cut
N       scores.shape[1] r_(i) is the i-th smallest of N ≥ n scores; responses of one score share their weight
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farm.config import Decoding, option
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training.method import RewardFn
from farm.training.rollout import draw, scored

PROMPTS_AT_A_TIME = 64  # bounds memory; changes nothing else


class BestOfNConfig(Decoding):
    """AlpacaFarm's: n 16 for training, 1 to 1024 for its over-optimisation curve."""

    n: int = option(16, at_least=1)
    """Responses drawn for each prompt."""
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the score of a response that did not end within max_new_tokens."""


class Scored(NamedTuple):
    """n responses to each of P prompts, with their scores."""

    prompts: list[Prompt]  # P
    texts: list[list[str]]  # P lists of n
    scores: Tensor  # (P, n)
    ended: Tensor  # (P, n) bool


def best(scores: Tensor) -> Tensor:
    """Index of the highest score of each prompt: (P, n) -> (P,) int64. Of equal scores the first is taken."""
    return (scores == scores.max(1, keepdim=True).values).int().argmax(1)


def best_of_n_kl(n: int) -> float:
    """KL(best of n ‖ π) in nats. Exact where all scores differ. Stiennon et al. 2020, app. G.3."""
    return math.log(n) - (n - 1) / n


def best_of_n_estimate(scores: Tensor, utility: Tensor, n: int) -> Tensor:
    """Mean utility of the best-scored of n responses, over all choices of n from N: (P, N) -> (P,) float64.

    The estimate is unbiased. Nakano et al. 2021, arXiv 2112.09332, app. I. utility: (P, N), the scores
    themselves, or another judge's of the same responses. Raises ValueError unless 1 ≤ n ≤ N.
    """
    size = scores.shape[1]
    if not 1 <= n <= size:
        raise ValueError(f"best of {n} cannot be estimated from {size} responses to a prompt")
    order = scores.argsort(1)
    ranked, gains = scores.gather(1, order), utility.gather(1, order).double()
    total = math.comb(size, n)
    weights = torch.tensor([math.comb(i, n - 1) / total for i in range(size)], dtype=torch.float64)
    equal = (ranked[:, :, None] == ranked[:, None, :]).double()  # (P, N, N)
    shared = (equal @ gains[:, :, None])[..., 0] / equal.sum(-1)  # mean utility of the responses of one score
    return shared @ weights.to(shared.device)


def draw_scored(
    policy: Policy, reward: RewardFn, prompts: Sequence[Prompt], config: BestOfNConfig, seed: int
) -> Scored:
    """n responses to each of P prompts, with their scores. A function of its arguments alone.

    Raises DataError on a score that is not finite.
    """
    texts: list[list[str]] = []
    scores, ended = [], []
    for at in range(0, len(prompts), PROMPTS_AT_A_TIME):
        part = prompts[at : at + PROMPTS_AT_A_TIME]
        responses = draw(policy, part, config, seed=seed, n=config.n)
        score = scored(reward, responses, config.missing_eos_penalty)
        scores.append(score.view(len(part), config.n))
        ended.append(responses.ended.view(len(part), config.n))
        texts += [responses.texts[i : i + config.n] for i in range(0, len(responses.texts), config.n)]
    return Scored(list(prompts), texts, torch.cat(scores), torch.cat(ended))


def best_of_n(
    policy: Policy, reward: RewardFn, prompts: Sequence[Prompt], config: BestOfNConfig, seed: int
) -> list[str]:
    """The text of the best of n responses to each of P prompts: a list of P.

    Raises DataError on a score that is not finite.
    """
    if not prompts:
        return []
    drawn = draw_scored(policy, reward, prompts, config=config, seed=seed)
    return [texts[i] for texts, i in zip(drawn.texts, best(drawn.scores).tolist(), strict=True)]
