"""Binary classifier optimisation on good and bad outputs.  Jung et al. 2024, arXiv 2404.04656.

    L(θ) = E −log σ( r − δ )  of a good output,   −w(x) log σ( −(r − δ) )  of a bad one
    r    = β log π_θ(y|x)/π_ref(y|x),   δ = ½ mean of r over good outputs + ½ mean of r over bad ones
    w(x) = clip( p(x)/(1 − p(x)), least, most ),   p: how likely a good output is to have the prompt x

paper   code               differs from the paper
δ       reward_shift       of a step, without gradient, whatever its micro-batches and processes: our reading
                           of the paper. TRL keeps a running mean over all outputs, good and bad together
w       config.match       off at first: w is 1. On, a logistic regression on the start model's mean states
                           over a prompt (underlying distribution matching); TRL asks for an embedding model
        by_label           a label p < 1 weighs both losses and both means
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from farm.config import option
from farm.models.forward import autocast
from farm.models.ops import Total
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from farm.training.data import Data, JudgedOutput
from farm.training.judged_method import (
    Judged,
    JudgedConfig,
    JudgedMethod,
    JudgedTrainer,
    RatedOutputs,
    RateRows,
    by_label,
)
from farm.training.method import Models
from farm.training.processes import at_rest

PROMPTS_AT_A_TIME = 32  # bounds memory; changes nothing else


class BCOConfig(JudgedConfig):
    """TRL's β; the rest as DPO's."""

    beta: float = 0.01
    match: bool = False
    """Weigh bad outputs by how likely good ones are to have their prompts."""
    least_weight: float = option(0.5, above=0)
    """The smallest of these weights."""
    most_weight: float = option(10.0, above=0)
    """The largest of these weights."""


def bco_loss(rated: RatedOutputs, config: BCOConfig) -> Tensor:
    """Loss of each output: (B,). Jung et al. 2024. rated.shift: δ."""
    logit = config.beta * rated.responses.log_ratio - rated.shift
    return by_label(-logsigmoid(logit), -rated.bad_weight * logsigmoid(-logit), rated.label)


def class_mean(rewards: Tensor, label: Tensor, total: Total) -> Tensor:
    """Half the mean reward of good outputs plus half that of bad ones: (n,), (n,) -> scalar.

    label: P(good). Where one class is missing it is the mean of the other.
    """
    weights = torch.stack([label, 1 - label]).to(rewards)
    sums = total(torch.cat([weights @ rewards, weights.sum(1)]))
    there = sums[2:] > 0
    return (sums[:2][there] / sums[2:][there]).mean()


def reward_shift(step: Sequence[Judged], rate: RateRows, config: BCOConfig, total: Total) -> Tensor:
    """δ of a step."""
    ratios = torch.cat([rate(batch.tokens).log_ratio.double() for batch in step])
    return class_mean(config.beta * ratios, torch.cat([batch.label for batch in step]), total)


def density_weight(probability: Tensor, config: BCOConfig) -> Tensor:
    """w of p, any shape: p/(1 − p), cut."""
    return (probability / (1 - probability)).clamp(config.least_weight, config.most_weight)


def logistic_regression(features: Tensor, label: Tensor) -> Tensor:
    """Weights and, last, the intercept, in float64: (n, d), (n,) in [0, 1] -> (d + 1,).

    Both classes have the same weight in all, and ½ |weights|² is added, as in scikit-learn with
    class_weight="balanced".
    """
    x = torch.cat([features.double(), torch.ones_like(features[:, :1]).double()], 1)
    shares = torch.stack([label, 1 - label]).double()
    balanced = shares * (len(label) / 2 / shares.sum(1, keepdim=True))
    found = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device, requires_grad=True)
    solver = torch.optim.LBFGS([found], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        logit = x @ found
        losses = -balanced[0] * logsigmoid(logit) - balanced[1] * logsigmoid(-logit)
        loss = losses.sum() + 0.5 * found[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    return found.detach()


@torch.no_grad()
def mean_states(policy: Policy, prompts: Sequence[tuple[int, ...]]) -> Tensor:
    """Mean last hidden state over the tokens of each prompt: n prompts -> (n, H)."""
    found = []
    for at in range(0, len(prompts), PROMPTS_AT_A_TIME):
        part = [torch.tensor(ids, device=policy.device) for ids in prompts[at : at + PROMPTS_AT_A_TIME]]
        ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True)
        lengths = torch.tensor([len(each) for each in part], device=policy.device)
        inside = torch.arange(ids.shape[1], device=policy.device) < lengths[:, None]
        states = policy.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        found.append((states * inside[..., None]).sum(1) / lengths[:, None])
    return torch.cat(found)


class BCOMethod(JudgedMethod[BCOConfig]):
    """The method in a run, with the weights of bad outputs by their prompts."""

    def __init__(
        self,
        config: BCOConfig,
        trainer: JudgedTrainer[BCOConfig],
        data: Data[JudgedOutput],
        models: Models,
    ) -> None:
        super().__init__(config, trainer, data, models)
        self.weights = self._matched(data) if config.match else {}

    def _matched(self, data: Data[JudgedOutput]) -> dict[tuple[int, ...], float]:
        """The weight of each prompt, held-out ones too."""
        codec = self.policy.codec
        prompts = [tuple(codec.prompt_ids(each.prompt)) for each in chain(data.train, data.held_out)]
        label = torch.tensor([each.label for each in data.train], device=self.policy.device)
        with at_rest(self.policy), autocast(self.config):
            states = mean_states(self.policy, prompts).double()
        learnt = states[: len(label)]
        scaled = (states - learnt.mean(0)) / learnt.std(0).clamp(min=1e-6)
        fitted = logistic_regression(scaled[: len(label)], label)
        weights = density_weight((scaled @ fitted[:-1] + fitted[-1]).sigmoid(), self.config)
        return dict(zip(prompts, weights.tolist(), strict=True))

    def bad_weight(self, tokens: Tokens) -> Tensor | float:
        """w of the prompt of each row: (B,)."""
        if not self.weights:
            return 1.0
        weights = [self.weights[prompt] for prompt in _prompts(tokens)]
        return torch.tensor(weights, device=tokens.ids.device)


def _prompts(tokens: Tokens) -> Iterator[tuple[int, ...]]:
    """The token ids of the prompt of each row; rows are padded on the right."""
    for ids, mask in zip(tokens.ids.tolist(), tokens.mask.tolist(), strict=True):
        yield tuple(ids[: mask.index(True)])


BCO = JudgedTrainer(BCOConfig, bco_loss, reward_shift, method=BCOMethod)
"""Binary classifier optimisation (Jung et al. 2024)."""
