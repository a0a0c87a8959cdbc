"""Quark: learn one's own responses under tokens for their quality, and ask for the best.  Lu et al. 2022.

    D    = { (x, c_k, y) : y ~ π_θ(· | x, c_K),  k the quantile of r(x, y) among the responses of a rollout }
    L(θ) = E_D Σ_t −log π_θ(y_t | x, c_k, y_<t) + β KL( π_ref(· | x, y_<t) ‖ π_θ(· | x, c_k, y_<t) )
           − α H( π_θ(· | x, c_k, y_<t) )  /  number of response tokens               (arXiv 2205.13636)

paper   code                  differs from the paper
c_k     control_tokens        a token between prompt and response; the saved template asks for the best, c_K
D       levelled              quantiles are taken within one rollout, over all processes. No pool of older
                              responses is kept, so a resumed run needs the weights alone. Equal scores share
                              a level, and the best score has the highest; the paper cuts by rank
π_θ     self.policy           the first rollout is the reference's, which knows no control tokens
r       models.reward()       missing_eos_penalty is taken off the score of a response that was cut
K       config.levels         4 is AlpacaFarm's (arXiv 2305.14387); the authors' code has 5
α       config.entropy_coef   as in the authors' code; 0 is AlpacaFarm's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from farm.config import Schedule, option
from farm.models.codec import Row, collate
from farm.models.ops import entropy, full_kl, full_logps
from farm.models.tokens import Prompt, Tokens
from farm.training.controls import control_problems, control_tokens, quantile_levels
from farm.training.data import Data
from farm.training.method import DataKind, Loss, Method, Models, Need, Stats
from farm.training.on_policy import RolloutPlan, Rollouts
from farm.training.rollout import RolloutConfig, mean_over


class QuarkConfig(RolloutConfig):
    """AlpacaFarm's: rollouts of 512 prompts, two steps on each, four levels, 3e-6 falling along a line."""

    epochs: float = 10.0
    """Passes over the prompts."""
    batch_size: int = 512
    """Prompts in a rollout, over all processes."""
    minibatches: int = 2
    """Optimizer steps in each pass over a rollout."""
    learning_rate: float = 3e-6
    schedule: Schedule = "linear"
    """Learning rate after warm-up: falls to 0 along a cosine or a line, or stays."""
    levels: int = option(4, at_least=2)
    """Quality tokens; each stands for an equal share of a rollout's responses."""
    beta: float = option(0.05, at_least=0)
    """Weight of the KL divergence from the reference, over the whole vocabulary."""
    entropy_coef: float = option(0.0, at_least=0)
    """Weight of the policy's entropy: how much variety is worth."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and LoRA, which would leave control tokens untrained."""
        return super().problems() + control_problems(self)


class Levelled(NamedTuple):
    """Responses under the tokens of their levels, and the same rows without those tokens."""

    tokens: Tokens
    plain: Tokens
    stats: Stats  # of the whole rollout that they come from

    @property
    def weight(self) -> Tensor:
        """Number of response tokens."""
        return self.tokens.weight


class Terms(NamedTuple):
    """The three terms of the loss at each response token: (N,)."""

    logps: Tensor
    kl: Tensor  # KL(π_ref ‖ π_θ)
    entropy: Tensor


def quark_terms(logits: Tensor, ref_logits: Tensor, ids: Tensor) -> Terms:
    """The terms of the loss at N response tokens: (N,) each.

    logits: (N, V'). ref_logits: (N, V), V' ≥ V, for the reference gives no probability to the control tokens,
    which come last. ids: (N,) the tokens drawn. KL and entropy are in nats, over the whole vocabulary.
    """
    logps, ref_logps = full_logps(logits), full_logps(ref_logits)
    of_ids = logps.gather(1, ids[:, None])[:, 0]
    return Terms(of_ids, full_kl(ref_logps, logps[:, : ref_logps.shape[1]]), entropy(logps))


def quark_loss(terms: Terms, beta: float, entropy_coef: float) -> Tensor:
    """Loss of each response token: (N,). Lu et al. 2022; the entropy term is that of the authors' code."""
    return -terms.logps + beta * terms.kl - entropy_coef * terms.entropy


class Quark(Method[Levelled]):
    """Quantised reward conditioning in rounds (Lu et al. 2022).

    Nothing is held out: the loss on one's own responses does not show their quality.
    """

    Config: ClassVar[type[QuarkConfig]] = QuarkConfig
    data_kind: ClassVar[DataKind] = "instructions"
    needs: ClassVar[tuple[Need, ...]] = ("reference", "reward")

    def __init__(self, config: QuarkConfig, data: Data[Prompt], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.controls = control_tokens(config.levels)
        self.policy.condition_on(self.controls, data.first)
        self.feed = Rollouts(
            config, replace(data, held_out=()), models, policy=self.policy, learn=self.levelled
        )
        self.reference = self.feed.reference

    @torch.no_grad()
    def levelled(self, plan: RolloutPlan) -> Levelled:
        """Responses to a rollout's prompts, each under the token of its score's quantile.

        The first rollout is drawn from the reference. Raises DataError on a score that is not finite.
        """
        processes = self.feed.processes
        drawn = self.feed.responses(plan, self.policy if plan.number else self.reference)
        scores = self.feed.scores(drawn)
        levels = quantile_levels(scores, self.config.levels, processes.gathered(scores)).tolist()
        mask = drawn.tokens.mask
        means = mean_over(processes, scores, mask.sum(-1), drawn.ended)
        names = ("objective/scores", "completions/mean_length", "completions/ended")
        responses = [ids[chosen].tolist() for ids, chosen in zip(drawn.tokens.ids, mask, strict=True)]
        return Levelled(
            self._rows(drawn.prompts, responses, [self.controls[level] for level in levels]),
            self._rows(drawn.prompts, responses, [""] * len(responses)),
            dict(zip(names, means, strict=True)),
        )

    def _rows(
        self, prompts: Sequence[Prompt], responses: Sequence[list[int]], controls: Sequence[str]
    ) -> Tokens:
        """Rows of prompt, control token and response."""
        codec = self.policy.codec
        asked = {(p, c): codec.with_control(c).prompt_ids(p) for p, c in zip(prompts, controls, strict=True)}
        rows = [Row(asked[p, c], r) for p, c, r in zip(prompts, controls, responses, strict=True)]
        return collate(rows, codec.pad_id, self.policy.device)

    def loss(self, batch: Levelled) -> Loss:
        """Mean loss over the response tokens of a batch."""

        def measured(*of: Tensor) -> Tensor:
            return torch.stack(quark_terms(*of), -1)

        beside = (self.reference, batch.plain)
        terms = Terms(*self.policy.of_each_token(batch.tokens, measured, beside).unbind(-1))
        losses = quark_loss(terms, self.config.beta, self.config.entropy_coef)
        stats = {
            "policy/nll": -terms.logps.detach().mean(),
            "policy/ref_kl": terms.kl.detach().mean(),
            "policy/entropy": terms.entropy.detach().mean(),
        }
        return Loss(losses.mean(), {**batch.stats, **stats})
