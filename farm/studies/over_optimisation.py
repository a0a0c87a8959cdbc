"""Over-optimisation in the embedded world: what best-of-n does to the truth under several reward models.

Every reward model chooses among the same draws of the SFT policy, so the curves differ by feedback alone
(Gao, Schulman and Hilton 2023, arXiv 2210.10760; Dubois et al. 2023, figure 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np

from farm.config import Decoding
from farm.statistics.over_optimisation import CurvePoint as Point
from farm.statistics.over_optimisation import best_of_n_curve
from farm.studies.results import CurvePoint, Rate

BEST_OF_N = "best-of-n"


@dataclass(frozen=True)
class CurveTask:
    """rewards: feedback -> directory of its reward model. samples: the largest n."""

    ledger: str
    sft: str
    set_name: str
    rewards: Mapping[str, str]
    decoding: Decoding
    samples: int
    instructions: int
    seed: int


def best_of_n_curves(task: CurveTask) -> list[CurvePoint]:
    """Gold utility of best-of-n for n = 1, 2, 4, ... under each reward model; proxy in its own units."""
    from db import training
    from db.ledger import Ledger
    from farm.config import ModelConfig
    from farm.methods.method import Prompt
    from farm.policies import Policy
    from farm.rollout import draw
    from farm.scorers import Scorer, ScorerReward
    from farm.world.gold import gold

    with Ledger.open(task.ledger, read_only=True) as ledger:
        asked = list(islice(training.instructed(ledger, task.set_name), task.instructions))
    prompts = [Prompt(each.text, each.input) for each in asked]
    drawn = draw(Policy.load(task.sft), prompts, task.decoding, seed=task.seed, n=task.samples)
    shape = (len(prompts), task.samples)
    pairs = zip(drawn.prompts, drawn.texts, strict=True)
    truth = np.array([gold(prompt.instruction, prompt.input, text) for prompt, text in pairs]).reshape(shape)
    sizes = [2**k for k in range(task.samples.bit_length()) if 2**k <= task.samples]
    points = []
    for feedback, directory in task.rewards.items():
        reward = ScorerReward(Scorer.load(directory, ModelConfig()))
        proxy = reward(drawn.prompts, drawn.texts).double().numpy().reshape(shape)
        own = best_of_n_curve(proxy, proxy, sizes, curve=feedback)
        found = best_of_n_curve(proxy, truth, sizes, curve=feedback)
        points += [_point(feedback, point, mine) for point, mine in zip(found, own, strict=True)]
    return points


def _point(feedback: str, truth: Point, proxy: Point) -> CurvePoint:
    gold = truth.gold
    value = gold.value or 0.0
    low, high = (value if bound is None else bound for bound in (gold.low, gold.high))
    return CurvePoint(
        BEST_OF_N, feedback, truth.level, truth.sqrt_kl, Rate(value, low, high), proxy.gold.value or 0.0
    )
