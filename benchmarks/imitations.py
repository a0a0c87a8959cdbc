"""How often imitations of people are said to be better, and to be personal, where they are and where not.

python benchmarks/imitations.py [--runs 2000]

Every pair has a lead that all people see alike, and one that each person sees by their own taste; both are
standard normal. A person votes by a logistic chance of the weighted sum of the two. So does each judge: the
judge alone goes by the common lead, an imitation by the common lead and by the person's own. Imitations
differ in how well they see the common lead, as if some had better examples. Eight persons judge between 20
and 80 held-out pairs each, of 100 instructions that they share.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
import pandas as pd

from farm.aligning.likeness import Resemblance, likeness
from farm.statistics.agreement import Floats
from farm.statistics.bounds import answer

LEVEL = 0.95
COMMON = 1.5  # weight of the common lead with people


class World(NamedTuple):
    """own: weight of their own taste with people. alone: weight of the common lead with the judge alone.
    imitation: that with imitations; spread: the standard deviation of it among them. learnt: weight of the
    person's own taste with the imitation. persons, pairs (the most of a person), instructions, size (pairs of
    an instruction): how many."""

    own: float = 0.0
    alone: float = 1.0
    imitation: float = 1.0
    spread: float = 0.0
    learnt: float = 0.0
    persons: int = 8
    pairs: int = 80
    instructions: int = 100
    size: int = 2


WORLDS = {
    "examples teach nothing": World(own=1.5),
    "examples teach nothing, people have no taste of their own": World(),
    "examples teach nothing, 2 persons of 30 pairs": World(own=1.5, persons=2, pairs=30),
    "examples teach nothing, 10 instructions": World(own=1.5, instructions=10, size=10),
    "examples teach what all people like": World(own=1.5, imitation=3.0),
    "the same, some imitations better than others": World(own=1.5, imitation=2.0, spread=2.0),
    "examples teach a taste of their own": World(own=1.5, learnt=1.5),
    "the same, a little": World(own=1.5, learnt=0.5),
}


def compared(world: World, rng: np.random.Generator) -> Resemblance:
    """One study: who judged what, what the judges said, and what is made of it."""
    total = world.instructions * world.size
    common, own = rng.normal(size=total), rng.normal(size=(world.persons, total))
    sees = rng.normal(world.imitation, world.spread, world.persons)

    def votes(lead: Floats) -> Floats:
        said: Floats = (rng.random(lead.shape) < 1 / (1 + np.exp(-lead))).astype(float)
        return said

    parts = []
    for person in range(world.persons):
        chosen = rng.choice(total, rng.integers(world.pairs // 4, world.pairs + 1), replace=False)
        place = rng.integers(1, world.persons, len(chosen))
        other = (person + place) % world.persons
        lead, taste = common[chosen], own[person, chosen]
        rows = {
            "person": str(person),
            "instruction": (chosen // world.size).astype(str),
            "mean": votes(COMMON * lead + world.own * taste),
            "own": votes(sees[person] * lead + world.learnt * taste),
            "alone": votes(world.alone * lead),
            "others": votes(sees[other] * lead + world.learnt * own[other, chosen]),
        }
        parts.append(pd.DataFrame(rows))
    again = pd.DataFrame({"person": [], "instruction": [], "agreement": []})
    return likeness(pd.concat(parts, ignore_index=True), again, LEVEL)


class Claimed(NamedTuple):
    """The shares of the studies that say that imitations are better, and that they are personal."""

    better: float
    personal: float


def claimed(world: World, runs: int, seed: int = 0) -> Claimed:
    """How often each is said in so many studies."""
    said = []
    for run in range(runs):
        found = compared(world, np.random.default_rng([seed, run]))
        said.append((answer(found.gain) == "yes", answer(found.personal) == "yes"))
    return Claimed(*np.mean(said, axis=0).tolist())


def main() -> None:
    """Print a line for each world."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--runs", type=int, default=2_000)
    runs = options.parse_args().runs
    for name, world in WORLDS.items():
        found = claimed(world, runs)
        print(f"{name}: better in {found.better:.1%}, personal in {found.personal:.1%} of {runs} studies")


if __name__ == "__main__":
    main()
