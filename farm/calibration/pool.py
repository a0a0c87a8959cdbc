"""Fit a pool of annotators to people.

The weights of the pool's members and its label noise are fitted to people's votes on one part of the
instructions (farm/statistics/crowd_fit.py). The pool before and after is scored on the other part by the
measures of `farm audit`. For that the pool is replayed offline: its keyed draws pick among verdicts that its
members already gave. Nobody is asked anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from annotators import catalogue
from annotators.draws import Occasion, Orders
from annotators.lists import has_list
from annotators.pool import Pool
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import Json, keyed_index, keyed_uniform
from db.ledger import Ledger
from db.queries.frames import Judgements, identities, judgements
from db.records import AnnotatorCard
from db.whole_files import write_bytes_whole
from farm.audit import AuditOptions, audit
from farm.evaluation.json_figures import interval_json
from farm.evaluation.references import named, reference_members
from farm.judging.in_process import named_models
from farm.options.calibrate import CalibrateTask
from farm.statistics.agreement import Floats, Ints, categories, one_vote_each
from farm.statistics.agreement import votes as count_votes
from farm.statistics.bootstrap import Interval
from farm.statistics.bounds import Told, answer, clustered_difference
from farm.statistics.crowd_fit import FOLDS, LEAST, CrowdFit, MemberVerdicts, fit_crowd
from farm.statistics.vote_distribution import Shares, brier, shares, shares_of_counts

SCORES = ("agreement", "variance", "brier", "kl")
DECIMALS = 4  # of the weights and the noise in the written file


@dataclass(frozen=True)
class Weighed:
    """One member of the pool.

    judgements: how often it judged a question, on average. before, after: its weight in the pool. The weights
    of all members sum to 1.
    """

    name: str
    judgements: float
    before: float
    after: float


@dataclass(frozen=True)
class Calibration:
    """The result of a fit.

    fitted, held: the number of questions for the fit and for the check. votes: the usual number of people on
    a question; the replayed pool labels each question as often. scores: the measures on the held-out
    questions, by name, of `people` and of the pool `before` and `after`. gain: the mean Brier score before
    less that after, on the questions where both are known, with bounds by instruction.
    """

    pool: str
    out: Path
    fingerprint: str
    fitted: int
    held: int
    votes: int
    members: tuple[Weighed, ...]
    flip_before: float
    fit: CrowdFit
    scores: Mapping[str, Mapping[str, Interval]]
    gain: Interval

    @property
    def judged_once(self) -> bool:
        """Whether some member judged most questions only once, so that its own randomness is unknown."""
        return min(member.judgements for member in self.members) < 1.5

    @property
    def better(self) -> Told | None:
        """Whether the Brier score on the held-out questions is shown to have fallen."""
        return answer(self.gain)

    def to_json(self) -> Json:
        """The result as a JSON object."""
        scores: dict[str, Json] = {
            who: {name: interval_json(each) for name, each in found.items()}
            for who, found in self.scores.items()
        }
        members: list[Json] = [
            {"name": each.name, "judgements": each.judgements, "before": each.before, "after": each.after}
            for each in self.members
        ]
        return {
            "pool": self.pool,
            "out": str(self.out),
            "fingerprint": self.fingerprint,
            "questions": {"fitted": self.fitted, "held_out": self.held},
            "votes": self.votes,
            "members": members,
            "flip": {"before": self.flip_before, "after": self.fit.flip},
            "penalty": self.fit.penalty,
            "judged_once": self.judged_once,
            "better": self.better,
            "gain": interval_json(self.gain),
            "scores": scores,
        }


@dataclass(frozen=True)
class _Labelled:
    """The questions that people judged, with the judgements of people and of the pool's members.

    units: as in db/queries/frames.py, with the columns pair and instruction (hashes) and held (bool). people:
    their judgements. members: the judgements of each member, in the pool's order. cards: of the people.
    """

    units: pd.DataFrame
    people: pd.DataFrame
    members: tuple[pd.DataFrame, ...]
    cards: tuple[AnnotatorCard, ...]

    @property
    def votes(self) -> int:
        """The most frequent number of people on a question, among questions with two or more; at least 2."""
        told = self.people.dropna(subset="preference").drop_duplicates(["unit", "annotator"])
        counts = np.bincount(told["unit"].value_counts().to_numpy())
        return int(counts[2:].argmax()) + 2 if len(counts) > 2 else 2


def calibrate_pool(ledger: Ledger, pool: Pool, task: CalibrateTask) -> Calibration:
    """Fit the pool, score it, and write the new pool's file.

    Raises ConfigError where judgements are missing.
    """
    judging = named_models(pool).annotator if task.local else pool
    assert isinstance(judging, Pool)
    labelled = _labelled(ledger, judging, task)
    held = labelled.units["held"]
    fit = _fitted(labelled, task)
    if held.sum() < LEAST:
        remedy = "hold more out with --held-out, or let people judge more"
        raise ConfigError(f"{held.sum()} questions are held out; a check wants {LEAST}", remedy=remedy)
    fit = replace(fit, weights=np.round(fit.weights, DECIMALS), flip=round(fit.flip, DECIMALS))
    fresh = _reweighted(pool, fit, task.out.stem)
    kept = tuple(labelled.members[place] for place in np.flatnonzero(fit.weights > 0))
    pools = {"before": (pool, labelled.members), "after": (fresh, kept)}
    check = _Check.of(labelled, pools)
    weights = fit.weights.tolist()
    text = catalogue.reweighted(
        task.pool, pool, title=fresh.name, weights=weights, flip=fit.flip, folder=task.out.parent
    )
    write_bytes_whole(task.out, (_heading(task) + text).encode())
    total = sum(member.weight for member in pool.members)
    members = tuple(
        Weighed(member.spec.name, len(rows) / max(rows["unit"].nunique(), 1), member.weight / total, after)
        for member, rows, after in zip(pool.members, labelled.members, weights, strict=True)
    )
    return Calibration(
        pool=pool.name,
        out=task.out,
        fingerprint=fresh.fingerprint,
        fitted=int((~held).sum()),
        held=int(held.sum()),
        votes=labelled.votes,
        members=members,
        flip_before=pool.noise.flip,
        fit=fit,
        scores=check.scores(task.reference),
        gain=check.gain(),
    )


def _reweighted(pool: Pool, fit: CrowdFit, name: str) -> Pool:
    """The pool with the fitted weights and noise; members with weight 0 are left out."""
    members = (replace(m, weight=w) for m, w in zip(pool.members, fit.weights.tolist(), strict=True) if w > 0)
    return replace(pool, name=name, members=tuple(members), noise=replace(pool.noise, flip=fit.flip))


def _heading(task: CalibrateTask) -> str:
    what = f"the votes of {task.reference!r} on questions of {task.source or 'all sources'!r}"
    return (
        f"# {task.pool!r}, weights and noise fitted by `farm annotators calibrate` to {what};\n"
        f"# {task.held_out:g} of the instructions were held out (seed {task.seed}).\n"
    )


def _labelled(ledger: Ledger, pool: Pool, task: CalibrateTask) -> _Labelled:
    """Read the questions and judgements. Raises ConfigError where the reference or a member has not
    judged."""
    found = judgements(ledger, has_list, task.source, task.subset)
    people = reference_members(named(found.annotators), task.reference)
    ours = _who(found, pool, task)
    rows = found.judgements
    by_people = rows[rows["annotator"].isin([each.code for each in people])]
    units = found.units[~found.units["identical"]].merge(identities(ledger), on="pair_id")
    units = units[units["unit"].isin(by_people.dropna(subset="preference")["unit"])]
    draws = [keyed_uniform("calibration held out", key, task.seed) for key in units["instruction"]]
    units = units.assign(held=np.array(draws) < task.held_out)

    def of(codes: list[int]) -> pd.DataFrame:
        mine = rows[rows["annotator"].isin(codes) & rows["unit"].isin(units["unit"])]
        return mine.sort_values(["unit", "replicate", "swapped"], kind="stable")

    def verdicts(codes: list[int]) -> pd.DataFrame:
        """Judgements of one member. Where it has two names, a judgement that both have counts once."""
        return of(codes).drop_duplicates(["unit", "replicate", "swapped"])

    cards = tuple(card for card in found.annotators if card.id in {each.code for each in people})
    members = tuple(verdicts([card.id for card in mine]) for mine in ours)
    return _Labelled(units, of([each.code for each in people]), members, cards)


def _who(found: Judgements, pool: Pool, task: CalibrateTask) -> list[list[AnnotatorCard]]:
    """For each member, the annotators of the ledger that are this member alone, with any rule of orders.

    Raises ConfigError where a member has none.
    """
    by_spec: dict[str, list[AnnotatorCard]] = {}
    for card in found.annotators:
        by_spec.setdefault(card.spec_json, []).append(card)
    ours = [
        [card for orders in Orders for card in by_spec.get(_spec_json(spec, orders), [])]
        for spec in pool.alone
    ]
    missing = [spec.name for spec, mine in zip(pool.alone, ours, strict=True) if not mine]
    if missing:
        some = f"{', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
        raise ConfigError(
            f"{len(missing)} of {len(ours)} members have judged nothing that people judged ({some})",
            where=task.pool,
            remedy=f"`farm annotate {task.pool} --members --replicates 2`, with the same --model as here",
        )
    return ours


def _spec_json(spec: AnnotatorSpec, orders: Orders) -> str:
    return replace(spec, orders=orders).card.spec_json


def _fitted(labelled: _Labelled, task: CalibrateTask) -> CrowdFit:
    """The fit on the questions that are not held out. Each person has one vote on a question."""
    units = labelled.units[~labelled.units["held"]]
    place = pd.Series(np.arange(len(units)), index=units["unit"])
    verdicts = [shares(*_cells(place, rows), len(units)) for rows in labelled.members]
    folds = [keyed_index(FOLDS, "calibration fold", key) for key in units["instruction"]]
    judged = MemberVerdicts.of(verdicts, _votes(place, labelled.people))
    try:
        return fit_crowd(judged, np.array(folds, dtype=np.int64))
    except ValueError as error:
        remedy = (
            f"let people and all members judge more of the same pairs; {LEAST} are few, hundreds are well"
        )
        raise ConfigError(str(error), where=task.pool, remedy=remedy) from None


def _cells(place: pd.Series, rows: pd.DataFrame) -> tuple[Ints, Floats]:
    """The place of each judgement's question and its preference, (n,) each. place: of a question's unit."""
    mine = rows[rows["unit"].isin(place.index)]
    return place[mine["unit"]].to_numpy(), mine["preference"].to_numpy(float)


def _votes(place: pd.Series, people: pd.DataFrame) -> Shares:
    """People's votes on each question that has a place: each person has one."""
    mine = people[people["unit"].isin(place.index)]
    where, preference = _cells(place, mine)
    ballots = one_vote_each(where, mine["annotator"].to_numpy(np.int64), categories(preference), len(place))
    return shares_of_counts(count_votes(ballots.units, ballots.category, len(place)))


