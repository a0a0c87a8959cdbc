"""Proximal policy optimisation with a value model.  Schulman et al. 2017, arXiv 1707.06347.

    r_t    = −β log π_old(y_t|·)/π_ref(y_t|·) + 1[t = T] r(x, y)      (Ouyang et al. 2022, arXiv 2203.02155)
    A_t    = Σ_(l ≥ 0) (γλ)^l δ_(t+l),   δ_t = r_t + γ V(t + 1) − V(t)    (Schulman et al. 2016, eq. 16)
    L_π(θ) = −E_t min( ρ_t A_t, clip(ρ_t, 1 − ε, 1 + ε) A_t ),  ρ_t = π_θ/π_old              (eq. 7)
    L_V(φ) = ½ E_t max( (V_φ − R_t)², (clip(V_φ, V_old − ε_V, V_old + ε_V) − R_t)² ),  R_t = A_t + V_old
    β     ← β (1 + K clip(KL/target − 1, ±0.2))                           (Ziegler et al. 2019, sec. 2.2)

paper   code                   differs from the paper
V_φ     trained.value          starts as the reward model, or where there is none as the policy, its head 0
r       models.reward()        missing_eos_penalty is taken off the score of a response that was cut
A_t     masked_whiten          mean 0, variance 1 over the response tokens of a rollout, of all processes
β       trained.kl_coef        stays at config.beta without a kl_target
L       loss                   L_π + vf_coef L_V; in the first value_warmup rollouts the last term alone.
                               InstructGPT's PPO-ptx term and shift of scores are in ppo_ptx.py
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from farm.config import Schedule, option
from farm.models.ops import (
    clipped_objective,
    explained_variance,
    gae,
    kl_shaped_reward,
    masked_mean,
    masked_whiten,
)
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.credit import Experience
from farm.training.data import Data
from farm.training.method import DataKind, Loss, Method, Models, Need, Stats
from farm.training.on_policy import RolloutPlan, Rollouts
from farm.training.rollout import RolloutConfig, rollout_stats

KL_ERROR = 0.2  # limit on the relative error of the KL that the controller reacts to


class PPOConfig(RolloutConfig):
    """AlpacaFarm's but for warm-up, epsilon, whitening, clipping: rollouts of 512, two passes, β 0.0067."""

    epochs: float = 10.0
    """Passes over the prompts."""
    batch_size: int = 512
    """Prompts in a rollout, over all processes."""
    rollout_epochs: int = 2
    """Passes over each rollout before the next is drawn."""
    minibatches: int = 2
    """Optimizer steps in each of those passes."""
    schedule: Schedule = "linear"
    """Learning rate after warm-up: falls to 0 along a cosine or a line, or stays."""
    beta: float = option(0.0067, at_least=0)
    """Weight of the KL divergence from the reference in the reward; where it starts, with a kl_target."""
    kl_target: float | None = option(None, above=0)
    """KL divergence of whole responses, in nats, that beta is adapted to. None: beta is fixed."""
    kl_gain: float = option(0.1, above=0)
    """How fast beta is adapted: K."""
    clip: float = option(0.2, above=0)
    """How far the probability ratio of a token is followed from 1."""
    value_clip: float = option(0.2, above=0)
    """How far a value is followed from what it was, in units of the score."""
    vf_coef: float = option(0.1, above=0)
    """Weight of the value loss beside the policy loss."""
    gamma: float = option(1.0, above=0, at_most=1)
    """Discount of later rewards."""
    lam: float = option(1.0, at_least=0, at_most=1)
    """Of advantage estimation: 1 trusts what was returned, 0 the value model one step ahead."""
    whiten_rewards: bool = False
    """Divide the rewards of a rollout's tokens by their standard deviation, as AlpacaFarm does."""
    value_warmup: int = option(0, at_least=0)
    """Rollouts at the start in which the value model learns alone."""


class Lesson(NamedTuple):
    """Experience to learn from.

    policy_weight: 1, or 0 while the value model learns alone. imitated: (B,), the number of a demonstration
    for each response, in ppo_ptx.
    """

    experience: Experience
    policy_weight: Tensor  # scalar
    stats: Stats  # of the whole rollout that it comes from
    imitated: Tensor | None = None

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        return self.experience.tokens

    @property
    def weight(self) -> Tensor:
        """Number of response tokens: a scalar."""
        return self.experience.weight


class ActorCritic(nn.Module):
    """All that PPO trains. kl_coef: the present beta, a float64 scalar."""

    def __init__(self, policy: Policy, value: Scorer, beta: float) -> None:
        super().__init__()
        self.policy, self.value = policy, value
        self.kl_coef: Tensor
        self.register_buffer("kl_coef", torch.tensor(beta, dtype=torch.float64))


