"""A whole quickstart in seconds, for tests that need a study: every stage is there, every size tiny."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farm import quickstart as module
from farm.quickstart import Quickstart, QuickstartTask, quickstart
from farm.world.build import Sizes

TINY = """
sampling: {temperature: 1.0, max_new_tokens: 12}
sft: {max_steps: 4, batch_size: 16, learning_rate: 1e-3, max_length: 128}
reward_model: {max_steps: 3, batch_size: 16, learning_rate: 1e-3, max_length: 128}
methods:
  best_of_n: {n: 2}
  ppo: {max_steps: 4, batch_size: 8, learning_rate: 1e-3, max_length: 128, max_new_tokens: 12, save_every: 1}
  dpo: {max_steps: 2, batch_size: 16, learning_rate: 1e-3, max_length: 128}
  feedme: {max_steps: 2, batch_size: 16, learning_rate: 1e-3, max_length: 128}
"""
METHODS = {"sft", "best_of_n", "ppo", "dpo", "feedme"}
SIZES = Sizes(sft=80, preference=40, unlabelled=20, validation=20, evaluation=30)


def tiny_scale(folder: Path) -> module.Scale:
    """The scale of these studies, whose recipe is written to the folder."""
    (folder / "tiny.yaml").write_text(TINY)
    return module.Scale(SIZES, str(folder / "tiny.yaml"), curve_samples=4, curve_instructions=10)


def study(
    folder: Path, seed: int = 0, say: Callable[[str], None] | None = None, simulators: str = module.CROWD
) -> tuple[Quickstart, list[str]]:
    """A quickstart of seconds, and the lines that it said."""
    folder.mkdir(exist_ok=True)
    scale = tiny_scale(folder)
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.SCALES, "tiny", scale)
        task = QuickstartTask(folder, "tiny", seed, processes=2, simulators=simulators)
        return quickstart(task, say or lines.append), lines
