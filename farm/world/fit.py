"""Fitting the tastes of people and judges to figures of AlpacaFarm: `python -m farm.world.fit`.

The pairs are of answers that the base model draws to validation instructions, which are like those that it
draws once it is fine-tuned. All figures are expectations over verdicts and panels, so fitting needs no
simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from annotators.rules import has_list
from db.ledger import Ledger, PairFilter
from db.records import Output, Pair
from farm.statistics.profile import LONGER_BY
from farm.world.build import SMALL, WorldSpec, splits
from farm.world.crowd import CROWD, Person, Tastes, crowd, traits
from farm.world.demonstrations import demonstrate
from farm.world.families import WorldTask
from farm.world.judges import CROWD_JUDGES, MEMBERS, member
from farm.world.language import ANSWER_TOKENS, base_model

Floats: TypeAlias = NDArray[np.float64]
PANEL = 4
SEEDS = range(5)
ROUNDS = 6
HALVINGS = 12


class Figures(NamedTuple):
    """Shares of verdicts. agreement: with the majority of three (other) people; then those for the longer
    output, for a list, and for what is shown first."""

    agreement: float
    longer: float
    lists: float
    first: float


PAPER = Figures(agreement=0.66, longer=0.64, lists=0.60, first=0.52)
FITTED: Mapping[str, str] = MappingProxyType(
    {"agreement": "noise", "longer": "length_lean", "lists": "list_lean", "first": "first_lean"}
)
"""Figure -> the taste that moves it most."""
LIMITS = {
    "noise": (0.2, 8.0),
    "length_lean": (-2.0, 4.0),
    "list_lean": (-2.0, 4.0),
    "first_lean": (-1.0, 2.0),
}


class Measured(NamedTuple):
    """Pairs as arrays. traits: output_a's less output_b's, (n, 11); longer, lists: 1 where output_a is by
    LONGER_BY characters the longer, or alone has a list, -1 where output_b, else 0, (n,)."""

    traits: Floats
    longer: Floats
    lists: Floats


class Chances(NamedTuple):
    """P(output_a preferred) by pair and person, (n, m): in each order, and their mean."""

    a_first: Floats
    b_first: Floats

    @property
    def mean(self) -> Floats:
        return (self.a_first + self.b_first) / 2


def demonstration_pairs(seed: int = 0, count: int = 500) -> list[Pair]:
    """Two demonstrations to each of so many validation instructions."""
    tasks = _validation(seed, count)
    return [_pair(task, *(demonstrate(task, f"fit/{seed}/{k}") for k in (0, 1))) for task in tasks]


def drawn_pairs(seed: int = 0, count: int = 2_000) -> list[Pair]:
    """Two answers of the base model, at temperature 1, to each of so many validation instructions."""
    from farm.config import Decoding
    from farm.models.policy import Policy
    from farm.models.tokens import Prompt
    from farm.training.rollout import draw

    tasks = _validation(seed, count)
    prompts = [Prompt(task.instruction.text, task.instruction.input) for task in tasks]
    policy, decoding = Policy.load(str(base_model())), Decoding(max_new_tokens=ANSWER_TOKENS)
    answers = iter(draw(policy, prompts, decoding, seed=seed, n=2).texts)
    return [_pair(task, next(answers), next(answers)) for task in tasks]


def _validation(seed: int, count: int) -> list[WorldTask]:
    return splits(WorldSpec(seed=seed, sizes=replace(SMALL, sft=1, validation=count, evaluation=1)))[
        "validation"
    ]


def _pair(task: WorldTask, one: str, other: str) -> Pair:
    return Pair.of(*(Output(task.instruction, text, sample=k) for k, text in enumerate((one, other))))[0]


def measured(pairs: Iterable[Pair]) -> Measured:
    """The pairs as those see them who judge; of equal texts there is nothing to say."""
    leads, longer, lists = [], [], []
    for pair in pairs:
        a, b = pair.output_a.text, pair.output_b.text
        if a == b:
            continue
        of_a, of_b = (traits(pair.instruction.text, pair.instruction.input, text) for text in (a, b))
        leads.append(np.subtract(of_a, of_b))
        longer.append(np.sign(len(a) - len(b)) * (abs(len(a) - len(b)) > LONGER_BY))
        lists.append(has_list(a) - has_list(b))
    return Measured(np.array(leads), np.array(longer, float), np.array(lists, float))


def chances(pairs: Measured, people: Sequence[Person]) -> Chances:
    """How each of the people would judge each pair."""
    lead = pairs.traits @ np.array([person.tastes for person in people]).T
    first = np.array([person.first_lean for person in people])
    noise = np.array([person.noise for person in people])
    return Chances(_sigmoid((lead + first) / noise), _sigmoid((lead - first) / noise))


def figures(pairs: Measured, judged: Chances, people: Chances | None = None, seed: int = 0) -> Figures:
    """What would be measured; agreement is with three others of `people`, of the judged where None."""
    dice = np.random.default_rng(seed)
    p = judged.mean
    panels = np.argsort(dice.random(p.shape), axis=1)[:, :PANEL]
    if people is None:
        voting = np.take_along_axis(p, panels, 1)
        agreement = np.mean([_agree(voting[:, k], np.delete(voting, k, 1)) for k in range(PANEL)])
    else:
        others = np.argsort(dice.random(people.mean.shape), axis=1)[:, : PANEL - 1]
        agreement = np.mean(_agree(p[:, 0], np.take_along_axis(people.mean, others, 1)))
    return Figures(
        float(agreement),
        _for(pairs.longer, p),
        _for(pairs.lists, p),
        float((judged.a_first.mean() + 1 - judged.b_first.mean()) / 2),
    )


def mean_figures(pairs: Measured, tastes: Tastes) -> Figures:
    """The figures of a crowd with these tastes, the mean over the crowds of several seeds."""
    every = [figures(pairs, chances(pairs, crowd(seed, tastes)), seed=seed) for seed in SEEDS]
    return _mean(every)


def mean_judged_figures(pairs: Measured, tastes: Tastes, people: Tastes = CROWD) -> Figures:
    """The figures of a pool of judges with these tastes, each pair judged by one of them."""
    every = []
    for seed in SEEDS:
        pool = chances(pairs, [member(f"member {k}", seed, tastes) for k in range(MEMBERS)])
        one = np.random.default_rng(seed).integers(MEMBERS, size=(len(pairs.longer), 1))
        judged = Chances(np.take_along_axis(pool.a_first, one, 1), np.take_along_axis(pool.b_first, one, 1))
        every.append(figures(pairs, judged, chances(pairs, crowd(seed, people)), seed))
    return _mean(every)


def _mean(every: Sequence[Figures]) -> Figures:
    return Figures(*(float(np.mean(column)) for column in zip(*every, strict=True)))


def fit(
    measure: Callable[[Tastes], Figures],
    start: Tastes,
    wanted: Figures,
    names: Iterable[str] = Figures._fields,
) -> Tastes:
    """Tastes whose figures of these names are the wanted ones: by bisection, in turns."""
    for _ in range(ROUNDS):
        for name in names:
            taste = FITTED[name]
            falls = taste == "noise"  # more of it, less agreement; more of a leaning, more for what it likes
            low, high = LIMITS[taste]
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                found: float = getattr(measure(replace(start, **{taste: middle})), name)
                low, high = (middle, high) if (found > getattr(wanted, name)) == falls else (low, middle)
            start = replace(start, **{taste: round((low + high) / 2, 3)})
    return start


def _for(side: Floats, p: Floats) -> float:
    """Share of verdicts for the side that has something, over the pairs in which one side has it."""
    differ = side != 0
    return float(np.where(side[differ, None] > 0, p[differ], 1 - p[differ]).mean())


def _agree(one: Floats, three: Floats) -> Floats:
    """P(a verdict is that of the majority of three others): (n,), (n, 3) -> (n,)."""
    x, y, z = three.T
    majority: Floats = x * y + y * z + x * z - 2 * x * y * z
    return one * majority + (1 - one) * (1 - majority)


def _sigmoid(x: Floats) -> Floats:
    even: Floats = 1 / (1 + np.exp(-x))
    return even


def main(arguments: Sequence[str]) -> None:
    """Print fitted tastes and their figures; on the pairs of a ledger where one is named (FILE SOURCE)."""
    found: Iterable[Pair] = () if arguments else (pair for seed in SEEDS for pair in drawn_pairs(seed))
    if arguments:
        with Ledger.open(arguments[0], read_only=True) as ledger:
            found = list(ledger.pairs(PairFilter(source=arguments[1])))
    pairs = measured(found)
    print(
        f"as they are: people {mean_figures(pairs, CROWD)}, judges {mean_judged_figures(pairs, CROWD_JUDGES)}"
    )
    people = fit(lambda tastes: mean_figures(pairs, tastes), CROWD, PAPER)
    judges = fit(
        lambda tastes: mean_judged_figures(pairs, tastes, people), CROWD_JUDGES, PAPER, ("agreement",)
    )
    print(f"people  {mean_figures(pairs, people)}\n        {people}")
    print(f"judges  {mean_judged_figures(pairs, judges, people)}\n        {judges}")


if __name__ == "__main__":
    main(sys.argv[1:])
