"""Fits the tastes of people and judges to figures of AlpacaFarm: `python -m farm.world.fit`.

The pairs are two answers of the base model to validation instructions; a fine-tuned model gives similar ones.
All figures are expectations over verdicts, computed without drawing any.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from annotators.lists import has_list
from db.ledger import Ledger, PairFilter
from db.records import Output, Pair
from farm.config import Decoding
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.statistics.profile import LONGER_BY
from farm.training.rollout import draw
from farm.world.build import SMALL, WorldSpec, splits
from farm.world.crowd import CROWD, Person, Tastes, crowd, traits
from farm.world.families import WorldTask
from farm.world.judges import CROWD_JUDGES, MEMBERS, member
from farm.world.language import ANSWER_TOKENS, base_model

Floats: TypeAlias = NDArray[np.float64]
PANEL = 4  # people who judge a pair: each is compared with the majority of the three others
SEEDS = range(5)  # worlds that figures are averaged over
ROUNDS = 6  # rounds of fitting, each over all tastes
HALVINGS = 12  # steps of a bisection


class Figures(NamedTuple):
    """Shares of verdicts, in [0, 1]."""

    agreement: float  # equal to the majority of three other people
    longer: float  # for the longer output, where the lengths differ by more than LONGER_BY
    lists: float  # for the output with a list, where one output alone has one
    first: float  # for the output shown first


PAPER = Figures(agreement=0.66, longer=0.64, lists=0.60, first=0.52)
FITTED: Mapping[str, str] = MappingProxyType(
    {"agreement": "noise", "longer": "length_lean", "lists": "list_lean", "first": "first_lean"}
)
"""Figure -> the taste that is fitted to it, which is the one that changes it most."""
LIMITS = {
    "noise": (0.2, 8.0),
    "length_lean": (-2.0, 4.0),
    "list_lean": (-2.0, 4.0),
    "first_lean": (-1.0, 2.0),
}


class Measured(NamedTuple):
    """n pairs as arrays."""

    traits: Floats  # (n, 11): traits of output_a minus traits of output_b
    longer: Floats  # (n,): 1 where output_a is longer by more than LONGER_BY characters, -1 output_b, else 0
    lists: Floats  # (n,): 1 where output_a alone has a list, -1 where output_b alone has, else 0


class Chances(NamedTuple):
    """P(output_a preferred) for n pairs and m people."""

    a_first: Floats  # (n, m): output_a is shown first
    b_first: Floats  # (n, m): output_b is shown first

    @property
    def mean(self) -> Floats:
        """(n, m): the mean over both orders."""
        return (self.a_first + self.b_first) / 2


def drawn_pairs(seed: int = 0, count: int = 2_000) -> list[Pair]:
    """For each of `count` validation instructions, a pair of answers of the base model at temperature 1."""
    tasks = _validation(seed, count)
    prompts = [Prompt.of(task.instruction) for task in tasks]
    policy, decoding = Policy.load(str(base_model())), Decoding(max_new_tokens=ANSWER_TOKENS)
    answers = iter(draw(policy, prompts, decoding, seed=seed, n=2).texts)
    return [_pair(task, next(answers), next(answers)) for task in tasks]


def _validation(seed: int, count: int) -> list[WorldTask]:
    return splits(WorldSpec(seed=seed, sizes=replace(SMALL, sft=1, validation=count, evaluation=1)))[
        "validation"
    ]


def _pair(task: WorldTask, one: str, other: str) -> Pair:
    return Pair.of(*(Output(task.instruction, text, sample=k) for k, text in enumerate((one, other))))[0]


def measure_pairs(pairs: Iterable[Pair]) -> Measured:
    """Features of each pair as judges see them. Pairs with equal texts are skipped."""
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
    """P(output_a preferred) of each person on each pair."""
    lead = pairs.traits @ np.array([person.tastes for person in people]).T
    first = np.array([person.first_lean for person in people])
    noise = np.array([person.noise for person in people])
    return Chances(_sigmoid((lead + first) / noise), _sigmoid((lead - first) / noise))


def figures(pairs: Measured, judged: Chances, people: Chances | None = None, seed: int = 0) -> Figures:
    """The expected figures of verdicts with these chances.

    people: agreement is with three of these people, drawn by the seed. None: each of PANEL persons, drawn by
    the seed from `judged` itself, is compared with the others.
    """
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
    """The figures of a crowd with these tastes: the mean over the crowds of SEEDS."""
    every = [figures(pairs, chances(pairs, crowd(seed, tastes)), seed=seed) for seed in SEEDS]
    return _mean(every)


def mean_judged_figures(pairs: Measured, tastes: Tastes, people: Tastes = CROWD) -> Figures:
    """The figures of MEMBERS judges with these tastes: the mean over SEEDS. One judge judges each pair.

    people: the tastes of the crowd that agreement is with.
    """
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
    """Change the start's tastes until its named figures are the wanted ones.

    Each figure has one taste (FITTED), which is found by bisection within LIMITS. The tastes take turns for
    ROUNDS rounds. Returns tastes rounded to three decimals.
    """
    for _ in range(ROUNDS):
        for name in names:
            taste = FITTED[name]
            falls = taste == "noise"  # the figure falls as noise grows; it rises with every leaning
            low, high = LIMITS[taste]
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                found: float = getattr(measure(replace(start, **{taste: middle})), name)
                low, high = (middle, high) if (found > getattr(wanted, name)) == falls else (low, middle)
            start = replace(start, **{taste: round((low + high) / 2, 3)})
    return start


def _for(side: Floats, p: Floats) -> float:
    """Mean of P(the marked output is preferred) over the pairs with side 1 (output_a) or -1 (output_b)."""
    differ = side != 0
    return float(np.where(side[differ, None] > 0, p[differ], 1 - p[differ]).mean())


def _agree(one: Floats, three: Floats) -> Floats:
    """P(a verdict equals the majority of three others), (n,). one: P(output_a), (n,); three: (n, 3)."""
    x, y, z = three.T
    majority: Floats = x * y + y * z + x * z - 2 * x * y * z
    return one * majority + (1 - one) * (1 - majority)


def _sigmoid(x: Floats) -> Floats:
    even: Floats = 1 / (1 + np.exp(-x))
    return even


def main(arguments: Sequence[str]) -> None:
    """Print fitted tastes and their figures.

    arguments: a ledger and a source whose pairs are used; where empty, the base model draws pairs.
    """
    found: Iterable[Pair] = () if arguments else (pair for seed in SEEDS for pair in drawn_pairs(seed))
    if arguments:
        with Ledger.open(arguments[0], read_only=True) as ledger:
            found = list(ledger.pairs(PairFilter(source=arguments[1])))
    pairs = measure_pairs(found)
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
