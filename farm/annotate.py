"""Letting annotators judge the ledger's pairs: `farm annotate`.

What was judged already is not judged again, so an interrupted run is continued by running it again; what
failed is tried again, as a later attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from annotators import catalogue
from annotators.clients.batch import BatchClient, BatchOptions
from annotators.clients.budget import Account, Budget, Estimate, estimate
from annotators.clients.endpoint import Endpoint
from annotators.clients.limits import RateLimits
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.clients.request import Completion, Request, Transport
from annotators.clients.run import run_all
from annotators.draws import Orders
from annotators.judgement import Judgement
from annotators.pool import Pool
from annotators.prices import PriceTable
from annotators.rules import RuleAnnotator
from annotators.spec import AnnotatorSpec
from db import asking
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Asked, Ledger, PairFilter
from db.records import Annotation, AnnotatorKind, Pair, Status
from farm.judging import Judging

BATCH = 1_000  # pairs judged by a rule in one transaction
Progress = Callable[[str, int], None]  # (annotator, judgements so far)


@dataclass(frozen=True)
class Task:
    """What is asked of an annotator: which pairs, how often, in which orders. None: as its spec says."""

    pairs: PairFilter = field(default_factory=PairFilter)
    replicates: int = 1
    orders: Orders | None = None
    seed: int | None = None
    utility: str = ""  # of the oracle: package.module:function


@dataclass(frozen=True)
class Provider:
    """Where language models are asked, and what that may take. models: as catalogue.Models.of has them."""

    models: tuple[str, ...] = ()
    base_url: str | None = None  # None: OPENAI_BASE_URL, or OpenAI's
    concurrency: int = 100
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_cost: float | None = None  # US dollars
    max_requests: int | None = None
    prices: Path | None = None
    batch: bool = False  # through the provider's Batch API
    poll_seconds: float = 30.0


@dataclass(frozen=True)
class AnnotateReport:
    """What became of the pairs: the questions are known + the sum of statuses + what others are asking."""

    annotator: str
    fingerprint: str
    pairs: int
    known: int  # judged before
    statuses: dict[str, int]  # of the new judgements
    requests: int = 0  # sendings
    tokens: int = 0
    cost: float | None = None  # US dollars; None: nothing was paid for, or a price is unknown
    warnings: dict[str, int] | None = None  # what the server silently did otherwise

    def to_json(self) -> Json:
        return {
            "annotator": self.annotator,
            "fingerprint": self.fingerprint,
            "pairs": self.pairs,
            "already": self.known,
            "new": sum(self.statuses.values()),
            "statuses": self.statuses,
            "requests": self.requests,
            "tokens": self.tokens,
            "cost": self.cost,
            "warnings": self.warnings or {},
        }


def orders_named(name: str | None) -> Orders | None:
    """random, both or stored; raises ConfigError on another name."""
    if name is None:
        return None
    try:
        return Orders(name)
    except ValueError:
        raise ConfigError(f"--orders is {name!r}", remedy=f"one of {', '.join(Orders)}") from None


def annotate(
    ledger: Ledger, name: str, task: Task, progress: Progress, provider: Provider = Provider()
) -> AnnotateReport:
    """Let the annotator of this name, or of this path, judge the pairs that it has not judged yet.

    Raises ConfigError on a wrong name or option, RunStopped where the provider or the budget ends the run
    early: what was done until then is in the ledger.
    """
    annotator = _load(name, task, provider)
    if isinstance(annotator, AnnotatorSpec) and annotator.kind is AnnotatorKind.RULE:
        return _by_rule(ledger, RuleAnnotator.of(annotator, task.utility), task, progress)
    return _by_model(ledger, annotator, task, provider, progress)


def plan(ledger: Ledger, name: str, task: Task, provider: Provider) -> Estimate:
    """What `annotate` would ask and cost, with nothing asked and nothing written but the annotator's card."""
    annotator = _load(name, task, provider)
    if isinstance(annotator, AnnotatorSpec) and annotator.kind is AnnotatorKind.RULE:
        return Estimate(0, 0, 0, 0.0)
    members = [member.spec for member in annotator.members] if isinstance(annotator, Pool) else [annotator]
    replies = {spec.decoding: spec.reply_tokens * spec.batch for spec in members}
    judging = Judging(ledger, annotator, Endpoint.from_environment(provider.base_url).name, _silent)
    requests = judging.requests(task.pairs, task.replicates, claim=False)

    def reply_tokens(request: Request) -> float:
        return replies[request.decoding] or float(request.decoding.max_tokens or 0)

    return estimate(requests, PriceTable.load(provider.prices).price, reply_tokens)


def _silent(annotator: str, done: int) -> None:
    pass


def _load(name: str, task: Task, provider: Provider) -> AnnotatorSpec | Pool:
    found = catalogue.load(name, catalogue.Models.of(provider.models))
    seed = found.seed if task.seed is None else task.seed
    changed = replace(found, orders=task.orders or found.orders, seed=seed)
    if isinstance(changed, Pool):
        members = (replace(each, spec=replace(each.spec, seed=seed)) for each in changed.members)
        return replace(changed, members=tuple(members))
    return changed


def _by_model(
    ledger: Ledger, annotator: AnnotatorSpec | Pool, task: Task, provider: Provider, progress: Progress
) -> AnnotateReport:
    endpoint = Endpoint.from_environment(provider.base_url)
    account = Account(Budget(provider.max_cost, provider.max_requests))
    client = _transport(ledger, annotator, provider, endpoint, account)
    judging = Judging(ledger, annotator, endpoint.name, progress)
    warnings, costs = Counter[str](), list[float | None]()

    def deliver(request: Request, completion: Completion) -> None:
        warnings.update(completion.warnings)
        costs.append(completion.cost)
        judging.deliver(request, completion)

    try:
        run_all(client, judging.requests(task.pairs, task.replicates), deliver)
    finally:
        judging.flush()
    known = [cost for cost in costs if cost is not None]
    return AnnotateReport(
        annotator.name,
        annotator.fingerprint,
        judging.pairs,
        judging.known,
        dict(judging.statuses),
        account.spent.requests,
        account.spent.tokens,
        sum(known) if costs and len(known) == len(costs) else None,
        dict(warnings),
    )


def _transport(
    ledger: Ledger,
    annotator: AnnotatorSpec | Pool,
    provider: Provider,
    endpoint: Endpoint,
    account: Account,
) -> Transport:
    """Online, or the Batch API, which looks first for what an earlier process left there."""
    prices = PriceTable.load(provider.prices)
    if not provider.batch:
        rates = RateLimits(provider.requests_per_minute, provider.tokens_per_minute)
        options = OnlineOptions(concurrency=provider.concurrency, rates=rates)
        return OnlineClient(endpoint, options, price=prices.price, account=account)
    members = [member.spec for member in annotator.members] if isinstance(annotator, Pool) else [annotator]
    return BatchClient(
        endpoint,
        BatchOptions(f"farm-{annotator.fingerprint}", poll_seconds=provider.poll_seconds),
        price=prices.price,
        batch_factor=prices.batch_factor,
        account=account,
        open_claims=asking.open_keys(ledger, [spec.draw_key for spec in members]),
    )


def _by_rule(ledger: Ledger, annotator: RuleAnnotator, task: Task, progress: Progress) -> AnnotateReport:
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
        progress(annotator.spec.name, known + statuses.total())
    return AnnotateReport(annotator.spec.name, annotator.id, count, known, dict(statuses))


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
