"""`farm people plan`: how many labels people must give, and which annotators to buy beside them.

The statistics are in farm/statistics/study_size.py and judge_choice.py. Several intervals, such as the win
rates of several models, are all to be narrow enough in the wanted share of studies. So each of m is planned
for the share 1 - (1 - assurance) / m (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
from scipy.special import expit

from db.errors import ConfigError
from db.ledger import Ledger
from farm.evaluation.plan_judges import Buying, buying
from farm.evaluation.plan_pool import PlanPool, plan_pool
from farm.evaluation.plan_report import JudgesLookedAt, PeoplePlan, PlannedInterval, VotesLookedAt
from farm.evaluation.plan_targets import PlanTarget, targets
from farm.evaluation.references import Who, annotators_named
from farm.evaluation.scope import EVERYTHING, Scope
from farm.options.people import Planning
from farm.statistics.study_size import SimulatedPilots, labels_for, pool_for, simulate, simulated_share

MOST_PEOPLE = 8  # on a question; more are planned only where --people says so


class _Sized(NamedTuple):
    """A target with its simulated pilots and the questions it needs; None where no number is enough."""

    target: PlanTarget
    pilots: SimulatedPilots
    needed: int | None
    sure: float  # the share of studies for which it is planned

    @property
    def fits(self) -> bool:
        """Whether the pool has as many."""
        return self.needed is not None and self.needed <= self.pilots.largest

    def interval(self, kind: str, half_width: float) -> PlannedInterval:
        """As the report has it."""
        n = self.needed or 0
        low, high = np.quantile(self.pilots.half_widths(n), [0.05, 0.95])
        return PlannedInterval(
            of=self.target.of,
            value=float(expit(self.pilots.value)) if kind == "gap" else self.pilots.value,
            questions=self.pilots.largest,
            there=int((~np.isnan(self.target.labels)).sum()),
            needed=n,
            low=float(low),
            high=float(high),
            reached=self.pilots.reached(n, half_width),
        )


@dataclass(frozen=True)
class _Study:
    """What a plan is made for. names: the annotators that were named."""

    pool: PlanPool
    scope: Scope
    names: Sequence[str]
    wanted: Planning

    def targets(self, people: int) -> list[PlanTarget]:
        """The estimates, with so many people on each question."""
        return targets(self.pool, self.wanted, people, scope=self.scope, names=self.names)

    def sized(self, planned: Sequence[PlanTarget], judges: Sequence[str], optimism: float) -> list[_Sized]:
        """Each target with the questions that it needs beside these judges. Raises ValueError."""
        sure = 1 - (1 - self.wanted.assurance) / len(planned)
        found = []
        for target in planned:
            pilots = self._simulated(target, judges, optimism)
            found.append(_Sized(target, pilots, labels_for(pilots, self.wanted.half_width, sure), sure))
        return found

    def _simulated(self, target: PlanTarget, judges: Sequence[str], optimism: float) -> SimulatedPilots:
        sizes = np.bincount(self.pool.instructions[target.rows]).astype(float)
        sizes = sizes[sizes > 0]
        times = 1.0 if self.wanted.pool is None else self.wanted.pool / len(self.pool.instructions)
        rows, told = np.flatnonzero(target.rows), None
        if judges:
            each = [self.pool.candidates[name] for name in judges]
            rows = np.flatnonzero(target.rows & np.all([one.asked for one in each], axis=0))
            told = np.mean([np.nan_to_num(one.verdicts[rows], nan=0.5) for one in each], axis=0)
            told = np.where(target.mirrored[rows], 1 - told, told)
        return simulate(
            target.labels[rows],
            np.unique(self.pool.instructions[rows], return_inverse=True)[1],
            np.resize(sizes, max(1, round(len(sizes) * times))),
            judge=told,
            optimism=optimism,
            rule=target.rule,
            runs=self.wanted.runs,
            seed=self.wanted.seed,
        )

    def questions(self, sized: Sequence[_Sized]) -> int | None:
        """The questions to label in all; None where the pool is too small.

        Models that all meet one reference share no question. Where models meet each other, a random share of
        all questions is labelled, as large as the most demanding model needs.
        """
        if not all(each.fits for each in sized):
            return None
        needed = [each.needed or 0 for each in sized]
        if self.wanted.of != "win-rate":
            return max(needed)
        if self.apart:
            return sum(needed)
        share = max(n / each.pilots.largest for n, each in zip(needed, sized, strict=True))
        return int(np.ceil(share * (self.wanted.pool or len(self.pool.instructions))))

    @property
    def apart(self) -> bool:
        """Whether the estimates share no question."""
        alone = self.scope.model is not None or self.pool.reference() is not None
        return self.wanted.of == "win-rate" and alone

    def still(self, sized: Sequence[_Sized], questions: int, people: int) -> tuple[int, int]:
        """Labels of the pilot that count, and those that are still to be got."""
        there = self.pool.labels_there(people)
        if self.apart:
            own = [int(there[each.target.rows].sum()) for each in sized]
            short = [max(0, (each.needed or 0) * people - n) for each, n in zip(sized, own, strict=True)]
            return sum(own), sum(short)
        rows = np.any([each.target.rows for each in sized], axis=0)
        n = int(there[rows].sum())
        return n, max(0, questions * people - n)


def people_plan(
    ledger: Ledger, wanted: Planning, annotators: Sequence[str] = (), scope: Scope = EVERYTHING
) -> PeoplePlan:
    """Plan labels and annotators from the pilot in the ledger.

    annotators: those that may be bought, or whose agreement is planned; none means all. Raises ConfigError
    without a pilot, with a pilot that is too small, and where no study of the pool gives the wanted width.
    """
    if scope.against and not scope.model:
        raise ConfigError(
            "--against says whom a model meets", where="--against", remedy="name it with --model"
        )
    pool = plan_pool(ledger, scope)
    there = [Who(place, each.name, each.kind) for place, each in enumerate(pool.candidates.values())]
    names = [each.name for each in annotators_named(there, annotators)] if annotators else []
    study = _Study(pool, scope, names, wanted)
    try:
        return _planned(study)
    except ValueError as error:
        raise ConfigError(
            str(error), where="the pilot", remedy="let people label more questions first: `farm label`"
        ) from None


def _planned(study: _Study) -> PeoplePlan:
    """The plan. Raises ValueError where the pilot is too small."""
    wanted = study.wanted
    first = wanted.people or (2 if wanted.of == "alpha" else 1)
    planned = study.targets(first)
    shop = Buying()
    if wanted.of == "win-rate":
        alone = sum(each.needed or 10 * each.pilots.largest for each in study.sized(planned, (), 0.0))
        shop = buying(study.pool, wanted, study.names, targets=planned, alone=alone)
    judges, optimism = shop.called(shop.chosen.members), shop.chosen.optimism
    tried = list(_by_people(study, judges, optimism, first=first))
    fitting = [(each, sized) for each, sized in tried if each.labels is not None]
    if not fitting:
        _refuse(study, study.sized(planned, judges, optimism), judges)
    best, sized = min(fitting, key=lambda one: one[0].labels or 0)
    there, still = study.still(sized, best.questions or 0, best.people)
    cost = sum(each.price for each in shop.chosen.looked_at if each.members == shop.chosen.members)
    return PeoplePlan(
        kind=wanted.of,
        half_width=wanted.half_width,
        assurance=wanted.assurance,
        runs=wanted.runs,
        seed=wanted.seed,
        people=best.people,
        persons=int((~np.isnan(study.pool.votes)).any(axis=0).sum()),
        labels=best.labels or 0,
        there=there,
        still=still,
        buy=judges,
        cost=cost,
        budget=wanted.budget,
        label_cost=None if wanted.label_price is None else wanted.label_price * still,
        unpriced=tuple(name for name in judges if name in shop.unpriced),
        intervals=tuple(each.interval(wanted.of, wanted.half_width) for each in sized),
        judges=tuple(_looked_at(study, planned, shop)),
        votes=tuple(each for each, _ in tried),
        left_out=shop.left_out,
    )


def _by_people(
    study: _Study, judges: Sequence[str], optimism: float, *, first: int
) -> Iterator[tuple[VotesLookedAt, list[_Sized]]]:
    """The labels with each number of people on a question. Agreement with more people is another estimate."""
    most = min(MOST_PEOPLE, int((~np.isnan(study.pool.votes)).sum(axis=1).max()))
    fixed = study.wanted.people is not None or study.wanted.of == "agreement"
    for people in range(first, first + 1 if fixed else max(first, most) + 1):
        try:
            sized = study.sized(study.targets(people), judges, optimism)
        except ValueError as error:
            if people == first:
                raise
            yield VotesLookedAt(people, None, None, str(error)), []
            continue
        questions = study.questions(sized)
        labels = None if questions is None else questions * people
        yield VotesLookedAt(people, questions, labels, "" if labels else "the pool is too small"), sized


def _looked_at(study: _Study, planned: Sequence[PlanTarget], shop: Buying) -> Iterator[JudgesLookedAt]:
    """People alone, then the best set of each size up to the first that is not taken."""
    if study.wanted.of != "win-rate":
        return
    chosen = shop.chosen
    alone = study.questions(study.sized(planned, (), 0.0))
    yield JudgesLookedAt(
        annotators=(), cost=0.0, explained=0.0, better=None, labels=alone, taken=not chosen.members
    )
    for each in chosen.looked_at:
        names = shop.called(each.members)
        found = study.questions(study.sized(planned, names, chosen.optimism))
        yield JudgesLookedAt(
            annotators=names,
            cost=each.price,
            explained=each.explained,
            better=each.better,
            labels=found,
            taken=each.members == chosen.members,
        )
        if not each.taken:
            return


def _refuse(study: _Study, sized: Sequence[_Sized], judges: Sequence[str]) -> NoReturn:
    """The error for a wish that the pool cannot reach. It says what the pool gives, and what would do."""
    wish = study.wanted.half_width
    worst = max(sized, key=lambda each: float(np.median(each.pilots.half_widths(each.pilots.largest))))
    pilots, sure = worst.pilots, worst.sure
    reach = float(np.quantile(pilots.half_widths(pilots.largest), simulated_share(sure)))
    enough = pool_for(pilots, wish, sure)
    beside = f" beside {', '.join(judges)}" if judges else ""
    larger = (
        "" if enough is None else f"about {enough:,} such questions, all labelled, would do (--pool); or "
    )
    raise ConfigError(
        f"all {pilots.largest:,} questions of the {worst.target.of}, labelled{beside}, give +-{reach:.3f} "
        f"in {sure:.0%} of studies, not +-{wish:g}",
        where="--half-width",
        remedy=f"{larger}accept --half-width {np.ceil(reach * 1000) / 1000:g}",
    )
