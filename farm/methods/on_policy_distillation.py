"""On-policy distillation: a teacher corrects the student's draws.  Agarwal et al. 2023, arXiv 2306.13649.

    L(θ) = E_x E_(y ~ π_θ(·|x)) 1/|y| Σ_t KL( π_θ(·|x, y_<t) ‖ π_T(·|x, y_<t) )

paper    code                   differs from the paper
KL       teacher_divergence     of the whole vocabulary; config.divergence has gkd's forward and js too
y        config.teacher_share   in so many of the steps the teacher draws the responses: its online form
1/|y|    one mean               over the tokens of a step
∇        of the KL alone        not through the draw
"""

from __future__ import annotations

from typing import ClassVar, Literal

from farm.methods.gkd import distillation_loss
from farm.models.policy import require_same_tokens
from farm.models.tokens import Prompt, Tokens
from farm.training.data import Data
from farm.training.distillation import DistillationConfig, chance
from farm.training.method import DataKind, Loss, Method, Models, Need
from farm.training.on_policy import Draws, RolloutPlan
from farm.training.rollout import RolloutConfig


class OnPolicyDistillationConfig(RolloutConfig, DistillationConfig):
    """The reverse divergence on the student's draws, one step on each rollout."""

    learning_rate: float = 2e-5
    divergence: Literal["forward", "reverse", "js"] = "reverse"


class OnPolicyDistillation(Method[Tokens]):
    """Distillation on the student's own responses (Agarwal et al. 2023)."""

    Config: ClassVar[type[OnPolicyDistillationConfig]] = OnPolicyDistillationConfig
    data_kind: ClassVar[DataKind] = "instructions"
    needs: ClassVar[tuple[Need, ...]] = ("teacher",)

    def __init__(self, config: OnPolicyDistillationConfig, data: Data[Prompt], models: Models) -> None:
        self.config = config
        self.policy = self.trained = self.product = models.policy()
        self.teacher = models.teacher()
        require_same_tokens(self.policy, self.teacher, "teacher")
        self.feed: Draws[Tokens] = Draws(config, data, self.policy, self.drawn)

    def drawn(self, plan: RolloutPlan) -> Tokens:
        """The responses of a rollout, of the student or the teacher. Held-out ones are the student's."""
        from_teacher = not plan.held_out and chance(plan.seed, 0) < self.config.teacher_share
        return self.feed.responses(plan, self.teacher if from_teacher else self.policy).tokens

    def loss(self, batch: Tokens) -> Loss:
        """The mean divergence over the response tokens of a batch."""
        return distillation_loss(self.policy, self.teacher, batch, self.config)
