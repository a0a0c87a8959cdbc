"""Over-optimisation in the embedded world: the gold utility as reward models are optimised.

An arm is one kind of feedback, with a reward model that has learnt from it and, where there is one, a PPO
policy that has learnt by that. Everything else is the same in all arms: best-of-n chooses among the same
draws of the SFT policy, and PPO has the same options and seed (Gao, Schulman and Hilton 2023, arXiv
2210.10760; Dubois et al. 2023, figure 4). The instructions are those of the validation set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from db.ledger import Ledger
from db.queries import training
from farm.config import Decoding, ModelConfig
from farm.methods.best_of_n import best_of_n_estimate, best_of_n_kl
from farm.models.ops import kl_k1, masked_sum
from farm.models.policy import Policy
from farm.models.rewards import load_reward
from farm.models.tokens import Prompt
from farm.over_optimisation import Curve, curves
from farm.studies.results import DIFFERENCE, OverOptimisationPoint, TurningPoint, rate_of
from farm.training.checkpoint import MODEL, whole_checkpoints
from farm.training.rollout import draw, rated
from farm.world import gold as truth

BEST_OF_N, PPO = "best-of-n", "PPO"


class Arm(NamedTuple):
    """A kind of feedback, with what was trained on it."""

    feedback: str
    reward: str  # directory of the reward model
    run: Path | None  # folder of the PPO run; None: there is none


@dataclass(frozen=True)
class CurveTask:
    """What the curves are measured on."""

    ledger: str  # address
    sft: str  # directory of the SFT policy
    set_name: str
    decoding: Decoding
    samples: int  # the largest n of best-of-n
    instructions: int  # how many instructions of the set are used
    seed: int

    def prompts(self) -> list[Prompt]:
        """The first instructions of the set, as prompts."""
        with Ledger.open(self.ledger, read_only=True) as ledger:
            asked = islice(training.instructed(ledger, self.set_name), self.instructions)
            return [Prompt.of(each) for each in asked]


class Curves(NamedTuple):
    """The curves of one way to optimise: their points, and for each whether it turns down."""

    points: tuple[OverOptimisationPoint, ...]
    turns: tuple[TurningPoint, ...]


def best_of_n_curves(task: CurveTask, arms: Sequence[Arm]) -> Curves:
    """Curves of the best of n = 1, 2, 4, ... by each reward model, from one set of draws.

    The points are expectations over subsets of the draws; see best_of_n_estimate.
    """
    prompts = task.prompts()
    drawn = draw(Policy.load(task.sft), prompts, task.decoding, seed=task.seed, n=task.samples)
    shape = (len(prompts), task.samples)
    gold = torch.tensor(_gold(drawn.prompts, drawn.texts)).view(shape)
    frames = []
    for arm in arms:
        reward = load_reward(arm.reward, ModelConfig())
        proxy = reward(drawn.prompts, drawn.texts).double().view(shape)
        for n in (2**k for k in range(task.samples.bit_length()) if 2**k <= task.samples):
            chosen, liked = best_of_n_estimate(proxy, gold, n), best_of_n_estimate(proxy, proxy, n)
            frames.append(_rows(arm.feedback, n, best_of_n_kl(n), gold=chosen.tolist(), proxy=liked.tolist()))
    return _curves(BEST_OF_N, pd.concat(frames))


def ppo_curves(task: CurveTask, arms: Sequence[Arm]) -> Curves:
    """Curves of the PPO runs: the SFT policy, then kept checkpoints, each with its KL from the SFT policy."""
    prompts, sft = task.prompts(), Policy.load(task.sft)
    start = _drawn(sft, sft, prompts, task)  # the same in all arms
    frames = []
    for arm in arms:
        if arm.run is None:
            continue
        reward = load_reward(arm.reward, ModelConfig())
        runs = [(_step(path), Policy.load(str(path / MODEL))) for path in whole_checkpoints(arm.run)]
        for step, policy in [(0, sft), *runs]:
            found = start if policy is sft else _drawn(policy, sft, prompts, task)
            liked = reward(prompts, found.texts).double().tolist()
            frames.append(_rows(arm.feedback, step, found.kl, gold=_gold(prompts, found.texts), proxy=liked))
    return _curves(PPO, pd.concat(frames))


class _Drawn(NamedTuple):
    texts: list[str]
    kl: float  # nats per response; estimated from these responses, at least 0


def _drawn(policy: Policy, sft: Policy, prompts: list[Prompt], task: CurveTask) -> _Drawn:
    """Draw one response of the policy to each prompt, and estimate the policy's KL from the SFT policy."""
    drawn = draw(policy, prompts, task.decoding, seed=task.seed)
    with torch.no_grad():
        theirs = rated(lambda part: sft(part, task.decoding.temperature), drawn.tokens)
    kl = masked_sum(kl_k1(drawn.logps, theirs), drawn.tokens.mask).mean()
    return _Drawn(drawn.texts, max(0.0, float(kl)))


def _gold(prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float]:
    pairs = zip(prompts, texts, strict=True)
    return [truth.gold(prompt.instruction, prompt.input, text) for prompt, text in pairs]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _rows(feedback: str, level: float, kl: float, gold: list[float], proxy: list[float]) -> pd.DataFrame:
    """One point of a curve: a row for each instruction."""
    return pd.DataFrame(
        {
            "curve": feedback,
            "level": level,
            "kl": kl,
            "instruction": range(len(gold)),
            "gold": gold,
            "proxy": proxy,
        }
    )


def _curves(study: str, rows: pd.DataFrame) -> Curves:
    proxy = rows.groupby(["curve", "level"])["proxy"].mean()
    found = curves(rows)
    points = tuple(
        OverOptimisationPoint(
            curve=study,
            feedback=each.name,
            level=at.level,
            sqrt_kl=at.sqrt_kl,
            gold=rate_of(at.gold),
            proxy=float(proxy[each.name, at.level]),
        )
        for each in found
        for at in each.points
    )
    return Curves(points, tuple(_turn(study, each) for each in found))


def _turn(study: str, curve: Curve) -> TurningPoint:
    peak, last = curve.points[curve.peak].level, curve.points[-1].level
    return TurningPoint(
        curve=study, feedback=curve.name, peak=peak, last=last, drop=rate_of(curve.drop, DIFFERENCE)
    )
