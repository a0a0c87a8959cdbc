"""Advantage-weighted regression: imitate outputs by how much better they are than expected.

Peng et al. 2019, arXiv 1910.00177; Korbak et al. 2023, arXiv 2302.08582, section 2.

    L(θ) = E_t [ −α exp((R − V_t)/β) log π_θ(y_t|x, y_<t) + (1 − α) (V_t − R)² ]

paper   code                differs from the paper
R       label               in [0, 1]; the paper's is a classifier's score of each sentence, at most 0
V_t     trained.value       a model of its own, its head 0 at first; the authors' is a head on the policy's
                            trunk. The weight has no gradient
α       config.alpha
β       config.beta
E       loop                every token of a step counts the same
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from farm.config import option
from farm.methods.rwr import RWRConfig, weights
from farm.models.ops import masked_mean
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.training.data import Data, JudgedOutput
from farm.training.feed import PreparedFeed, judged
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.token_method import JudgedTokens, by_tokens


class AWRConfig(RWRConfig):
    """The authors' α; the rest as reward-weighted regression's."""

    alpha: float = option(0.5, above=0, below=1)
    """Weight of the policy's loss beside the value model's."""


class Regression(nn.Module):
    """All that it trains."""

    def __init__(self, policy: Policy, value: Scorer) -> None:
        super().__init__()
        self.policy, self.value = policy, value


def awr_loss(logps: Tensor, values: Tensor, label: Tensor, config: AWRConfig) -> Tensor:
    """Loss of each token: (B, T). label: (B, 1)."""
    of_policy = -weights(label - values.detach(), config) * logps
    return config.alpha * of_policy + (1 - config.alpha) * (values - label).square()


class AWR(Method[JudgedTokens]):
    """Advantage-weighted regression (Peng et al. 2019)."""

    Config: ClassVar[type[AWRConfig]] = AWRConfig
    data_kind: ClassVar[DataKind] = "judged"
    needs: ClassVar[tuple[Need, ...]] = ()
    trained: Regression

    def __init__(self, config: AWRConfig, data: Data[JudgedOutput], models: Models) -> None:
        self.config = config
        self.policy = self.product = models.policy()
        self.value = models.value()
        self.trained = Regression(self.policy, self.value)
        self.feed = PreparedFeed(judged(data, self.policy.codec, config, self.policy.device), by_tokens)

    def parts(self) -> dict[str, nn.Module]:
        """Policy and value model: the gradient of one is not cut because the other's is large."""
        return {"policy": self.policy, "value": self.value}

    def loss(self, batch: JudgedTokens) -> Loss:
        """The mean loss over the response tokens of a batch."""
        mask = batch.tokens.mask
        logps, values = self.policy(batch.tokens), self.value.values(batch.tokens)
        losses = awr_loss(logps, values, batch.token_label, self.config)
        errors = (values.detach() - batch.token_label).square()
        stats = {
            "logps/response": masked_mean(logps.detach(), mask),
            "value/error": masked_mean(errors, mask),
        }
        return Loss(masked_mean(losses, mask), stats)
