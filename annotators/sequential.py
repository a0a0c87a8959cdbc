"""One judge asked again and again, until it is clear which side it takes or a cap is reached.

The judge's votes are draws of P(output_a preferred), with a mean θ. After each one Beta(a + s, a + n − s) is
taken for what is known of θ, where s is the sum of n votes and a the weight of the prior. The pair is decided
where P(θ > ½) or P(θ < ½) is at least `sure` (a Bayesian sequential test; Wald 1945 has the classical one).

Asking stops where the votes agree, so their mean at the stop is too extreme. `mean` says instead the mean of
the first vote over all orders of these votes in which asking would have gone on to the last. Votes are
exchangeable and the first one has the mean θ, so this has the mean θ too, whatever θ is (Girshick, Mosteller
and Savage 1946; it is the first vote, improved as by Rao and Blackwell).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache, lru_cache, partial
from typing import NamedTuple

from annotators.composite import NOBODY, ROUNDING, UNTOLD, AnyAnnotator, Composite, Ruling, Stage, Vote
from annotators.composite_examples import is_as_expected, read_expected, said_of
from annotators.judgement import Verdict
from annotators.pool import Pool
from annotators.spec import read_preference
from annotators.strict_yaml import Reader
from db.ids import Json
from db.records import AnnotatorKind

MOST = 12  # draws at most: 4,096 sets of votes at most are looked at for one estimate


class Says(StrEnum):
    """What the judgement is."""

    MEAN = "mean"  # an estimate of P(the judge prefers output_a) without bias
    SIDE = "side"  # the side that the judge takes; open where the cap comes first


@dataclass(frozen=True)
class StoppingRule:
    """When to stop. sure: the posterior at which a side is decided, in (0.5, 1). most: draws at most.

    prior: a of Beta(a, a).
    """

    sure: float = 0.95
    most: int = 9
    prior: float = 1.0

    def side(self, votes: Sequence[float]) -> float | None:
        """The side that these votes decide, 1 or 0; None where they decide none."""
        behind = below_half(self.prior + math.fsum(votes), self.prior + len(votes) - math.fsum(votes))
        if max(behind, 1 - behind) < self.sure - ROUNDING:
            return None
        return float(behind < 0.5)

    @property
    def fewest(self) -> int:
        """The fewest draws that can decide a pair: so many are asked together. `most`, where none can."""
        return next((n for n in range(1, self.most) if self.side([1.0] * n) is not None), self.most)


class Outlook(NamedTuple):
    """What comes of a judge whose votes are 1 with chance θ, else 0. draws: their mean number.

    first, second: the chance that this side is decided. mean: of `mean` judgements. of_votes: of the mean of
    the votes at the stop, whose bias is of_votes − θ.
    """

    draws: float
    first: float
    second: float
    mean: float
    of_votes: float


@dataclass(frozen=True)
class SequentialRule:
    """One member, which is asked in stages of a draw each, but for the first stage."""

    member: AnyAnnotator
    stopping: StoppingRule
    says: Says = Says.MEAN

    @property
    def kind(self) -> AnnotatorKind:
        """See MakingRule."""
        return AnnotatorKind.SEQUENTIAL

    @property
    def draws(self) -> int:
        """See MakingRule."""
        return self.stopping.most

    @property
    def stages(self) -> tuple[Stage, ...]:
        """As many draws as decide a pair at the least, then one by one."""
        looks = range(self.stopping.fewest, self.stopping.most + 1)
        return tuple(
            Stage(
                (self.member,),
                partial(self.ruling, asked=n),
                draws=range(n - 1 if n > looks[0] else 0, n),
                gathers=True,
            )
            for n in looks
        )

    @property
    def lacking(self) -> str:
        """See MakingRule."""
        return ""

    def changed(self, change: Callable[[AnyAnnotator], AnyAnnotator]) -> SequentialRule:
        """See MakingRule."""
        return replace(self, member=change(self.member))

    def to_json(self) -> dict[str, Json]:
        """See MakingRule."""
        rule = self.stopping
        return {"sure": rule.sure, "most": rule.most, "prior": rule.prior, "says": str(self.says)}

    def ruling(self, votes: Sequence[Vote], asked: int) -> Ruling:
        """What the votes of all draws so far give, those without a verdict left out. asked: draws so far."""
        told = tuple(sorted(vote.preference for vote in votes if vote.preference is not None))
        if not votes:
            return Ruling(None, NOBODY)
        side, is_last = self.stopping.side(told), asked >= self.stopping.most
        if not told and is_last:
            return Ruling(Verdict(None, UNTOLD))
        if side is None and not (is_last and self.says is Says.MEAN):
            return Ruling(None, f"undecided after {asked} draws")
        return Ruling(Verdict(side if self.says is Says.SIDE else unbiased(told, self.stopping)))


@lru_cache(65_536)
def below_half(a: float, b: float) -> float:
    """P(θ < ½) of θ ~ Beta(a, b)."""
    from scipy.special import betainc  # takes a while to load, and few runs need it

    return float(betainc(a, b, 0.5))


@lru_cache(65_536)
def unbiased(votes: tuple[float, ...], rule: StoppingRule) -> float:
    """The mean of the first vote over the orders of these votes in which asking stops at the last one only.

    votes: all votes at the stop, sorted; at least one.
    """
    whole = Counter(votes)

    @cache
    def ways(left: tuple[int, ...]) -> int:
        """In how many orders the votes that are left can follow the others. left: how many of each value."""
        if not any(left):
            return 1
        before = [value for value, n in zip(whole, left, strict=True) for _ in range(whole[value] - n)]
        if before and rule.side(before) is not None:
            return 0
        return sum(ways(_less(left, place)) for place, n in enumerate(left) if n)

    every = tuple(whole.values())
    orders = [ways(_less(every, place)) for place in range(len(every))]
    return math.fsum(value * n for value, n in zip(whole, orders, strict=True)) / sum(orders)


def _less(counts: tuple[int, ...], place: int) -> tuple[int, ...]:
    return (*counts[:place], counts[place] - 1, *counts[place + 1 :])


def outlook(rule: StoppingRule, chance: float) -> Outlook:
    """What comes of a judge of votes 0 and 1, exactly. chance: θ, P(a vote is 1)."""
    reached: dict[tuple[int, int], float] = {(0, 0): 1.0}
    found: list[tuple[float, Outlook]] = []
    for n in range(1, rule.most + 1):
        after: defaultdict[tuple[int, int], float] = defaultdict(float)
        for (ones, zeros), weight in reached.items():
            after[ones + 1, zeros] += weight * chance
            after[ones, zeros + 1] += weight * (1 - chance)
        reached = {}
        for (ones, zeros), weight in after.items():
            votes = (0.0,) * zeros + (1.0,) * ones
            side = rule.side(votes)
            if side is None and n < rule.most:
                reached[ones, zeros] = weight
            else:
                end = Outlook(n, side == 1, side == 0, mean=unbiased(votes, rule), of_votes=ones / n)
                found.append((weight, end))
    places = range(len(Outlook._fields))
    return Outlook(*(math.fsum(weight * end[place] for weight, end in found) for place in places))


def read_sequential(entry: Reader, members: Sequence[AnyAnnotator]) -> SequentialRule | None:
    """Read the rule of an annotator whose member was read before. Errors are collected in the reader."""
    sure, most = entry.number("sure", 0.95, 0.5, 1.0), entry.integer("most", 9, 1, MOST)
    prior, says = entry.number("prior", 1.0, 0.0, 100.0), entry.choice("says", Says, Says.MEAN)
    if not 0.5 < sure < 1:
        entry.complain("sure", "expected a number between 0.5 and 1, and neither of them")
    if prior <= 0:
        entry.complain("prior", "expected a number above 0")
    if len(members) != 1:
        if not entry.problems:
            entry.complain("members", "one judge is asked again and again, so there is 1 member")
        return None
    [member] = members
    if why := _not_drawn(member):
        entry.complain("members", f"{member.name} {why}, so it cannot be drawn again and again")
    rule = SequentialRule(member, StoppingRule(sure, most, prior), says)
    if not entry.problems:
        _examine(entry, rule)
    return rule


def _not_drawn(member: AnyAnnotator) -> str:
    """Why further draws of a judge say nothing new, or cannot be had; empty where they can."""
    if isinstance(member, Pool):
        return ""
    if isinstance(member, Composite):
        return "is made of others"
    if member.recorded:
        return "reads stored replies"
    if member.kind is not AnnotatorKind.LLM:
        return "says the same each time"
    return "judges several outputs in one reply" if member.more else ""


def _examine(entry: Reader, rule: SequentialRule) -> None:
    """Check the annotator's own examples: the votes of the draws, and what they give."""
    for example in entry.readers("examples"):
        given = example.take("votes", ())
        said = [read_preference(example, "votes", each) for each in given] if isinstance(given, list) else []
        expected, contested = read_expected(example)
        example.close()
        found, used = Ruling(None), 0
        for stage in rule.stages:
            used = stage.draws.stop
            if len(said) >= used:
                found = stage.rule([Vote(0, vote) for vote in said[:used]])
            if found.verdict or len(said) <= used:
                break
        right = is_as_expected(found, expected, contested) and len(said) <= used
        if not right and not entry.problems:
            after = f" after {used} draws" if found.verdict else ""
            example.complain("expect", f"the votes give {said_of(found)}{after}")
