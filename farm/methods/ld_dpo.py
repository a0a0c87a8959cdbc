"""LD-DPO: DPO that feels length less.  Liu et al. 2024, arXiv 2409.06411.

    L(θ) = −E log σ( β [ λ_θ(y_w) − λ_ref(y_w) ] − β [ λ_θ(y_l) − λ_ref(y_l) ] )
    λ(y) = Σ_(t ≤ n) log π(y_t|x, y_<t) + α Σ_(t > n) log π(y_t|x, y_<t),   n = min(|y_w|, |y_l|)

paper   code               differs from the paper
α       config.alpha       1 is DPO, 0 cuts the longer response to the length of the shorter one
λ_ref   with_reference     discounted as λ_θ is; the reference rates whole and cut rows once, and keeps both
E       pairs.preference   a preference p < 1 weighs both directions; a tie is ½
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from farm.config import option
from farm.models.ops import masked_sum, preference_loss
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.method import DataKind, Models, Need
from farm.training.pair_method import (
    BetaConfig,
    PairLogps,
    PairMethod,
    PairTrainer,
    RatedPairs,
    ReferencedPairs,
    with_reference,
)


class LDDPOConfig(BetaConfig):
    """The paper's α; the rest as DPO's."""

    alpha: float = option(0.5, at_least=0, at_most=1)
    """Weight of the tokens beyond the length of the shorter response."""


def ld_dpo_loss(pairs: RatedPairs, config: LDDPOConfig) -> Tensor:
    """Loss of each pair, whose log-probabilities are λ: (B,)."""
    return preference_loss(config.beta * pairs.gap, pairs.preference)


def common_part(batch: PairBatch) -> PairBatch:
    """The pairs with both responses cut to the length of the shorter one, in their masks alone."""
    counts = [side.mask.cumsum(-1) for side in batch[:2]]
    shorter = counts[0][:, -1:].minimum(counts[1][:, -1:])
    chosen, rejected = (
        side._replace(mask=side.mask & (count <= shorter))
        for side, count in zip(batch[:2], counts, strict=True)
    )
    return batch._replace(chosen=chosen, rejected=rejected)


def discounted(whole: Tensor, common: Tensor, alpha: float) -> Tensor:
    """λ from the sums over all tokens and over the first n: (B,)."""
    return alpha * whole + (1 - alpha) * common


class LDDPO(PairMethod[LDDPOConfig]):
    """Length-desensitised DPO (Liu et al. 2024)."""

    Config: ClassVar[type[LDDPOConfig]] = LDDPOConfig
    data_kind: ClassVar[DataKind] = "pairs"
    needs: ClassVar[tuple[Need, ...]] = ("reference",)

    def __init__(self, config: LDDPOConfig, data: Data[PreferencePair], models: Models) -> None:
        super().__init__(config, PairTrainer(LDDPOConfig, ld_dpo_loss), data, models)

    def with_reference(self, step: Sequence[PairBatch]) -> list[ReferencedPairs]:
        """The batches of a step with λ_ref."""
        return [ReferencedPairs(batch, self._both(batch)) for batch in step]

    def _both(self, batch: PairBatch) -> PairLogps:
        whole, common = (
            with_reference(each, self.reference).reference for each in (batch, common_part(batch))
        )
        alpha = self.config.alpha
        return PairLogps(
            discounted(whole.chosen, common.chosen, alpha), discounted(whole.rejected, common.rejected, alpha)
        )

    def logps(self, batch: PairBatch) -> PairLogps:
        """λ_θ of both responses: (B,) each."""
        tokens = batch.both
        logps = self.policy(tokens)
        whole, common = (masked_sum(logps, each.mask) for each in (tokens, common_part(batch).both))
        return PairLogps(*discounted(whole, common, self.config.alpha).chunk(2))
