"""Methods made of one function: a loss on pairs of fresh responses, of which a judge prefers one.

The policy draws the first response of a pair. The second is drawn by it too, or by a rival. The judge is a
callable that is asked once for each rollout, by the first process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from farm.config import option
from farm.models.forward import autocast
from farm.models.mixture import Drawer
from farm.models.ops import kl_k1, masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import stacked
from farm.training.data import Data, DataError
from farm.training.method import DataKind, Loss, Method, Models, Need, Stats
from farm.training.on_policy import Draws, RolloutPlan, seed_of
from farm.training.pair_method import PairLogps, RatedPairs, RatedResponses, implicit_reward, pair_stats
from farm.training.processes import at_rest
from farm.training.rollout import Responses, RolloutConfig, mean_over, rated
from farm.training.rows import gathered, take
from farm.training.verdicts import beside, judged_by_first, penalised


class FreshConfig(RolloutConfig):
    """Rollouts of 128 pairs, one step on each."""

    n: int = option(1, at_least=1)
    """Pairs of responses drawn for each prompt of a rollout."""
    missing_eos_penalty: float = option(0.0, at_least=0)
    """Taken off the log-odds of a response that was cut; off its score, where a reward model judges."""
    beta: float = option(0.1, above=0)
    """How strongly the policy is held to the reference."""


C = TypeVar("C", bound=FreshConfig)
C_contra = TypeVar("C_contra", bound=FreshConfig, contravariant=True)


class FreshPairs(NamedTuple):
    """Two fresh responses to one prompt each, with the judgement of each pair."""

    first: Tokens  # (B, T), drawn by the policy
    second: Tokens  # (B, T), drawn by the policy or its rival
    ref_first: Tensor  # (B,) log π_ref of the whole response, at the temperature of the draw
    ref_second: Tensor  # (B,)
    preference: Tensor  # (B,) P(first preferred); a tie is ½, NaN is no judgement
    stats: Stats  # of the whole rollout that the pairs come from

    @property
    def tokens(self) -> Tokens:
        """The rows of the first, with the mask of both: what `rows` cuts by."""
        return Tokens(self.first.ids, self.first.mask | self.second.mask)

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return torch.tensor(self.preference.shape[0])


class FreshLoss(Protocol[C_contra]):
    """Loss of each pair: (B,). pairs: the first response as the chosen one, the second as the rejected one.

    pairs.preference: P(first preferred), (B,).
    """

    def __call__(self, pairs: RatedPairs, config: C_contra, /) -> Tensor: ...


class SecondDrawer(Protocol[C_contra]):
    """Gives the model that draws the second response."""

    def __call__(self, policy: Policy, reference: Policy, config: C_contra, /) -> Drawer: ...


class PairFeed(Protocol[C_contra]):
    """Makes the feed of a method."""

    def __call__(
        self, config: C_contra, data: Data[Prompt], models: Models, policy: Policy, rival: Drawer | None
    ) -> Draws[FreshPairs]: ...


@dataclass(frozen=True)
class FreshTrainer(Generic[C]):
    """Trainer of a method made of a loss on fresh pairs: `FreshTrainer(OnlineDPOConfig, online_dpo_loss)`.

    rival: None: the policy draws both responses. feed: None: a judge compares the pairs. rates_both: False
    where the loss needs no log-probability of the second response under the policy; it is NaN then.
    """

    Config: type[C]
    loss: FreshLoss[C]
    rival: SecondDrawer[C] | None = None
    rates_both: bool = True
    feed: PairFeed[C] | None = None
    data_kind: DataKind = "instructions"
    needs: tuple[Need, ...] = ("reference", "judge")

    def __call__(self, config: C, data: Data[Prompt], models: Models) -> FreshMethod[C]:
        return FreshMethod(config, self, data, models)


class FreshMethod(Method[FreshPairs], Generic[C]):
    """The method in a run: pairs are drawn, rated by the reference, judged, and learnt from."""

    def __init__(self, config: C, trainer: FreshTrainer[C], data: Data[Prompt], models: Models) -> None:
        self.config, self._trainer = config, trainer
        self.policy = self.trained = self.product = models.policy()
        reference = models.reference()
        rival = trainer.rival(self.policy, reference, config) if trainer.rival else None
        self.feed = (trainer.feed or JudgedDraws)(config, data, models, policy=self.policy, rival=rival)

    def loss(self, batch: FreshPairs) -> Loss:
        """The mean loss over the B pairs of a batch."""
        both, temperature = self._trainer.rates_both, self.config.temperature
        tokens = stacked(batch.first, batch.second) if both else batch.first
        logps = masked_sum(self.policy(tokens, temperature), tokens.mask)
        first, second = logps.chunk(2) if both else (logps, torch.full_like(logps, torch.nan))
        pairs = RatedPairs(
            RatedResponses(first, batch.ref_first, batch.first.mask.sum(-1)),
            RatedResponses(second, batch.ref_second, batch.second.mask.sum(-1)),
            batch.preference,
        )
        losses = self._trainer.loss(pairs, self.config)
        return Loss(losses.mean(), {**batch.stats, **(self._stats(pairs) if both else {})})

    def _stats(self, pairs: RatedPairs) -> Stats:
        """As of methods that learn from pairs at hand: the preferred response is the chosen one."""
        turned = preferred_first(pairs)
        rewards = [implicit_reward(side, self.config) for side in (turned.chosen, turned.rejected)]
        return pair_stats(turned, PairLogps(*rewards))


class DrawnPairs(NamedTuple):
    """n pairs of responses to each prompt, and where they stand: rows a of one with rows b of the other."""

    one: Responses  # drawn by the policy
    other: Responses  # drawn by the policy or its rival; the very same where the policy drew both
    a: slice
    b: slice

    @property
    def first(self) -> Tokens:
        """The first response of each pair: Tokens of (B, T)."""
        return Tokens(self.one.tokens.ids[self.a], self.one.tokens.mask[self.a])

    @property
    def second(self) -> Tokens:
        """The second response of each pair: Tokens of (B, T)."""
        return Tokens(self.other.tokens.ids[self.b], self.other.tokens.mask[self.b])


class JudgedDraws(Draws[FreshPairs]):
    """A feed of fresh pairs: drawn and rated by every process, judged as a whole by the first."""

    def __init__(
        self, config: FreshConfig, data: Data[Prompt], models: Models, policy: Policy, rival: Drawer | None
    ) -> None:
        super().__init__(config, data, policy, self.judged)
        self.rival, self.reference, self.judge = rival, models.reference(), models.judge

    def batches(self, start: int) -> Iterator[list[FreshPairs]]:
        """The batches of each optimizer step, from step `start` on."""
        for plan in self.plans(start):
            whole = gathered(self.judged(plan), self.processes, self.config.n)
            yield from self.dealt(plan, self._known(plan, whole))

    def held_out(self) -> Iterator[FreshPairs]:
        """Nothing: judgements of held-out responses would have to be paid for too."""
        return iter(())

    def drawn(self, plan: RolloutPlan) -> DrawnPairs:
        """n pairs of responses to each prompt of this process."""
        n = self.config.n
        if self.rival is None:
            both = self.responses(plan, self.policy, 2 * n)
            return DrawnPairs(both, both, slice(0, None, 2), slice(1, None, 2))
        first = self.responses(plan, self.policy, n)
        apart = plan._replace(seed=seed_of("rival", plan.seed, 0))  # else both draw alike
        with at_rest(self.policy):  # a mixture draws from it too
            second = self.responses(apart, self.rival, n)
        return DrawnPairs(first, second, slice(None), slice(None))

    def judged(self, plan: RolloutPlan) -> FreshPairs:
        """The pairs of this process. While the judge is asked about them, the reference rates them."""
        drawn = self.drawn(plan)
        first, second = drawn.first, drawn.second
        with beside(partial(self._both_rated, drawn), self.processes) as rating:
            said = judged_by_first(self, plan, first, second, judge=self.judge(plan.number))
        own, other = rating.result()
        cut = drawn.other.ended[drawn.b].float() - drawn.one.ended[drawn.a].float()
        return _of_one_width(
            FreshPairs(
                first=first,
                second=second,
                ref_first=own[drawn.a],
                ref_second=other[drawn.b],
                preference=penalised(said.to(cut), cut, self.config.missing_eos_penalty),
                stats=self._drawn_stats(drawn.one, own),
            )
        )

    def _known(self, plan: RolloutPlan, pairs: FreshPairs) -> FreshPairs:
        """The pairs of all processes that a judgement came of. Raises DataError where there is none."""
        preference = pairs.preference
        if not (known := ~preference.isnan()).any():
            what = f"not one of the {len(preference)} fresh pairs of a rollout got a judgement"
            remedy = "`farm annotators NAME` tests how the annotator's replies are read"
            raise DataError(what, where=f"rollout {plan.number}", remedy=remedy)
        stats = {
            **pairs.stats,
            "judging/first_preferred": preference[known].mean(),
            "judging/ties": (preference[known] == 0.5).double().mean(),
            "judging/without_judgement": 1 - known.double().mean(),
        }
        return take(pairs._replace(stats=stats), known.nonzero()[:, 0])

    def _both_rated(self, drawn: DrawnPairs) -> tuple[Tensor, Tensor]:
        """log π_ref of each response of one, and of the other."""
        own = self._rated(drawn.one)
        return own, own if drawn.other is drawn.one else self._rated(drawn.other)

    def _rated(self, drawn: Responses) -> Tensor:
        """log π_ref of each response: (B,), at the temperature of the draw."""
        temperature = self.config.temperature
        with torch.no_grad(), autocast(self.config):
            found = rated(lambda part: self.reference(part, temperature), drawn.tokens)
        return masked_sum(found, drawn.tokens.mask)

    def _drawn_stats(self, drawn: Responses, reference: Tensor) -> Stats:
        """Means over the policy's responses of all processes; KL and entropy in nats for whole responses."""
        logps = masked_sum(drawn.logps, drawn.tokens.mask)
        per_row = {
            "objective/kl": kl_k1(logps, reference),
            "objective/entropy": -logps,
            "completions/mean_length": drawn.tokens.mask.sum(-1),
            "completions/ended": drawn.ended,
        }
        return dict(zip(per_row, mean_over(self.processes, *per_row.values()), strict=True))


