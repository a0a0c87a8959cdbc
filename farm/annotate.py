"""Letting annotators judge the ledger's pairs: `farm annotate`.

What was judged already is not judged again, so an interrupted run is continued by running it again; what
failed is tried again, as a later attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from annotators import catalogue
from annotators.draws import Orders
from annotators.judgement import Judgement
from annotators.pool import Pool
from annotators.rules import RuleAnnotator
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Asked, Ledger, PairFilter
from db.records import Annotation, Pair, Status

BATCH = 1_000  # pairs judged in one transaction
Progress = Callable[[str, int], None]  # (annotator, judgements so far)


@dataclass(frozen=True)
class Task:
    """What is asked of an annotator: which pairs, how often, in which orders. None: as its spec says."""

    pairs: PairFilter = PairFilter()
    replicates: int = 1
    orders: Orders | None = None
    seed: int | None = None
    utility: str = ""  # of the oracle: package.module:function


@dataclass(frozen=True)
class AnnotateReport:
    """What became of the pairs: pairs * questions = known + the sum of statuses."""

    annotator: str
    fingerprint: str
    pairs: int
    known: int  # judged before
    statuses: dict[str, int]  # of the new judgements

    def to_json(self) -> Json:
        return {
            "annotator": self.annotator,
            "fingerprint": self.fingerprint,
            "pairs": self.pairs,
            "already": self.known,
            "new": sum(self.statuses.values()),
            "statuses": self.statuses,
        }


def orders_named(name: str | None) -> Orders | None:
    """random, both or stored; raises ConfigError on another name."""
    if name is None:
        return None
    try:
        return Orders(name)
    except ValueError:
        raise ConfigError(f"--orders is {name!r}", remedy=f"one of {', '.join(Orders)}") from None


def annotate(ledger: Ledger, name: str, task: Task, progress: Progress) -> AnnotateReport:
    """Let the annotator of this name judge the pairs that it has not judged yet."""
    spec = _spec(name, task)
    annotator = RuleAnnotator.of(spec, task.utility)
    with ledger.writing() as writer:
        [annotator_id] = writer.annotators([annotator.card()])
    flipped = ledger.flipped_pairs() if annotator.spec.orders is Orders.STORED else set()
    count, known, statuses = 0, 0, Counter[str]()
    pairs = ledger.pairs(task.pairs)
    while batch := list(islice(pairs, BATCH)):
        standing = ledger.standing(annotator_id, [pair.id for pair in batch])
        facts = []
        for pair, asked in _questions(annotator, batch, task.replicates, flipped):
            before = standing.get(asked)
            if before and before.status is not Status.FAILED:
                known += 1
                continue
            judgement = annotator.judge(pair, asked.replicate, asked.swapped)
            attempt = before.attempt + 1 if before else 0
            facts.append(_annotation(judgement, asked, annotator_id, attempt))
        with ledger.writing() as writer:
            writer.annotations(facts)
        statuses.update(fact.status.value for fact in facts)
        count += len(batch)
        progress(spec.name, known + statuses.total())
    return AnnotateReport(spec.name, annotator.id, count, known, dict(statuses))


def _spec(name: str, task: Task) -> AnnotatorSpec:
    found = catalogue.load(name)
    if isinstance(found, Pool):
        raise ConfigError(f"{name} is a pool of language models", remedy="name a rule")
    seed = found.seed if task.seed is None else task.seed
    return replace(found, orders=task.orders or found.orders, seed=seed)


def _questions(
    annotator: RuleAnnotator, pairs: Sequence[Pair], replicates: int, flipped: set[int]
) -> Iterator[tuple[Pair, Asked]]:
    """Every pair in every replicate and order that is asked for."""
    for pair in pairs:
        for replicate in range(replicates):
            occasion = annotator.occasion(pair, replicate)
            for swapped in occasion.shown(annotator.spec.orders, pair.id in flipped):
                yield pair, Asked(pair.id, replicate, swapped)


def _annotation(judgement: Judgement, asked: Asked, annotator_id: int, attempt: int) -> Annotation:
    return Annotation(
        pair_id=asked.pair_id,
        annotator_id=annotator_id,
        preference=judgement.preference,
        label=judgement.label,
        swapped=judgement.swapped,
        status=judgement.status,
        reason=judgement.reason,
        replicate=asked.replicate,
        attempt=attempt,
    )
