"""TR-DPO: DPO whose reference follows the policy.  Gorbatovski et al. 2024, arXiv 2404.09656.

    L(θ) = −E log σ( β log π_θ(y_w|x)/π_ref(y_w|x) − β log π_θ(y_l|x)/π_ref(y_l|x) )
    π_ref ← α π_θ + (1 − α) π_ref   after every τ steps, weight by weight

paper    code              differs from the paper
α        config.mixing     1 is the hard update: the reference becomes the policy
τ        config.sync_every a run that is too short for one update is dpo, and says so
π_ref    self.moving       starts as the policy; it is part of a checkpoint, so that a resumed run has it too
L        dpo_loss          with all options of dpo
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from farm.config import option
from farm.methods.dpo import DPOConfig, dpo_loss
from farm.models.forward import autocast
from farm.models.ops import masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.feed import NumberedFeed
from farm.training.method import DataKind, Models, Need
from farm.training.pair_method import PairMethod, PairTrainer, ReferencedPairs

logger = logging.getLogger(__name__)


class TRDPOConfig(DPOConfig):
    """The paper's α, TRL's τ, and DPO's options."""

    mixing: float = option(0.6, above=0, at_most=1)
    """Weight of the policy in the reference after an update, α. 1: the reference becomes the policy."""
    sync_every: int = option(512, at_least=1)
    """Optimizer steps from one update of the reference to the next, τ."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and FSDP, which would divide one of the two models alone."""
        sharded = ["distribute must be ddp: the moving reference is not divided"]
        return super().problems() + (sharded if self.distribute == "fsdp" else [])


class WithReference(nn.Module):
    """The policy, and the weights of the reference that follows it: all that changes in training.

    The reference is no part of it, so no optimizer sees it. Its weights are, as buffers that are the same
    memory, so that a checkpoint has them. Weights that are not trained are those of the policy for ever.
    """

    def __init__(self, policy: Policy, reference: Policy) -> None:
        super().__init__()
        self.policy = policy
        for name, weight in reference.named_parameters():
            if weight.requires_grad:
                self.register_buffer(f"reference/{name.replace('.', '/')}", weight.data)
        reference.requires_grad_(False)

    @torch.no_grad()
    def update(self, mixing: float) -> None:
        """π_ref ← α π_θ + (1 − α) π_ref, of every weight that is trained."""
        weights = (weight for weight in self.policy.parameters() if weight.requires_grad)
        for buffer, weight in zip(self.buffers(recurse=False), weights, strict=True):
            buffer.lerp_(weight, mixing)


class TRDPO(PairMethod[TRDPOConfig]):
    """Trust-region direct preference optimisation (Gorbatovski et al. 2024)."""

    Config: ClassVar[type[TRDPOConfig]] = TRDPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ()

    def __init__(self, config: TRDPOConfig, data: Data[PreferencePair], models: Models) -> None:
        super().__init__(config, PairTrainer(TRDPOConfig, dpo_loss, needs=()), data, models)
        self.moving = models.policy()
        self.trained = self.both = WithReference(self.policy, self.moving)
        self.reference = self.rated
        self.feed = NumberedFeed(self.pairs, self.after_update)
        if self.feed.steps <= config.sync_every:
            said = "the run has %d steps and sync_every is %d: the reference never moves, so this is dpo"
            logger.warning(said, self.feed.steps, config.sync_every)

    def after_update(self, step: int | None, batches: Sequence[PairBatch]) -> list[ReferencedPairs]:
        """The batches of a step, counted from 0, under a reference that is updated first if it is due."""
        if step and step % self.config.sync_every == 0:
            self.both.update(self.config.mixing)
        return self.with_reference(batches)

    @torch.no_grad()
    def rated(self, tokens: Tokens) -> Tensor:
        """Log-probabilities of responses under the reference as it is now: (B,)."""
        with autocast(self.config):
            return masked_sum(self.moving(tokens), tokens.mask)
