"""The creator of eva: which instructions the policy can still gain from.

Ye et al. 2024, "Evolving Alignment via Asymmetric Self-Play", arXiv 2411.00062. An instruction is informative
where its draws differ in reward: max r - min r, or max r - mean r. It is drawn without replacement by its
weight, the informativeness scaled to [0, 1] over all instructions. The reward of a draw is here its win rate:
its mean P(preferred) against the other draws, as `farm.training.conversions` finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf, log
from statistics import fmean
from types import MappingProxyType

from db.ids import keyed_uniform

MEASURES: Mapping[str, Callable[[Sequence[float]], float]] = MappingProxyType(
    {
        "gap": lambda rewards: max(rewards) - min(rewards),
        "advantage": lambda rewards: max(rewards) - fmean(rewards),
        "uniform": lambda rewards: 0.0,
    }
)
"""Informativeness of an instruction, from the rewards of its draws. uniform: all are alike, to compare."""


def weights(informativeness: Sequence[float]) -> list[float]:
    """The probability of each instruction at the first draw: scaled to [0, 1], then to a sum of 1.

    The least informative one has 0. Equal ones have equal weights.

    >>> weights([1.0, 2.0, 4.0])
    [0.0, 0.25, 0.75]
    >>> weights([3.0, 3.0])
    [0.5, 0.5]
    """
    least, most = min(informativeness), max(informativeness)
    if least == most:
        return [1 / len(informativeness)] * len(informativeness)
    scaled = [(each - least) / (most - least) for each in informativeness]
    return [each / sum(scaled) for each in scaled]


def choose(informativeness: Mapping[str, float], count: int, *key: int | str) -> list[str]:
    """Draw instructions, by their keys, without replacement by weight; those of weight 0 come last.

    key: what the draw depends on beside the instruction. An instruction waits an exponential time whose rate
    is its weight, and the first `count` are taken (Efraimidis and Spirakis 2006).
    """
    if not informativeness:
        return []
    rates = weights(list(informativeness.values()))
    chance = {name: 1 - keyed_uniform("creator", *key, name) for name in informativeness}
    waits = {
        name: -log(chance[name]) / rate if rate else inf
        for name, rate in zip(informativeness, rates, strict=True)
    }
    return sorted(informativeness, key=lambda name: (waits[name], chance[name]))[:count]


def from_place(names: Iterable[str], number: int, count: int, *key: int | str) -> list[str]:
    """The instructions of a set in the order in which round `number` (from 1) of `count` takes them.

    It is one random order that goes around: a round begins where the one before ended, so each instruction is
    used before one comes again.
    """
    order = sorted(names, key=lambda name: keyed_uniform("rounds", *key, name))
    start = (number - 1) * count % len(order)
    return order[start:] + order[:start]