@dataclass(frozen=True)
class _Check:
    """The held-out questions, with people's judgements of them and the labels of each replayed pool."""

    units: pd.DataFrame
    people: pd.DataFrame
    labels: Mapping[str, pd.DataFrame]
    cards: tuple[AnnotatorCard, ...]

    @classmethod
    def of(cls, labelled: _Labelled, pools: Mapping[str, tuple[Pool, tuple[pd.DataFrame, ...]]]) -> _Check:
        """Replay the pools, each given with its members' verdicts. Their codes follow those of people.

        A pool labels each question as often as people did.
        """
        units = labelled.units[labelled.units["held"]]
        people = labelled.people[labelled.people["unit"].isin(units["unit"])]
        labels, cards = {}, list(labelled.cards)
        for code, (when, (pool, members)) in enumerate(pools.items(), max(card.id for card in cards) + 1):
            labels[when] = _rehearsed(pool, members, units=units, times=labelled.votes, code=code)
            cards.append(replace(pool.card, name=f"pool {when}", id=code))
        return cls(units, people, labels, tuple(cards))

    def scores(self, reference: str) -> dict[str, dict[str, Interval]]:
        """The audit's measures of people and of each pool."""
        rows = pd.concat([self.people, *self.labels.values()], ignore_index=True)
        report = audit(Judgements(rows, self.units, self.cards), AuditOptions(reference=reference)).whole
        found = {each.name: dict(each.measures) for each in report.annotators}
        of_people = dict(report.reference.measures)
        of_people["variance"] = _complement(of_people["agreement"])
        every = {"people": of_people} | {when: found[f"pool {when}"] for when in self.labels}
        return {who: {name: each[name] for name in SCORES if name in each} for who, each in every.items()}

    def gain(self) -> Interval:
        """The mean of the Brier score before less that after, question by question, in clusters.

        Both scores are of the same people, so each difference is in [-1, 1].
        """
        place = pd.Series(np.arange(len(self.units)), index=self.units["unit"])
        people = _votes(place, self.people)
        before, after = (
            brier(shares(*_cells(place, self.labels[when]), len(place)), people)
            for when in ("before", "after")
        )
        known = ~np.isnan(before - after)
        instructions = self.units["instruction"].to_numpy(str)
        return clustered_difference((before - after)[known], instructions[known])