def policy_loss(logps: Tensor, old_logps: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    """Clipped loss, a mean over the masked tokens: (B, T) -> scalar. Schulman et al. 2017, eq. 7."""
    return -masked_mean(clipped_objective((logps - old_logps).exp(), advantages, clip), mask)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float) -> Tensor:
    """L_V, a mean over the masked tokens: (B, T) -> scalar. clip: ε_V, in units of the score."""
    near = torch.clamp(values, old_values - clip, old_values + clip)
    return 0.5 * masked_mean(torch.maximum((values - returns).square(), (near - returns).square()), mask)


def adapted(beta: Tensor, kl: Tensor, target: float, gain: float) -> Tensor:
    """beta after a rollout: raised if kl is above target, both in nats. Ziegler et al. 2019, sec. 2.2."""
    return beta * (1 + gain * (kl / target - 1).clamp(-KL_ERROR, KL_ERROR))


class PPO(Method[Lesson]):
    """Proximal policy optimisation (Schulman et al. 2017; Ouyang et al. 2022)."""

    Config: ClassVar[type[PPOConfig]] = PPOConfig
    data_kind: ClassVar[DataKind] = "instructions"
    needs: ClassVar[tuple[Need, ...]] = ("reference", "reward")
    rollouts: ClassVar[type[Rollouts[Any]]] = Rollouts
    trained: ActorCritic

    def __init__(self, config: PPOConfig, data: Data[Prompt], models: Models) -> None:
        self.config = config
        self.policy = self.product = models.policy()
        self.value = models.value()
        self.trained = ActorCritic(self.policy, self.value, config.beta).to(self.policy.device)
        self.feed: Rollouts[Lesson] = self.rollouts(
            config, data, models, policy=self.policy, learn=self.learnt, value=self.value
        )

    def parts(self) -> dict[str, nn.Module]:
        """Policy and value model: the gradient of one is not cut because the other's is large."""
        return {"policy": self.policy, "value": self.value}

    def learnt(self, plan: RolloutPlan) -> Lesson:
        """The lesson of a rollout. One in training also adapts beta, for the rollouts after it."""
        config, beta, lesson = self.config, self.trained.kl_coef, self.lesson(self.feed.drawn(plan))
        if plan.held_out:
            return lesson
        if config.kl_target:
            beta.copy_(adapted(beta, lesson.stats["objective/kl"], config.kl_target, config.kl_gain))
        return lesson._replace(policy_weight=torch.tensor(float(plan.number >= config.value_warmup)))

    def reward(self, rollout: Rollout) -> tuple[Tensor, Stats]:
        """The reward of each token, (B, T), and what to log about it."""
        beta, mask = self.trained.kl_coef, rollout.tokens.mask
        return kl_shaped_reward(rollout.score, rollout.logps, rollout.reference, mask, beta=beta), {}

    def lesson(self, rollout: Rollout) -> Lesson:
        """Advantages and returns of a rollout: (B, T), the advantages whitened over all processes."""
        config, mask, processes = self.config, rollout.tokens.mask, self.feed.processes
        beta, (reward, said) = self.trained.kl_coef, self.reward(rollout)
        if config.whiten_rewards:
            reward = masked_whiten(reward, mask, shift_mean=False, total=processes.sum)
        advantages, returns = gae(reward, rollout.values, mask, gamma=config.gamma, lam=config.lam)
        paid = gae(reward, torch.zeros_like(reward), mask, gamma=config.gamma, lam=1.0).returns
        found = {**rollout_stats(rollout, processes), **said}
        stats = found | {
            "objective/kl_coef": beta.clone(),
            "objective/rlhf_reward": found["objective/scores"] - beta * found["objective/kl"],
            "value/explained_variance": explained_variance(rollout.values, paid, mask, processes.sum),
        }
        white = masked_whiten(advantages, mask, total=processes.sum)
        return self.feed.corrected(Lesson(Experience(rollout, white, returns), torch.tensor(1.0), stats))

    def loss(self, batch: Lesson) -> Loss:
        """Policy loss plus vf_coef times value loss: means over the response tokens of a batch."""
        (rollout, advantages, returns), config = batch.experience, self.config
        mask = rollout.tokens.mask
        logps = self.policy(rollout.tokens, config.temperature)
        values = self.value.values(rollout.tokens)
        of_policy = policy_loss(logps, rollout.logps, advantages=advantages, mask=mask, clip=config.clip)
        of_value = value_loss(values, rollout.values, returns=returns, mask=mask, clip=config.value_clip)
        log_ratio = (logps - rollout.logps).detach()
        stats = {
            "loss/policy_avg": of_policy.detach(),
            "loss/value_avg": of_value.detach(),
            "policy/approxkl_avg": masked_mean(0.5 * log_ratio.square(), mask),
            "policy/clipfrac_avg": masked_mean(((log_ratio.exp() - 1).abs() > config.clip).double(), mask),
        }
        total = batch.policy_weight.to(of_policy) * of_policy + config.vf_coef * of_value
        return Loss(total, {**batch.stats, **stats})
