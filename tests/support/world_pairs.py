"""Pairs of demonstrations of the embedded world."""

from __future__ import annotations

from dataclasses import replace

from db.records import Output, Pair
from farm.world.build import SMALL, WorldSpec, splits
from farm.world.demonstrations import demonstrate


def demonstration_pairs(seed: int = 0, count: int = 500) -> list[Pair]:
    """Two demonstrations of each of `count` validation instructions."""
    sizes = replace(SMALL, sft=1, validation=count, evaluation=1)
    return [
        Pair.of(*(Output(task.instruction, demonstrate(task, f"fit/{seed}/{k}"), sample=k) for k in (0, 1)))[
            0
        ]
        for task in splits(WorldSpec(seed=seed, sizes=sizes))["validation"]
    ]
