"""A rollout: responses drawn from a policy, with scores, values and log-probabilities of the other models.

A rollout is a function of (policy, prompts, decoding, seed), so a second draw gives the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farm.config import Decoding, TrainConfig, option
from farm.models.codec import Row, collate
from farm.models.ensemble import Ensemble
from farm.models.generation import Drawn, sample
from farm.models.mixture import Drawer
from farm.models.ops import kl_k1, masked_sum
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.clock import spent
from farm.training.data import DataError
from farm.training.method import PairJudge, RewardFn
from farm.training.processes import Processes, at_rest
from farm.training.rollout_server import RolloutServer, draws_of
from farm.training.rows import parts, take, widths

TOKENS_AT_A_TIME = 2**14  # rated without gradients in one pass; bounds memory, changes nothing else


class DrawingConfig(TrainConfig, Decoding):
    """Options shared by methods that draw responses while they train."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and a temperature of 0, with which nothing can be learnt."""
        cold = ["temperature must be above 0: a policy that always answers the same learns nothing"]
        return super().problems() + (cold if self.temperature == 0 else [])


class RolloutConfig(DrawingConfig):
    """Options shared by methods that learn from responses of the policy in training."""

    batch_size: int = 128
    """Prompts in a rollout, over all processes."""
    n: int = option(1, at_least=1)
    """Responses drawn for each prompt of a rollout."""
    rollout_epochs: int = option(1, at_least=1)
    """Passes over each rollout before the next is drawn."""
    minibatches: int = option(1, at_least=1)
    """Optimizer steps in each of those passes."""
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the score of a response that did not end within max_new_tokens."""

    @property
    def rollout_steps(self) -> int:
        """Optimizer steps from one rollout to the next."""
        return self.rollout_epochs * self.minibatches

    @property
    def kept(self) -> int:
        """Responses to each prompt that are learnt from: all that are drawn, unless a method chooses."""
        return self.n


class Responses(NamedTuple):
    """n responses to each prompt. Row i * n + k is the k-th response to prompt i."""

    prompts: list[Prompt]  # one for each row
    texts: list[str]  # without special tokens
    tokens: Tokens  # padded at the right
    logps: Tensor  # (B, T) at the temperature of the draw, 0 off the mask
    ended: Tensor  # (B,) bool: stopped with an end-of-sequence token


@spent("drawing")
def draw(
    policy: Drawer,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    seed: int,
    n: int = 1,
    given: Sequence[Sequence[int]] = (),
    server: RolloutServer | None = None,
) -> Responses:
    """n responses to each prompt, each a function of (policy, prompt, decoding, seed, k, given tokens).

    given: for each prompt, the tokens that its responses begin with; none by default. They belong to the
    response, so the mask is 1 on them. Their log-probabilities are 0, because they were not drawn. server:
    draws in place of this process, with the weights that it has; given tokens it cannot take. Raises
    ConfigError if a prompt, or the given tokens, leave no room for a response.
    """
    codec = policy.codec
    prompt_ids = [codec.prompt_ids(prompt) for prompt in prompts]
    if server is None:
        drawn = sample(policy, prompt_ids, decoding, seed=seed, n=n, given=given)
    else:
        assert isinstance(policy, Policy)
        drawn = draws_of(server, policy, prompt_ids, decoding, seed=seed, n=n)
    tokens = as_rows(policy, prompt_ids, drawn)
    flat = torch.tensor([logp for one in drawn for logp in one.logps], device=policy.device)
    return Responses(
        prompts=[prompt for prompt in prompts for _ in range(n)],
        texts=[codec.text(one.ids) for one in drawn],
        tokens=tokens,
        logps=torch.zeros(tokens.mask.shape, device=policy.device).masked_scatter(tokens.mask, flat),
        ended=torch.tensor([one.ended for one in drawn], device=policy.device),
    )


def as_rows(policy: Drawer, prompt_ids: Sequence[list[int]], drawn: Sequence[Drawn]) -> Tokens:
    """The responses to some prompts as rows of tokens, padded at the right; equally many to each prompt."""
    n = len(drawn) // len(prompt_ids)
    rows = [Row(prompt_ids[i // n], one.ids) for i, one in enumerate(drawn)]
    return collate(rows, policy.codec.pad_id, policy.device)


@torch.no_grad()
def rate_rollout(
    drawn: Responses,
    policy: Policy,
    reference: Policy | None,
    value: Scorer | None,
    reward: RewardFn,
    temperature: float,
    *,
    missing_eos_penalty: float = 0.0,
    rate_again: bool = False,
    processes: Processes | None = None,
    served: bool = False,
) -> Rollout:
    """The responses with log-probabilities, reference log-probabilities, values and scores.

    All log-probabilities are at the temperature of the draw. Those of the policy come from the draw itself.
    rate_again: take them from a second pass, because half precision rounds differently in the steps of a
    draw. Without a reference there are no ref_logps. Without a value model the values are 0. processes: those
    that do the same with other prompts at the same time. served: a server drew; its log-probabilities are
    kept beside those of the policy, which come from a second pass then. Raises DataError on a score that is
    not finite, of any process, and ModelError on such a logit.
    """
    tokens, logps, ref_logps = drawn.tokens, drawn.logps, None
    processes = processes or Processes()
    if rate_again or served:
        with at_rest(policy), processes.together():
            logps = rated(lambda part: policy(part, temperature), tokens)
    if reference is not None:
        ref_logps = rated(lambda part: reference(part, temperature), tokens)
    values = torch.zeros_like(logps)
    if value is not None:
        with at_rest(value):
            values = rated(value.values, tokens)
    apart: list[Tensor] = []
    with processes.together():
        score = scored(noting(reward, apart), drawn, missing_eos_penalty)
    return Rollout(
        tokens=tokens,
        logps=logps,
        ref_logps=ref_logps,
        values=values,
        score=score,
        ended=drawn.ended,
        disagreement=apart[0].to(score) if apart else None,
        sampler_logps=drawn.logps if served else None,
    )


def noting(reward: RewardFn, apart: list[Tensor]) -> RewardFn:
    """The same reward. Where it is an ensemble's, the disagreement of each call is appended: (B,)."""
    if not isinstance(reward, Ensemble):
        return reward
    ensemble = reward

    def rate(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        found = ensemble.opinions(prompts, responses)
        apart.append(found.disagreement)
        return found.score

    return rate


@spent("judging")
def scored(reward: RewardFn, drawn: Responses, missing_eos_penalty: float) -> Tensor:
    """The reward of each response, minus the penalty where it was cut: (B,).

    Raises DataError on a reward that is not finite.
    """
    rewards = finite_rewards(reward, drawn.prompts, drawn.texts).to(drawn.logps)
    return rewards - missing_eos_penalty * ~drawn.ended


def finite_rewards(reward: RewardFn, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
    """The reward of each of B responses: (B,). Raises DataError on one that is not finite."""
    rewards = reward(prompts, texts)
    if not rewards.isfinite().all():
        wrong = int(rewards.isfinite().int().argmin())
        what = f"the reward of a response of {len(texts[wrong])} characters is {rewards[wrong].item()}"
        beyond = rewards[wrong].isnan()
        remedy = "lower max_new_tokens, or use a reward model with a longer context"
        remedy = remedy if beyond else "use another checkpoint of the reward model: its weights overflow"
        raise DataError(what, where=f"instruction {prompts[wrong].instruction[:60]!r}", remedy=remedy)
    return rewards


def by_scores(reward: RewardFn) -> PairJudge:
    """The judge that a reward model is: P(first preferred) = σ(score of first − score of second)."""

    def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
        scores = finite_rewards(reward, [*prompts, *prompts], [*first, *second]).double()
        return (scores[: len(first)] - scores[len(first) :]).sigmoid()

    return judge


@spent("rating")
def rated(rate: Callable[[Tokens], Tensor], tokens: Tokens, budget: int = TOKENS_AT_A_TIME) -> Tensor:
    """Rate every token with `rate`: Tokens of (B, T) -> (B, T). Rows of similar length share a pass.

    budget: tokens of a pass at most, padding included.
    """
    out = torch.zeros(tokens.mask.shape, device=tokens.ids.device)
    for rows in parts(widths(tokens), None, budget):
        said = rate(take(tokens, rows))
        out[rows, : said.shape[1]] = said.to(out)
    return out


def rollout_stats(rollout: Rollout, processes: Processes) -> dict[str, Tensor]:
    """Metrics of a rollout: means over the responses of all processes, each a scalar.

    objective/kl, where there is a reference, estimates KL(π || π_ref) of whole responses, objective/entropy
    the entropy of π over them. Both are sums over the tokens drawn, in nats. objective/disagreement is among
    the members of an ensemble.
    """
    mask = rollout.tokens.mask
    per_row = {
        "objective/scores": rollout.score,
        "objective/entropy": -masked_sum(rollout.logps, mask),
        "completions/mean_length": mask.sum(-1),
        "completions/ended": rollout.ended,
    }
    if rollout.ref_logps is not None:
        per_row["objective/kl"] = masked_sum(kl_k1(rollout.logps, rollout.ref_logps), mask)
    if rollout.disagreement is not None:
        per_row["objective/disagreement"] = rollout.disagreement
    return dict(zip(per_row, mean_over(processes, *per_row.values()), strict=True))


def mean_over(processes: Processes, *values: Tensor) -> list[Tensor]:
    """The mean of each tensor of (B,) over the rows of all processes."""
    rows = torch.tensor(values[0].shape[0], dtype=torch.double, device=values[0].device)
    sums = torch.stack([*(value.double().sum() for value in values), rows])
    sums = processes.sum(sums)
    return list(sums[:-1] / sums[-1])
