"""Simulated people. Each person has weights of their own for the features of an answer, and errs by chance.

A person with weights w prefers the answer shown first with probability

    sigmoid( ( v(first) - v(second) + first_lean ) / noise ),
    v = w · features + length_lean · ln(1 + words) + list_lean · has_list

(Bradley and Terry 1952). The constants in `CROWD` are fitted by `python -m farm.world.fit` to the people of
AlpacaFarm (Dubois et al. 2023, arXiv 2305.14387). A person there agrees with the majority of three others on
66 % of the pairs, and prefers the longer output in 64 %, a list in 60 % and the output shown first in 52 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist

from db.ids import Json, content_hash, keyed_uniform
from db.records import AnnotatorCard, AnnotatorKind, Pair
from farm.world.answers import Features, features, form, weighed
from farm.world.gold import WEIGHTS

_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Tastes:
    """The distribution that the tastes of people or judges are drawn from.

    Weights and noise are lognormal, leanings are normal. All are in units of the gold utility.
    """

    weight_spread: float
    """Standard deviation of ln(weight / gold's weight)."""
    noise: float
    """Median of the noise, the divisor in the sigmoid (a temperature)."""
    noise_spread: float
    """Standard deviation of the logarithm of the noise."""
    length_lean: float
    """Mean of the leaning to long answers: the worth of one unit of ln(1 + words)."""
    list_lean: float
    """Mean of the leaning to lists: the worth of a list."""
    first_lean: float
    """Mean of the leaning to the answer shown first."""
    lean_spread: float
    """Standard deviation of each leaning around its mean."""


CROWD = Tastes(
    weight_spread=0.35,
    noise=2.319,
    noise_spread=0.3,
    length_lean=-0.033,
    list_lean=0.128,
    first_lean=0.255,
    lean_spread=0.2,
)
PEOPLE = 16


@dataclass(frozen=True)
class Person:
    """A simulated person. The fields are explained in Tastes, from which they are drawn."""

    name: str
    weights: Features
    noise: float
    length_lean: float
    list_lean: float
    first_lean: float

    @classmethod
    def drawn(cls, name: str, tastes: Tastes, normal: Callable[[str], float]) -> Person:
        """Draw a person. normal: gives a draw from N(0, 1) by name: a feature, "noise" or a leaning."""

        def lean(mean: float, what: str) -> float:
            return mean + tastes.lean_spread * normal(what)

        spread = (math.exp(tastes.weight_spread * normal(feature)) for feature in Features._fields)
        return cls(
            name,
            Features(*(weight * factor for weight, factor in zip(WEIGHTS, spread, strict=True))),
            tastes.noise * math.exp(tastes.noise_spread * normal("noise")),
            lean(tastes.length_lean, "length"),
            lean(tastes.list_lean, "list"),
            lean(tastes.first_lean, "first"),
        )

    @property
    def tastes(self) -> tuple[float, ...]:
        """The worth of each trait of an answer to this person, in the order of `traits`."""
        return (*self.weights, self.length_lean, self.list_lean)

    @property
    def card(self) -> AnnotatorCard:
        """This person as an annotator of kind human; all fields are the spec."""
        spec: dict[str, Json] = {**asdict(self), "weights": self.weights._asdict()}
        return AnnotatorCard(self.name, AnnotatorKind.HUMAN, spec)

    @cached_property
    def draw_key(self) -> str:
        """What this person's draws depend on: the hash of the card."""
        return content_hash("person", self.card.key)

    def worth(self, instruction: str, input: str, output: str) -> float:
        """The worth of an answer to this person, without the leaning to the answer shown first."""
        return weighed(self.tastes, traits(instruction, input, output))

    def judge(self, pair: Pair) -> PersonVerdict:
        """Judge a pair. The verdict depends on (pair, person) alone; equal texts are a tie."""
        key = (pair.key, self.draw_key)
        swapped = keyed_uniform("world order", *key) < 0.5
        if pair.output_a.text == pair.output_b.text:
            return PersonVerdict(0.5, swapped)
        asked = pair.instruction
        a, b = (self.worth(asked.text, asked.input, each.text) for each in (pair.output_a, pair.output_b))
        lead = a - b + (-self.first_lean if swapped else self.first_lean)
        return PersonVerdict(
            float(keyed_uniform("world verdict", *key) < _sigmoid(lead / self.noise)), swapped
        )


@dataclass(frozen=True, slots=True)
class PersonVerdict:
    """A verdict."""

    preference: float  # 1: output_a is preferred, 0: output_b is, 0.5: a tie
    swapped: bool  # output_b was shown first


def traits(instruction: str, input: str, output: str) -> tuple[float, ...]:
    """What people see in an answer: its features, ln(1 + words), and 1 where it has a list; 11 numbers."""
    shape = form(output)
    return (*features(instruction, input, output), math.log1p(shape.words), float(shape.lists))


@lru_cache(maxsize=8)
def crowd(seed: int, tastes: Tastes = CROWD, size: int = PEOPLE) -> tuple[Person, ...]:
    """The people of the world of this seed.

    The draws of each taste are the `size` evenly spaced quantiles of N(0, 1), one for each person. The seed
    decides only who gets which. So crowds of different seeds differ in their persons, not as a whole.
    """

    def draws(name: str) -> Callable[[str], float]:
        return lambda what: _deal(seed, size, what)[name]

    return tuple(Person.drawn(name, tastes, draws(name)) for name in _names(size))


def _names(size: int) -> list[str]:
    return [f"person-{number:02d}" for number in range(1, size + 1)]


@lru_cache(maxsize=1_000)
def _deal(seed: int, size: int, what: str) -> dict[str, float]:
    """The `size` evenly spaced quantiles of N(0, 1), one for each person, in an order drawn by the seed."""
    order = sorted(_names(size), key=lambda name: keyed_uniform("world taste", name, seed, what))
    return {name: _NORMAL.inv_cdf((rank + 0.5) / size) for rank, name in enumerate(order)}


def somebody(name: str, seed: int, tastes: Tastes) -> Person:
    """The person of this name in the world of this seed. Who else there is makes no difference."""

    def normal(what: str) -> float:
        return _NORMAL.inv_cdf(max(keyed_uniform("world taste", name, seed, what), 2.0**-52))

    return Person.drawn(name, tastes, normal)


def judges_of(pair: Pair, people: Sequence[Person], count: int) -> list[Person]:
    """Draw `count` of the people by the content of the pair. A smaller draw is part of a larger one."""
    return sorted(people, key=lambda each: keyed_uniform("world panel", pair.key, each.name))[:count]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