def _complement(found: Interval) -> Interval:
    value, low, high = (None if each is None else 1 - each for each in (found.value, found.low, found.high))
    return Interval(value, high, low, found.n)


def _rehearsed(
    pool: Pool, members: tuple[pd.DataFrame, ...], units: pd.DataFrame, times: int, code: int
) -> pd.DataFrame:
    """Replay the pool: the labels that it would give, `times` for each question, as judgements of `code`.

    The pool's keyed draws pick the member. The k-th time that a member is picked for a question it gives its
    k-th verdict. After the last verdict it starts again with the first.
    """
    verdicts = [
        {unit: part[["preference", "swapped"]].to_numpy(float) for unit, part in rows.groupby("unit")}
        for rows in members
    ]
    labels = []
    for unit, pair in zip(units["unit"].tolist(), units["pair"].tolist(), strict=True):
        drawn = [0] * len(members)
        for replicate in range(times):
            occasion = Occasion(pair, pool.draw_key, replicate)
            place = pool.place(occasion)
            own = verdicts[place].get(unit)
            if own is None:
                continue
            preference, swapped = own[drawn[place] % len(own)]
            drawn[place] += 1
            coin = pool.noise.coin(occasion)
            label = pool.noise.label(preference, occasion) if coin is None else coin
            labels.append((unit, code, label, int(swapped), replicate, np.nan, np.nan))
    columns = ["unit", "annotator", "preference", "swapped", "replicate", "price", "seconds"]
    return pd.DataFrame(labels, columns=columns)
