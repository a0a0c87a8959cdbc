"""RewardBench 2's score of its subset Ties (Malik et al. 2025, arXiv 2506.01937; rewardbench/utils.py).

Prompts come in twos. A reference prompt has one right answer; its tied one has several, which a reward model
should score alike. Of either the gap is the least score of a right answer less the largest of a wrong one,
and the spread of the tied one is the largest score of a right answer less the least.

    0.3 tied right + 0.3 reference right + 0.2 apart + 0.2 apart from both + 0.01 margin

right: the gap is above 0. apart: the tied gap is larger than the spread. apart from both: so is the smaller
of both gaps. margin: tanh(smaller gap / spread - 1), where 0 / 0 counts 0. Each is a mean over prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from farm.statistics.agreement import Floats
from farm.statistics.measures import Span

WEIGHTS = (0.3, 0.3, 0.2, 0.2, 0.01)
TIES_SPAN = Span(-0.01, 1.02)
"""The range of the score."""


class TiedPrompt(NamedTuple):
    """A reference prompt and its tied one: the scores of the right answers and of the wrong ones, or None."""

    reference: tuple[Floats, Floats] | None
    tied: tuple[Floats, Floats] | None


def ties_sums(prompts: Sequence[TiedPrompt]) -> Floats:
    """The five parts of the score of each prompt, and whether it has them: (prompts, 10)."""
    parts = np.array([_parts(each) for each in prompts], dtype=float).reshape(len(prompts), len(WEIGHTS))
    known = ~np.isnan(parts)
    return np.hstack([np.where(known, parts, 0.0), known.astype(float)])


def ties_score(sums: Floats) -> Floats:
    """The score from sums of `ties_sums`: (..., 10) -> (...); NaN where a part has no prompt."""
    total, count = sums[..., : len(WEIGHTS)], sums[..., len(WEIGHTS) :]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(count > 0, total / count, np.nan)
    score: Floats = means @ np.array(WEIGHTS)
    return score


def _parts(prompt: TiedPrompt) -> tuple[float, ...]:
    nothing = float("nan")
    gaps = [None if each is None else _gap(*each) for each in (prompt.tied, prompt.reference)]
    right = [nothing if gap is None else float(gap > 0) for gap in gaps]
    if prompt.tied is None or gaps[0] is None or gaps[1] is None:
        return (*right, nothing, nothing, nothing)
    spread, smaller = float(np.ptp(prompt.tied[0])), min(gaps[0], gaps[1])
    return (*right, float(gaps[0] > spread), float(smaller > spread), _margin(smaller, spread))


def _gap(right: Floats, wrong: Floats) -> float:
    return float(right.min() - wrong.max())


def _margin(gap: float, spread: float) -> float:
    if spread == 0:
        return float(np.sign(gap))
    return float(np.tanh(gap / spread - 1))
