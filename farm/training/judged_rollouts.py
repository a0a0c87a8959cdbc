"""Feeds of rollouts that a judge of pairs scores, in place of a reward model.

While the judge is asked, the other models rate the responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from farm.config import option
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.data import DataError
from farm.training.method import Models, RewardFn
from farm.training.on_policy import L, RolloutPlan, Rollouts, seed_of
from farm.training.rollout import RolloutConfig
from farm.training.rows import gathered, take
from farm.training.verdicts import beside, judged_by_first, penalised


class JudgedRollouts(Rollouts[L]):
    """A feed of rollouts without a reward. A response without any judgement has no token to learn from."""

    def reward_of(self, models: Models) -> RewardFn:
        """Nothing: all scores are 0 until the judge has spoken."""
        self.judge = models.judge
        return _no_reward

    def batches(self, start: int) -> Iterator[list[L]]:
        """The batches of each optimizer step, without responses that no judgement came of.

        Raises DataError where fewer responses are left than there are minibatches.
        """
        for plan in self.plans(start):
            whole = gathered(self.learn(plan), self.processes, self.config.kept)
            known = whole.tokens.mask.any(-1).nonzero()[:, 0]
            if len(known) < self.config.minibatches * self.processes.size:
                what = f"{len(known)} of the {len(whole.tokens.ids)} responses of a rollout got a judgement"
                remedy = "`farm annotators NAME` tests how the annotator's replies are read"
                raise DataError(what, where=f"rollout {plan.number}", remedy=remedy)
            yield from self.dealt(plan, take(whole, known))

    def held_out(self) -> Iterator[L]:
        """Nothing: judgements of held-out responses would have to be paid for too."""
        return iter(())

    def asked(self, plan: RolloutPlan, first: Tokens, second: Tokens, cut: Tensor) -> Tensor:
        """P(first preferred) of this process's pairs: (B,), NaN where there is no judgement.

        first, second: equally many rows to each prompt, those of a prompt together. cut: (B,) 1 where the
        first alone was cut, −1 where the second alone was, else 0.
        """
        said = judged_by_first(self, plan, first, second, judge=self.judge(plan.number))
        return penalised(said.to(cut), cut, self.config.missing_eos_penalty)


class GroupVerdicts(JudgedRollouts[L]):
    """A feed in which all pairs of the n responses to a prompt are judged: n (n − 1)/2 judgements."""

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout with `preferences`. Its score is the mean of a response's preferences over the others."""
        responses, n = self.fresh(plan), self.config.n
        one, other = torch.triu_indices(n, n, 1)
        start = torch.arange(0, len(responses.ended), n)[:, None]
        rows, others = (start + one).flatten(), (start + other).flatten()
        tokens, ended = responses.tokens, responses.ended.to(responses.logps)
        first, second = rows_of(tokens, rows), rows_of(tokens, others)
        with beside(partial(self.rated, plan, responses), self.processes) as rating:
            said = self.asked(plan, first, second, ended[others] - ended[rows]).view(-1, len(one))
        preferences = said.new_full((len(start), n, n), torch.nan)
        preferences[:, one, other], preferences[:, other, one] = said, 1 - said
        return with_verdicts(rating.result(), preferences.view(-1, n))


class AnchoredConfig(RolloutConfig):
    """Each prompt has anchors that its responses are compared with."""

    anchors: int = option(1, at_least=1)
    """Responses of the reference to each prompt that every fresh one is compared with: as many judgements."""


class AnchoredRollouts(JudgedRollouts[L]):
    """A feed in which each response is compared with the anchors of its prompt, drawn from the reference.

    An anchor is a function of the seed, the prompt and its number alone, so it stays for the whole run.
    """

    config: AnchoredConfig

    def drawn(self, plan: RolloutPlan) -> Rollout:
        """A rollout with `preferences` over the anchors, (B, anchors). Its score is their mean."""
        responses, count = self.fresh(plan), self.config.anchors
        apart = plan._replace(seed=seed_of("anchor", self.config.seed, 0))
        anchors, n = self.responses(apart, self.reference, count), self.config.n
        row = torch.arange(len(responses.ended))
        rows = row.repeat_interleave(count)
        others = ((row // n * count)[:, None] + torch.arange(count)).flatten()
        first, second = rows_of(responses.tokens, rows), rows_of(anchors.tokens, others)
        cut = anchors.ended[others].to(responses.logps) - responses.ended[rows].to(responses.logps)
        with beside(partial(self.rated, plan, responses), self.processes) as rating:
            said = self.asked(plan, first, second, cut)
        return with_verdicts(rating.result(), said.view(-1, count))


def with_verdicts(rollout: Rollout, preferences: Tensor) -> Rollout:
    """A rollout with what the judge said of each response: (B, K) in [0, 1], NaN where it said nothing.

    Its score is the mean of what was said. A response of which nothing was said loses its tokens.
    """
    known = ~preferences.isnan()
    score = preferences.nan_to_num().sum(-1) / known.sum(-1).clamp(min=1)
    mask = rollout.tokens.mask & known.any(-1, keepdim=True)
    tokens = rollout.tokens._replace(mask=mask)
    return rollout._replace(tokens=tokens, score=score.to(rollout.score), preferences=preferences)


def rows_of(tokens: Tokens, rows: Tensor) -> Tokens:
    """Some rows at their whole width, some of them more than once."""
    return Tokens(tokens.ids[rows], tokens.mask[rows])


def _no_reward(prompts: Sequence[Prompt], responses: Sequence[str]) -> Tensor:
    return torch.zeros(len(responses))
