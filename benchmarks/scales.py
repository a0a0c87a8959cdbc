"""The scale of a study whose methods a benchmark compares."""

from __future__ import annotations

from dataclasses import replace

from farm.options.quickstart import ScaleName
from farm.quickstart import SCALES, Scale
from farm.world.build import SMALL


def measured(scale: ScaleName) -> Scale:
    """The scale with all evaluation instructions. At small the quickstart asks fewer, for time."""
    return replace(SCALES[scale], sizes=SMALL) if scale == "small" else SCALES[scale]
