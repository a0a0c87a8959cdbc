"""Generalised knowledge distillation from a teacher.  Agarwal et al. 2023, arXiv 2306.13649.

    L(θ) = E_(x, y) 1/|y| Σ_t D( π_T(·|x, y_<t), π_θ(·|x, y_<t) )
    forward  KL(π_T ‖ π_θ)          reverse  KL(π_θ ‖ π_T)
    js       k KL(π_T ‖ m) + (1 − k) KL(π_θ ‖ m),   m = k π_T + (1 − k) π_θ                  (eq. 1)

paper    code                   differs from the paper
π_T      models.teacher()       a frozen policy with the same vocabulary
λ        config.student_share   in so many of the steps the student draws the responses (algorithm 1). In
                                teacher_share of them the teacher does, in the rest they are the data's
k        config.mixture         towards 0 js vanishes. TRL takes its 0 for forward and its 1 for reverse
1/|y|    one mean               over the tokens of a step, as in TRL
∇        of D alone             not through the draw, as in the paper
π        temperature            of both policies and of the draw
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from farm.config import option
from farm.models.ops import at_temperature, full_kl, full_logps
from farm.models.policy import Policy, require_same_tokens
from farm.models.tokens import Tokens
from farm.training.data import Data, Demonstration
from farm.training.distillation import DistillationConfig, chance
from farm.training.feed import NumberedFeed, demonstrations
from farm.training.method import DataKind, Loss, Method, Models, Need, OwnDraws
from farm.training.own_draws import drawn_beside


class GKDConfig(DistillationConfig):
    """The paper's: js at ½, half of the steps on the student's own responses."""

    student_share: float = option(0.5, at_least=0, at_most=1)
    """Share of the steps whose responses the student draws. What is left learns from the demonstrations."""

    def problems(self) -> list[str]:
        """Problems of the shared options, and shares of more than all steps."""
        over = ["student_share and teacher_share must be at most 1 together"]
        return super().problems() + (over if self.student_share + self.teacher_share > 1 else [])


def teacher_divergence(student: Tensor, teacher: Tensor, config: DistillationConfig) -> Tensor:
    """D, and both KL divergences without gradient, forward then reverse, in nats: (N, V) each -> (N, 3)."""
    mine, theirs = (full_logps(at_temperature(each, config.temperature)) for each in (student, teacher))
    forward, reverse = full_kl(theirs, mine), full_kl(mine, theirs)
    found = forward if config.divergence == "forward" else reverse
    if config.divergence == "js":
        k = config.mixture
        mixed = torch.logaddexp(theirs + math.log(k), mine + math.log1p(-k))
        found = k * full_kl(theirs, mixed) + (1 - k) * full_kl(mine, mixed)
    return torch.stack([found, forward.detach(), reverse.detach()], -1)


def distillation_loss(student: Policy, teacher: Policy, tokens: Tokens, config: DistillationConfig) -> Loss:
    """The mean divergence over the response tokens of a batch."""
    found = student.compared(tokens, teacher, lambda mine, theirs: teacher_divergence(mine, theirs, config))
    loss, forward, reverse = found.mean(0)
    return Loss(loss, {"teacher/forward_kl": forward.detach(), "teacher/reverse_kl": reverse.detach()})


class GKD(Method[Tokens]):
    """Generalised knowledge distillation (Agarwal et al. 2023)."""

    Config: ClassVar[type[GKDConfig]] = GKDConfig
    data_kind: ClassVar[DataKind] = "demonstrations"
    needs: ClassVar[tuple[Need, ...]] = ("teacher",)

    def __init__(self, config: GKDConfig, data: Data[Demonstration], models: Models) -> None:
        self.config, self.processes = config, data.processes
        self.policy = self.trained = self.product = models.policy()
        self.teacher = models.teacher()
        require_same_tokens(self.policy, self.teacher, "teacher")
        made = demonstrations(data, self.policy.codec, config, self.policy.device)
        share = config.student_share + config.teacher_share
        self.feed = NumberedFeed(made, self.sourced, OwnDraws(1, share, beside=False) if share else None)

    def sourced(self, step: int | None, batches: Sequence[Tokens]) -> Sequence[Tokens]:
        """The batches of a step, with the responses of whoever draws in it. Held-out ones are the data's."""
        own, config = self.config.student_share, self.config
        if step is None or (turn := chance(config.seed, step)) >= own + config.teacher_share:
            return batches
        drawer = self.policy if turn < own else self.teacher
        return [drawn_beside(batch, drawer, config, self.processes, step=step) for batch in batches]

    def loss(self, batch: Tokens) -> Loss:
        """The mean divergence over the response tokens of a batch."""
        return distillation_loss(self.policy, self.teacher, batch, self.config)
