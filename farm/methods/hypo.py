"""HyPO: DPO on pairs at hand, held to the reference on fresh draws.  Song et al. 2024, arXiv 2406.01462.

    L(θ)  = L_DPO(θ) + λ KL(π_θ ‖ π_ref)
    ∇KL   = E Σ_i (Δ_i − b_i) ∇ log π_θ(y_i|x) / k,   y_1 … y_k ~ π_θ(·|x),   Δ = log π_θ(y|x)/π_ref(y|x)

paper    code                differs from the paper
L_DPO    dpo_loss            with all options of dpo
λ, k     config.kl, .draws   in nats of whole responses; the defaults are from memory, not checked
b_i      leave_one_out       the mean Δ of the other draws; 0 for a single draw
∇KL      kl_surrogate        Δ is held fixed. Its own gradient has mean 0, so a loss of Δ would hold nothing
x        the prompts of the step's pairs; the draws need no label
π_θ      temperature         of draws and of log π in the second term; the paper's is 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import option
from farm.methods.dpo import DPOConfig, dpo_loss
from farm.methods.rloo import leave_one_out
from farm.models.forward import autocast
from farm.models.ops import masked_sum
from farm.models.tokens import Tokens
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import NumberedFeed
from farm.training.method import DataKind, Loss, Method, Models, Need, OwnDraws
from farm.training.own_draws import drawn_beside
from farm.training.pair_method import PairMethod, PairTrainer, ReferencedPairs
from farm.training.rollout import DrawingConfig


class HyPOConfig(DPOConfig, DrawingConfig):
    """DPO's, with the reported weight and number of draws."""

    kl: float = option(1e-4, at_least=0)
    """Weight of the KL divergence of whole responses from the reference, in nats; 0 is dpo."""
    draws: int = option(2, at_least=1)
    """Responses drawn to the prompt of each pair to estimate the divergence; 1 has no baseline."""


class HybridPairs(NamedTuple):
    """Pairs at hand, and fresh responses to their prompts."""

    pairs: ReferencedPairs
    own: Tokens | None  # (B · draws, T), those of a pair together; None: the divergence has no weight
    reference: Tensor | None  # (B · draws,) their log π_ref

    @property
    def weight(self) -> Tensor:
        """Number of pairs."""
        return self.pairs.weight


def kl_surrogate(logps: Tensor, reference: Tensor, draws: int) -> Tensor:
    """Terms whose gradient has ∇ KL(π ‖ π_ref) as its mean over draws: (P · draws,). Not the KL itself.

    logps, reference: (P · draws,) log-probabilities of whole responses; those to one prompt stand together.
    """
    ratio = (logps - reference).detach()
    return (leave_one_out(ratio, draws) if draws > 1 else ratio) * logps


class HyPO(Method[HybridPairs]):
    """Hybrid preference optimisation (Song et al. 2024)."""

    Config: ClassVar[type[HyPOConfig]] = HyPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ("reference",)

    def __init__(self, config: HyPOConfig, data: Data[PreferencePair], models: Models) -> None:
        self.config, self.processes = config, data.processes
        self.dpo = PairMethod(config, PairTrainer(HyPOConfig, dpo_loss), data, models)
        self.policy = self.trained = self.product = self.dpo.policy
        self.reference = models.reference() if config.kl else None
        draws = OwnDraws(config.draws, share=1.0, beside=True) if config.kl else None
        self.feed = NumberedFeed(self.dpo.pairs, self.with_draws, draws)

    def with_draws(self, step: int | None, batches: Sequence[PairBatch]) -> list[HybridPairs]:
        """The batches of a step with fresh responses of the policy as it is now."""
        return [self.hybrid(step or 0, batch) for batch in self.dpo.with_reference(batches)]

    @torch.no_grad()
    def hybrid(self, step: int, batch: ReferencedPairs) -> HybridPairs:
        """A batch with fresh responses, and what the reference says of them."""
        config = self.config
        if self.reference is None:
            return HybridPairs(batch, None, None)
        tokens = batch.pairs.chosen
        own = drawn_beside(tokens, self.policy, config, self.processes, step=step, n=config.draws)
        with autocast(config):
            rated = self.reference(own, config.temperature)
        return HybridPairs(batch, own, masked_sum(rated, own.mask))

    def loss(self, batch: HybridPairs) -> Loss:
        """The mean loss over the B pairs of a batch."""
        config, found = self.config, self.dpo.loss(batch.pairs)
        if batch.own is None or batch.reference is None:
            return found
        logps = masked_sum(self.policy(batch.own, config.temperature), batch.own.mask)
        held = kl_surrogate(logps, batch.reference, config.draws).mean()
        kl = (logps - batch.reference).detach().mean()
        return Loss(found.loss + config.kl * held, {**found.stats, "objective/kl": kl})
