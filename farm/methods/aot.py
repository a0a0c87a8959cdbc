"""AOT: preferences between distributions, by optimal transport.  Melnyk et al. 2024, arXiv 2406.05882.

    L(θ) = mean_i ℓ( a_(i) − b_(i) ),   ℓ(h) = −(1 − ε) log σ(β h) − ε log σ(−β h)
    paired:    a = log π_θ(y_w|x)/π_θ(y_l|x),     b = log π_ref(y_w|x)/π_ref(y_l|x)
    unpaired:  a = log π_θ(y_w|x)/π_ref(y_w|x),   b = log π_θ(y_l|x)/π_ref(y_l|x)

paper   code               differs from the paper
(i)     partners           ranks in a step, whatever its micro-batches and processes; TRL sorts a micro-batch
        decided            the side of a preference alone counts, and ties are left out: what is sorted over
                           pairs has no half pair
ε       label_smoothing    as in TRL
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import option
from farm.models.forward import autocast
from farm.models.ops import preference_loss
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair, decided
from farm.training.feed import PreparedFeed, pairs
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.pair_method import (
    BetaConfig,
    PairLogps,
    RatedPairs,
    ReferencedPairs,
    implicit_reward,
    pair_logps,
    pair_stats,
    rated_pairs,
    with_reference,
)
from farm.training.processes import Processes, at_rest


class AOTConfig(BetaConfig):
    """The paper's β; the rest as DPO's. Small steps are noise: the loss compares distributions."""

    beta: float = 0.01
    unpaired: bool = False
    """Compare chosen with rejected responses over all prompts, in place of policy with reference."""
    label_smoothing: float = option(0.0, at_least=0, below=0.5)
    """Assumed share of labels that are the wrong way round, ε."""


class Sides(NamedTuple):
    """The numbers a and b of pairs, in nats: (B,) each."""

    a: Tensor
    b: Tensor


class SortedPairs(NamedTuple):
    """Pairs with the numbers that have their ranks on the other side, without gradient: (B,) each."""

    referenced: ReferencedPairs
    partners: Sides  # b of a's rank, and a of b's rank

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return self.referenced.weight


def sides(rated: RatedPairs, config: AOTConfig) -> Sides:
    """a and b of each pair."""
    chosen, rejected, _ = rated
    if config.unpaired:
        return Sides(chosen.log_ratio, rejected.log_ratio)
    return Sides(chosen.logps - rejected.logps, torch.as_tensor(chosen.reference - rejected.reference))


def partners(values: Tensor, others: Tensor, processes: Processes) -> Tensor:
    """For each of `values` the one of `others` with its rank, among all processes: (n,), (n,) -> (n,)."""
    everyone, theirs = processes.gathered(values), processes.gathered(others)
    owner = processes.gathered(torch.full_like(values, processes.rank))
    found = torch.empty_like(everyone)
    found[everyone.argsort(stable=True)] = theirs.sort().values
    return found[owner == processes.rank]


def aot_loss(own: Sides, of_rank: Sides, config: AOTConfig) -> Tensor:
    """Terms of the loss whose mean over a step is L and whose gradient is L's: (B,). Melnyk et al. 2024.

    a_(i) − b_(i) is met twice, once with the gradient of a and once with that of b; half of it is taken off.
    """
    label = 1 - config.label_smoothing
    twice = preference_loss(config.beta * (own.a - of_rank.a), label)
    twice = twice + preference_loss(config.beta * (of_rank.b - own.b), label)
    return twice - 0.5 * twice.detach()


class AOT(Method[SortedPairs]):
    """Alignment by optimal transport (Melnyk et al. 2024)."""

    Config: ClassVar[type[AOTConfig]] = AOTConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ("reference",)

    def __init__(self, config: AOTConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config, self.processes = config, data.processes
        self.policy = self.trained = self.product = models.policy()
        self.reference = models.reference_logps()
        made = pairs(data.made(decided), self.policy.codec, config, self.policy.device)
        self.feed = PreparedFeed(made, self.sorted, together=True)

    def sorted(self, step: Sequence[PairBatch]) -> list[SortedPairs]:
        """The pairs of a step with the partners that their ranks give them, under the policy before it."""
        referenced = [with_reference(batch, self.reference) for batch in step]
        with torch.no_grad(), at_rest(self.trained), autocast(self.config):
            found = [
                sides(rated_pairs(pair_logps(self.policy, each.pairs), each), self.config)
                for each in referenced
            ]
        a, b = (torch.cat(side) for side in zip(*found, strict=True))
        counts = [len(each.a) for each in found]
        of_rank = zip(
            partners(a, b, self.processes).split(counts),
            partners(b, a, self.processes).split(counts),
            strict=True,
        )
        return [SortedPairs(each, Sides(*both)) for each, both in zip(referenced, of_rank, strict=True)]

    def loss(self, batch: SortedPairs) -> Loss:
        """The mean of the loss's terms over the B pairs of a batch."""
        rated = rated_pairs(pair_logps(self.policy, batch.referenced.pairs), batch.referenced)
        losses = aot_loss(sides(rated, self.config), batch.partners, self.config)
        rewards = (implicit_reward(side, self.config) for side in (rated.chosen, rated.rejected))
        return Loss(losses.mean(), pair_stats(rated, PairLogps(*rewards)))
