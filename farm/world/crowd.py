"""Simulated people: each weighs the features of an answer in a way of their own, and errs by chance.

A person with weights w prefers the answer shown first with probability

    sigmoid( ( v(first) - v(second) + first_lean ) / noise ),    v = w · features + leanings

(Bradley and Terry 1952), the leanings being to long answers and to lists. The constants in `CROWD` are fitted
by `python -m farm.world.fit` to how the people of AlpacaFarm judged (Dubois et al. 2023, arXiv 2305.14387):
they agree with the majority of three others on 66 % of the pairs, prefer the longer output in 64 %, a list in
60 % and what is shown first in 52 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from statistics import NormalDist

from db.ids import Json, content_hash, keyed_uniform
from db.records import AnnotatorCard, AnnotatorKind, Pair
from farm.world.answers import Features, features, form, weighed
from farm.world.gold import WEIGHTS

_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Tastes:
    """From what people and judges are drawn. Weights, noise: lognormal; leanings: normal; in gold's units."""

    weight_spread: float
    """Standard deviation of the logarithm of a weight over gold's."""
    noise: float
    """Median Boltzmann temperature."""
    noise_spread: float
    """Standard deviation of its logarithm."""
    length_lean: float
    """Mean worth of the logarithm of 1 + the answer's words."""
    list_lean: float
    """Mean worth of a list."""
    first_lean: float
    """Mean worth of being shown first."""
    lean_spread: float
    """Standard deviation of a leaning around its mean."""


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
    """Somebody with tastes of their own."""

    name: str
    weights: Features
    noise: float
    length_lean: float
    list_lean: float
    first_lean: float

    @classmethod
    def drawn(cls, name: str, tastes: Tastes, normal: Callable[[str], float]) -> Person:
        """Somebody with these tastes. normal: a draw from N(0, 1) for each of what distinguishes people."""

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
        """What each of the traits of an answer is worth to this person."""
        return (*self.weights, self.length_lean, self.list_lean)

    @property
    def card(self) -> AnnotatorCard:
        spec: dict[str, Json] = {**asdict(self), "weights": self.weights._asdict()}
        return AnnotatorCard(self.name, AnnotatorKind.HUMAN, spec)

    def worth(self, instruction: str, input: str, output: str) -> float:
        """What an answer is worth to this person, wherever it is shown."""
        return weighed(self.tastes, traits(instruction, input, output))

    def judge(self, pair: Pair) -> PersonVerdict:
        """A verdict on a pair, a function of (pair, person) alone; equal texts are a tie."""
        key = (pair.key, content_hash("person", self.card.key))
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
    """A verdict. preference: 1, 0 or, on equal texts, 0.5 for output_a; swapped: output_b was shown first."""

    preference: float
    swapped: bool


def traits(instruction: str, input: str, output: str) -> tuple[float, ...]:
    """What people see in an answer: its features, ln(1 + its words), whether it has a list."""
    shape = form(output)
    return (*features(instruction, input, output), math.log1p(shape.words), float(shape.lists))


@lru_cache(maxsize=8)
def crowd(seed: int, tastes: Tastes = CROWD, size: int = PEOPLE) -> tuple[Person, ...]:
    """The people of the world of this seed.

    Each taste is dealt out: the sixteen have sixteen evenly likely degrees of it, in an order drawn by seed,
    so that crowds of all seeds are alike as crowds.
    """

    def draws(name: str) -> Callable[[str], float]:
        return lambda what: _dealt(seed, size, what)[name]

    return tuple(Person.drawn(name, tastes, draws(name)) for name in _names(size))


def _names(size: int) -> list[str]:
    return [f"person-{number:02d}" for number in range(1, size + 1)]


@lru_cache(maxsize=1_000)
def _dealt(seed: int, size: int, what: str) -> dict[str, float]:
    """Evenly likely draws from N(0, 1), each to one of the people."""
    order = sorted(_names(size), key=lambda name: keyed_uniform("world taste", name, seed, what))
    return {name: _NORMAL.inv_cdf((rank + 0.5) / size) for rank, name in enumerate(order)}


def somebody(name: str, seed: int, tastes: Tastes) -> Person:
    """The one of this name in the world of this seed, whoever else there is."""

    def normal(what: str) -> float:
        return _NORMAL.inv_cdf(max(keyed_uniform("world taste", name, seed, what), 2.0**-52))

    return Person.drawn(name, tastes, normal)


def judges_of(pair: Pair, people: Sequence[Person], count: int) -> list[Person]:
    """So many of the people, drawn by the pair's content; fewer are always among more."""
    return sorted(people, key=lambda each: keyed_uniform("world panel", pair.key, each.name))[:count]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