def hardened(preference: Tensor | float) -> Tensor:
    """The side that is likelier preferred, for sure: 1 or 0; a tie stays ½."""
    preference = torch.as_tensor(preference)
    return torch.where(preference == 0.5, preference, (preference > 0.5).to(preference))


def preferred_first(pairs: RatedPairs) -> RatedPairs:
    """The pairs with the preferred response as the chosen one; a tie stays as it is."""
    p = torch.as_tensor(pairs.preference)
    turn = p < 0.5

    def either(one: Tensor | float, other: Tensor | float) -> Tensor:
        return torch.where(turn, torch.as_tensor(other), torch.as_tensor(one))

    chosen, rejected = pairs.chosen, pairs.rejected
    return RatedPairs(
        RatedResponses(*map(either, chosen, rejected)),
        RatedResponses(*map(either, rejected, chosen)),
        torch.where(turn, 1 - p, p),
    )


def _of_one_width(pairs: FreshPairs) -> FreshPairs:
    """The pairs with both sides filled up to the same width."""
    both = stacked(pairs.first, pairs.second)
    rows = len(pairs.first.ids)
    sides = (Tokens(both.ids[part], both.mask[part]) for part in (slice(rows), slice(rows, None)))
    first, second = sides
    return pairs._replace(first=first, second=second)
