"""Pairs of demonstrations of the embedded world."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from db.records import Output, Pair
from farm.world.build import SMALL, WorldSpec, splits
from farm.world.demonstrations import demonstrate
from farm.world.families import WorldTask


@cache
def demonstration_pairs(seed: int = 0, count: int = 500) -> tuple[Pair, ...]:
    """Two demonstrations of each of `count` validation instructions."""
    sizes = replace(SMALL, sft=1, validation=count, evaluation=1)
    tasks = splits(WorldSpec(seed=seed, sizes=sizes))["validation"]
    return tuple(_pair_of(task, f"fit/{seed}") for task in tasks)


def _pair_of(task: WorldTask, key: str) -> Pair:
    first, second = (Output(task.instruction, demonstrate(task, f"{key}/{k}"), sample=k) for k in (0, 1))
    return Pair.of(first, second)[0]
