"""Judges as constraints: a rollout in which each response is permitted or not, beside its score.

Xu et al. 2024, arXiv 2409.20370: v(x, y) is 1 where every judge of the prompt accepts the response, else 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from farm.models.codec import collate
from farm.models.forward import autocast
from farm.models.ops import kl_k1, masked_sum
from farm.models.tokens import Prompt
from farm.training.batches import Rollout
from farm.training.clock import spent
from farm.training.data import Data, DataError, quote
from farm.training.dynamic_sampling import stacked_rows
from farm.training.judged_rollouts import rows_of
from farm.training.method import Models, PairJudge, RewardFn
from farm.training.on_policy import L, RolloutPlan, Rollouts, seed_of
from farm.training.processes import Processes, at_rest
from farm.training.rollout import Responses, RolloutConfig, finite_rewards, mean_over, rated, rollout_stats
from farm.training.rows import take
from farm.training.verdicts import judged_by_first

TIE = 0.5


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


class ComparedJudge(NamedTuple):
    """A constraint that a judge of pairs is: it accepts what it finds no worse than the prompt's baseline.

    judge: of a rollout, by its number. at_least: P(response preferred to the baseline) from which on it
    accepts; a response that is equal to the baseline has TIE. prompts: as of BoundedJudge.
    """

    judge: Callable[[int], PairJudge]
    at_least: float = 0.5
    prompts: frozenset[Prompt] | None = None

    def of_rollout(self, number: int) -> PairJudge:
        """The judge of a rollout. Of prompts that are not to be judged every response is preferred."""
        asked = self.judge(number)

        def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Tensor:
            rows = [i for i, prompt in enumerate(prompts) if self._concerns(prompt)]
            found = torch.ones(len(prompts), dtype=torch.float64)
            if rows:
                mine, theirs = [first[i] for i in rows], [second[i] for i in rows]
                found[rows] = asked([prompts[i] for i in rows], mine, theirs).double()
            return found

        return judge

    def accepts_baselines(self, prompts: Sequence[Prompt]) -> Tensor:
        """Whether the baseline of each prompt is accepted, which is its own equal: (B,) bool."""
        return torch.tensor([self.at_least <= TIE or not self._concerns(each) for each in prompts])

    def _concerns(self, prompt: Prompt) -> bool:
        return self.prompts is None or prompt in self.prompts


class ConstrainedRollouts(Rollouts[L]):
    """A feed of rollouts whose `passes` tells which responses every judge accepts."""

    _of_plan: tuple[RolloutPlan, Responses] | None = None  # the baselines of the latest rollout

    def reward_of(self, models: Models) -> RewardFn:
        """The reward; the judges are kept beside it."""
        self.constraints, self.compared = models.constraints(), models.compared_constraints()
        return models.reward()

    def held_out(self) -> Iterator[L]:
        """As of rollouts. Nothing where an annotator judges: its judgements would have to be paid for too."""
        return iter(()) if self.compared else super().held_out()

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout with the judges' verdicts."""
        rollout = super().drawn(plan)
        prompts = [prompt for prompt in plan.prompts for _ in range(self.config.n)]
        passes = self.permitted(prompts, self.texts(rollout.tokens))
        for each in self.compared:
            passes &= self._compared(plan, rollout, each.of_rollout(plan.number)) >= each.at_least
        return rollout._replace(passes=passes.to(rollout.score.device))

    def _compared(self, plan: RolloutPlan, rollout: Rollout, judge: PairJudge) -> Tensor:
        """P(response preferred to its baseline): (B,); NaN, which is no acceptance, without a judgement.

        Raises DataError where not one judgement came.
        """
        n = self.config.n
        places = torch.arange(len(plan.prompts)).repeat_interleave(n)
        baselines = rows_of(self.baselines(plan).tokens, places)
        said = judged_by_first(self, plan, rollout.tokens, baselines, judge=judge)
        (without,) = mean_over(self.processes, said.isnan())
        if without == 1:
            what = "not one response of a rollout got a judgement of its constraint"
            remedy = "`farm annotators NAME` tests how the annotator's replies are read"
            raise DataError(what, where=f"rollout {plan.number}", remedy=remedy)
        return said

    def baselines(self, plan: RolloutPlan) -> Responses:
        """The baseline of each prompt of this process, which is drawn once for a rollout."""
        if self._of_plan is None or self._of_plan[0] is not plan:
            self._of_plan = plan, self.new_baselines(plan)
        return self._of_plan[1]

    def new_baselines(self, plan: RolloutPlan) -> Responses:
        """A response of the reference: a function of the seed and the prompt, the same in the whole run."""
        return self.responses(plan._replace(seed=seed_of("baseline", self.config.seed, 0)), self.reference, 1)

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

    def __init__(self, config: RolloutConfig, data: Data[Prompt], *given: Any, **named: Any) -> None:
        """Raises DataError as `Draws` does, and where prompts lack a demonstration that others have."""
        self.shown = {each.prompt: each.output for each in reversed(data.demonstrations)}
        asked = set(data.train) if self.shown else set()
        if lacking := sorted(asked - self.shown.keys(), key=lambda prompt: prompt.instruction):
            what = f"{len(lacking)} of {len(asked)} prompts have no demonstration to be their baseline"
            remedy = "name a set whose demonstrations answer all, or leave --demonstrations out"
            raise DataError(what, where=quote(lacking[0]), remedy=remedy)
        super().__init__(config, data, *given, **named)

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
        said, temperature = self.baselines(plan), self.config.temperature
        passes = self.permitted(said.prompts, said.texts)
        for each in self.compared:
            passes &= each.accepts_baselines(said.prompts)
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
            passes=passes.to(logps.device),
        )

    def new_baselines(self, plan: RolloutPlan) -> Responses:
        """The demonstration of each prompt, where there are some; else what the reference says."""
        if not self.shown or plan.held_out:
            return super().new_baselines(plan)
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
    return masked_sum(kl_k1(rollout.logps, rollout.reference), rollout.tokens.mask)


def constraint_stats(rollout: Rollout, processes: Processes) -> dict[str, Tensor]:
    """Metrics of a rollout, with the share of responses that every judge accepts."""
    assert rollout.passes is not None
    (passed,) = mean_over(processes, rollout.passes)
    return rollout_stats(rollout, processes) | {"constraints/passed": passed}
