"""Judges as constraints: a rollout in which each response is permitted or not, beside its score.

Xu et al. 2024, arXiv 2409.20370: v(x, y) is 1 where every judge of the prompt accepts the response, else 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farm.models.codec import collate
from farm.models.forward import autocast
from farm.models.ops import kl_k1, masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.clock import spent
from farm.training.data import Data, DataError, quote
from farm.training.dynamic_sampling import stacked_rows
from farm.training.method import Models, RewardFn
from farm.training.on_policy import L, RolloutPlan, Rollouts, seed_of
from farm.training.processes import Processes, at_rest
from farm.training.rollout import Responses, RolloutConfig, finite_rewards, mean_over, rated, rollout_stats
from farm.training.rows import take


class BoundedJudge(NamedTuple):
    """A constraint: a judge, and the score from which on it accepts a response.

    prompts: those whose responses it judges; None: all.
    """

    judge: RewardFn
    at_least: float = 0.5
    prompts: frozenset[Prompt] | None = None

    def accepts(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
        """Whether each response is accepted: (B,) bool. What is not to be judged is accepted.

        Raises DataError on a score that is not finite.
        """
        rows = [i for i, prompt in enumerate(prompts) if self.prompts is None or prompt in self.prompts]
        found = torch.ones(len(prompts), dtype=torch.bool)
        if rows:
            scores = finite_rewards(self.judge, [prompts[i] for i in rows], [responses[i] for i in rows])
            found[rows] = scores.cpu() >= self.at_least
        return found


class ConstrainedRollouts(Rollouts[L]):
    """A feed of rollouts whose `passes` tells which responses every judge accepts."""

    def reward_of(self, models: Models) -> RewardFn:
        """The reward; the judges are kept beside it."""
        self.constraints = models.constraints()
        return models.reward()

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout with the judges' verdicts."""
        rollout = super().drawn(plan)
        prompts = [prompt for prompt in plan.prompts for _ in range(self.config.n)]
        passes = self.permitted(prompts, self.texts(rollout.tokens))
        return rollout._replace(passes=passes.to(rollout.score.device))

    @spent("judging")
    def permitted(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        """Whether every judge accepts a response: (B,) bool. No judge: every one is permitted."""
        found = torch.ones(len(prompts), dtype=torch.bool)
        with autocast(self.config), self.processes.together():
            for each in self.constraints:
                found &= each.accepts(prompts, texts)
        return found


class CalibratedRollouts(ConstrainedRollouts[L]):
    """The same, in which the n responses to a prompt are followed by its baseline: n + 1 rows a prompt.

    A baseline is the prompt's first demonstration, where demonstrations are named. Else, and for held-out
    prompts, the reference draws it: a function of the seed and the prompt, so it stays for the whole run.
    """

    def __init__(
        self,
        config: RolloutConfig,
        data: Data[Prompt],
        models: Models,
        policy: Policy,
        learn: Callable[[RolloutPlan], L],
    ) -> None:
        """Raises DataError as `Draws` does, and where prompts lack a demonstration that others have."""
        self.shown = {each.prompt: each.output for each in reversed(data.demonstrations)}
        asked = set(data.train) if self.shown else set()
        if lacking := sorted(asked - self.shown.keys(), key=lambda prompt: prompt.instruction):
            what = f"{len(lacking)} of {len(asked)} prompts have no demonstration to be their baseline"
            remedy = "name a set whose demonstrations answer all, or leave --demonstrations out"
            raise DataError(what, where=quote(lacking[0]), remedy=remedy)
        super().__init__(config, data, models, policy=policy, learn=learn)

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout of n + 1 rows for each prompt: its responses, then its baseline."""
        own, baseline, n = super().drawn(plan), self._baseline(plan), self.config.n
        if own.disagreement is not None:
            baseline = baseline._replace(disagreement=torch.zeros_like(baseline.score))
        if own.sampler_logps is not None:
            baseline = baseline._replace(sampler_logps=baseline.logps)
        both = stacked_rows([own, baseline])
        rows = torch.arange(len(own.score)).view(-1, n)
        last = len(own.score) + torch.arange(len(rows))
        return take(both, torch.cat([rows, last[:, None]], 1).flatten())

    @torch.no_grad()
    def _baseline(self, plan: RolloutPlan) -> Rollout:
        """The baseline of each prompt, with what the other models and the judges say of it."""
        said, temperature = self._said(plan), self.config.temperature
        with at_rest(self.policy), autocast(self.config):
            logps = rated(lambda part: self.policy(part, temperature), said.tokens)
            ref_logps = rated(lambda part: self.reference(part, temperature), said.tokens)
        return Rollout(
            tokens=said.tokens,
            logps=logps,
            ref_logps=ref_logps,
            values=torch.zeros_like(logps),
            score=self.scores(said),
            ended=said.ended,
            passes=self.permitted(said.prompts, said.texts).to(logps.device),
        )

    def _said(self, plan: RolloutPlan) -> Responses:
        if not self.shown or plan.held_out:
            apart = plan._replace(seed=seed_of("baseline", self.config.seed, 0))
            return self.responses(apart, self.reference, 1)
        codec, texts = self.policy.codec, [self.shown[prompt] for prompt in plan.prompts]
        rows = [codec.row(prompt, text) for prompt, text in zip(plan.prompts, texts, strict=True)]
        tokens = collate(rows, codec.pad_id, self.policy.device)
        ended = torch.ones(len(rows), dtype=torch.bool, device=self.policy.device)
        logps = torch.zeros_like(tokens.ids, dtype=torch.float)
        return Responses(prompts=plan.prompts, texts=texts, tokens=tokens, logps=logps, ended=ended)


class CalibratedRewards(NamedTuple):
    """The responses of a rollout with calibrated rewards: B = P · n rows, those of a prompt together."""

    own: Rollout
    reward: Tensor  # (B,) R_c = σ( r(x, y) − r(x, ȳ) ), in [0, 1]
    kl: Tensor  # (B,) log π(y|x)/π_ref(y|x) of the policy that drew, in nats


def calibrated(rollout: Rollout, n: int) -> CalibratedRewards:
    """The responses of a rollout of n + 1 rows a prompt, without baselines. Xu et al. 2024."""
    rows = torch.arange(len(rollout.score)).view(-1, n + 1)
    own, last = take(rollout, rows[:, :n].flatten()), rows[:, n:].expand(-1, n).flatten()
    return CalibratedRewards(own, (own.score - rollout.score[last]).sigmoid(), log_ratio(own))


def log_ratio(rollout: Rollout) -> Tensor:
    """log π(y|x)/π_ref(y|x) of the policy that drew: (B,), in nats, over the response's tokens."""
    return masked_sum(kl_k1(rollout.logps, rollout.ref_logps), rollout.tokens.mask)


def constraint_stats(rollout: Rollout, processes: Processes) -> dict[str, Tensor]:
    """Metrics of a rollout, with the share of responses that every judge accepts."""
    assert rollout.passes is not None
    (passed,) = mean_over(processes, rollout.passes)
    return rollout_stats(rollout, processes) | {"constraints/passed": passed}
