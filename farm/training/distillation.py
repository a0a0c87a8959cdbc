"""What methods that learn from a teacher are told: how the distance is measured, and who draws."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from farm.config import option
from farm.training.on_policy import seed_of
from farm.training.rollout import DrawingConfig

TeacherDivergence: TypeAlias = Literal["forward", "reverse", "js"]


class DistillationConfig(DrawingConfig):
    """How far the student is from its teacher."""

    learning_rate: float = 2e-5
    divergence: TeacherDivergence = "js"
    """What is minimised: forward covers all that the teacher says, reverse seeks its mode, js is between."""
    mixture: float = option(0.5, above=0, below=1)
    """Share of the teacher in the mixture of js."""
    teacher_share: float = option(0.0, at_least=0, at_most=1)
    """Share of the steps whose responses the teacher draws."""


def chance(seed: int, step: int) -> float:
    """A number in [0, 1) that chooses who draws the responses of a step."""
    return torch.rand((), generator=torch.Generator().manual_seed(seed_of("source", seed, step))).item()
