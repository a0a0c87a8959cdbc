"""What both sides of learning.py share: a clock that stops while a model is kept. Needs Python alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Keeper:
    """Keeps a run's model at marks, with the CPU seconds that were spent on learning until then.

    out: folder of the run. steps: of the run. marks: how many models are kept, at equal distances. save:
    writes the present model to a folder.
    """

    out: Path
    steps: int
    marks: int
    save: Callable[[Path], None]
    spent: float = 0.0
    since: float = 0.0
    kept: list[dict[str, float]] = field(default_factory=list)

    def begin(self) -> None:
        """Keep the model of step 0 and start the clock."""
        self.keep(0)

    def after(self, step: int) -> None:
        """Keep the model if this step is a mark. step: steps done until now."""
        if step in {self.steps * mark // self.marks for mark in range(1, self.marks + 1)}:
            self.spent += time.process_time() - self.since
            self.keep(step)

    def keep(self, step: int) -> None:
        """Keep the present model, while the clock stands."""
        self.save(self.out / f"at-{step}")
        self.kept.append({"step": step, "seconds": self.spent})
        self.since = time.process_time()

    def whole(self) -> list[dict[str, float]]:
        """Step and seconds of every model that was kept. Raises RuntimeError on a run that ended early."""
        if self.kept[-1]["step"] != self.steps:
            raise RuntimeError(f"the run ended after step {self.kept[-1]['step']} of {self.steps}")
        return self.kept
