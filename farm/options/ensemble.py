"""Which reward models become one, and how: the options of `farm ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from farm.config import Combination, ModelConfig
from farm.settings.checked import Options
from farm.settings.fields import Part, option

LOADING = Part(only=("dtype", "device", "attention"))


class EnsembleTask(Options):
    """The members, how they are combined, and the pairs on which they are put on one scale."""

    folder: Path = option(argument=True)
    """The folder of the ensemble, which is then named like any reward model."""
    members: tuple[str, ...] = option(flag="--member")
    """A reward model: a directory or a hub id; repeat it."""
    snapshot: str = option(names="snapshot")
    """Judged pairs. Their outputs put all members on one scale."""
    how: Combination = "lower_bound"
    """The reward: the mean of the members, the minimum, or the mean less --factor standard deviations."""
    factor: float = option(1.0, at_least=0)
    """Standard deviations that the lower bound is below the mean."""
    held_out: float = option(0.05, above=0, at_most=1)
    """Share of the instructions whose pairs are used; by default those that `farm train` held out."""
    loading: Annotated[ModelConfig, LOADING] = ModelConfig()
    """How the members are loaded."""

    def problems(self) -> list[str]:
        """Fewer than two members, and a member that is named twice."""
        if len(self.members) < 2:
            return ["an ensemble has two members or more (repeat --member)"]
        if len(set(self.members)) < len(self.members):
            return ["a member is named twice (name each once)"]
        return []
