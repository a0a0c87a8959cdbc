"""Weak to strong: a small model that learnt from people labels pairs, and the strong model learns from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import t as student
from torch import Tensor

from benchmarks.reward_models_kinds import SHARED, scoring
from benchmarks.reward_models_parts import worth
from benchmarks.reward_models_places import Place, said
from db.queries.training import Labelled
from farm.models.ops import in_order
from farm.models.pair_margins import ScoreMargins
from farm.models.tokens import Prompt
from farm.training.data import PreferencePair
from farm.world.language import Shape, write_untrained

SMALL = Shape(hidden=32, layers=1, heads=2, inner=96)
OF_PEOPLE = 800  # pairs whose labels the weak model learns from; the others are left to it
PLAIN = "reward_model"
STUDENTS = (PLAIN, "weak_to_strong", "weak_to_strong_product")
WEAK, CEILING = "weak", "people's labels"
OPTIONS: dict[str, object] = {**SHARED, "epochs": 1}


def pairs_of(rows: Sequence[Labelled], labels: Sequence[float]) -> list[PreferencePair]:
    """The pairs with these labels."""
    return [
        PreferencePair(Prompt.of(row.instruction), row.output_a, row.output_b, label)
        for row, label in zip(rows, labels, strict=True)
    ]


def said_of(reward: Any, rows: Sequence[Labelled]) -> Tensor:
    """Log-odds that output_a of each pair is preferred: (n,)."""
    prompts = [Prompt.of(row.instruction) for row in rows]
    return ScoreMargins(reward)(prompts, [row.output_a for row in rows], [row.output_b for row in rows])


def weak_to_strong(place: Place, seed: int) -> dict[str, float]:
    """Gold accuracy of the weak model, of the strong one with people's labels, and of each student.

    The weak model has random weights at first. It learns from OF_PEOPLE pairs with people's labels and labels
    the others. The students and the strong model with people's labels learn from those, and start alike.
    """
    mine, others = place.train[:OF_PEOPLE], place.train[OF_PEOPLE:]
    truth = torch.tensor(
        [worth(r.instruction, r.output_a) - worth(r.instruction, r.output_b) for r in place.held_out]
    )

    def accuracy(reward: Any) -> float:
        told = truth != 0
        return float(in_order(said_of(reward, place.held_out)[told], (truth[told] > 0).double()).mean())

    options = {**OPTIONS, "seed": seed}
    write_untrained(place.folder / "small", SMALL, seed)
    small = place._replace(model=str(place.folder / "small"))
    weak = scoring(
        "reward_model", small, pairs_of(mine, [row.label for row in mine]), {**options, "epochs": 4}
    )
    labels = said_of(weak, others).sigmoid().tolist()
    peoples = pairs_of(others, [row.label for row in others])
    found = {WEAK: accuracy(weak), CEILING: accuracy(scoring(PLAIN, place, peoples, options))}
    for name in STUDENTS:
        found[name] = accuracy(scoring(name, place, pairs_of(others, labels), options))
    said(f"weak to strong: {found}")
    return found


def over_plain(found: Mapping[str, float]) -> dict[str, float]:
    """The gold accuracy of each other student less that of the plain one."""
    return {name: found[name] - found[PLAIN] for name in STUDENTS if name != PLAIN}


def recovered(seeds: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """How much of the gap between the weak model and the one with people's labels each student closes."""
    gaps = [found[CEILING] - found[WEAK] for found in seeds]
    return {name: share_of([found[name] - found[WEAK] for found in seeds], gaps) for name in STUDENTS}


def share_of(parts: Sequence[float], wholes: Sequence[float]) -> dict[str, float | None]:
    """The mean of n parts over the mean of their wholes, with Fieller's 95 % interval (1954).

    There is none of it where the mean whole is not apart from 0, or n is 1.
    """
    found: dict[str, float | None] = {"mean": None, "low": None, "high": None, "n": len(parts)}
    if len(parts) < 2:
        return found
    a, b = float(np.mean(parts)), float(np.mean(wholes))
    reach = student.ppf(0.975, len(parts) - 1) ** 2 * np.cov(parts, wholes) / len(parts)
    square, mixed, rest = b**2 - reach[1, 1], a * b - reach[0, 1], a**2 - reach[0, 0]
    if square > 0:
        root = max(0.0, mixed**2 - square * rest) ** 0.5
        found |= {
            "mean": a / b,
            "low": float((mixed - root) / square),
            "high": float((mixed + root) / square),
        }
    return found
