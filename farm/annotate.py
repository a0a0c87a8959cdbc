"""Let annotators judge the ledger's pairs: `farm annotate`.

A pair that was judged before is not judged again, so an interrupted run goes on when it is started again. A
failed judgement is tried again, and stored as a later attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from statistics import fmean

from annotators import catalogue
from annotators.clients.batch import BatchClient, BatchOptions
from annotators.clients.budget import Account, Budget, Estimate, estimate
from annotators.clients.endpoint import Endpoint
from annotators.clients.limits import RateLimits
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.clients.request import BeforeSend, Reply, Request, Transport
from annotators.clients.run import run_all
from annotators.pool import Pool, specs_of
from annotators.prices import PriceTable
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.queries import asking
from db.records import Annotation, AnnotationStatus, AnnotatorKind
from farm.judging.asking import Judging
from farm.judging.in_process import ENDPOINT, FREE, Answerer, InProcess, named_models, outside
from farm.judging.provider import Provider, Task
from farm.judging.questions import unanswered
from farm.judging.reasons import Reason, Reasons
from farm.judging.replies import Replies
from farm.judging.unasked import QuietJudge, QuietQuestion, is_quiet, quiet_judge
from farm.progress import Progress

FAILED = AnnotationStatus.FAILED.value
BATCH = 1_000  # pairs judged in one transaction where nobody is asked
ANYWHERE = Provider()  # no limit, the server that the environment names


@dataclass(frozen=True)
class AnnotateReport:
    """What became of the pairs: the questions are known + the sum of statuses + elsewhere."""

    annotator: str
    fingerprint: str
    pairs: int
    known: int  # judged before
    statuses: dict[str, int]  # of the new judgements
    elsewhere: int = 0  # left to another run, which is asking
    requests: int = 0  # sendings
    tokens: int = 0
    cost: float | None = None  # US dollars; None: nothing was paid for, or a price is unknown
    cost_bound: float | None = None  # with the sendings whose bill did not come at their worst
    failures: dict[str, int] | None = None  # requests without a usable reply, by what was wrong
    warnings: dict[str, int] | None = None  # what the server silently did otherwise
    unreadable: tuple[Reason, ...] = ()  # the commonest reasons, with one reply each
    refused: dict[str, str] | None = None  # fields that the server refused, with its words
    outside: float | None = None  # mean probability of other first tokens, where replies were held to names

    def to_json(self) -> Json:
        """The report as a JSON object."""
        return {
            "annotator": self.annotator,
            "fingerprint": self.fingerprint,
            "pairs": self.pairs,
            "already": self.known,
            "new": sum(self.statuses.values()),
            "statuses": self.statuses,
            "elsewhere": self.elsewhere,
            "requests": self.requests,
            "tokens": self.tokens,
            "cost": self.cost,
            "cost_bound": self.cost_bound,
            "failures": self.failures or {},
            "warnings": self.warnings or {},
            "unreadable": [each.to_json() for each in self.unreadable],
            "refused": dict(self.refused or {}),
            "outside": self.outside,
        }


def annotate(
    ledger: Ledger, name: str, task: Task, progress: Progress, provider: Provider = ANYWHERE
) -> AnnotateReport:
    """Let one annotator judge the pairs that it has not judged yet. name: in the catalogue, or a path.

    Raises ConfigError on a wrong name or option. Raises RunStopped where the provider or the budget ends the
    run early; the judgements made until then are in the ledger.
    """
    return judge_by(ledger, loaded(name, task, provider), task, progress, provider=provider)


def judge_by(
    ledger: Ledger,
    annotator: AnnotatorSpec | Pool,
    task: Task,
    progress: Progress,
    provider: Provider = ANYWHERE,
) -> AnnotateReport:
    """As `annotate`, for an annotator that is `loaded` already."""
    return AnnotatorAtWork(ledger, annotator, task, provider).judge(task.pairs, progress)


class AnnotatorAtWork:
    """An annotator that can be asked again and again. It has one account, and loads its models once."""

    def __init__(
        self,
        ledger: Ledger,
        annotator: AnnotatorSpec | Pool,
        task: Task,
        provider: Provider = ANYWHERE,
        account: Account | None = None,
    ) -> None:
        """annotator: as of `loaded`. account: shared with others; None: one of its own.

        Raises ConfigError on an annotator that cannot be asked as the provider says.
        """
        self.account = account or account_of(provider)
        self._ledger, self._task, self._provider = ledger, task, provider
        self._quiet = annotator if isinstance(annotator, AnnotatorSpec) and is_quiet(annotator) else None
        self._whom = None if self._quiet else _whom(annotator, provider)
        self.annotator = self._whom.annotator if self._whom else annotator
        """As it judges: models in this process have names by content."""

    def judge(self, pairs: PairFilter, progress: Progress) -> AnnotateReport:
        """Judge those of these pairs that are not judged yet. Raises as `annotate` does."""
        task = replace(self._task, pairs=pairs)
        if self._quiet:
            judge = quiet_judge(
                self._ledger, self._quiet, task.replicates, orders=task.orders, utility=task.utility
            )
            return _asking_nobody(self._ledger, judge, _of_source(self._quiet, pairs), progress)
        assert self._whom
        return self._by_model(self._whom, task, progress)

    def _by_model(self, whom: _Whom, task: Task, progress: Progress) -> AnnotateReport:
        before = self.account.spent

        async def before_send(request: Request, attempt: int) -> None:
            await judging.before_send(request, attempt)

        client = self._transport(whom, before_send)
        judging = Judging(self._ledger, whom.annotator, whom.endpoint, progress)
        replies = Replies()

        def deliver(request: Request, reply: Reply) -> None:
            replies.add(reply, outside(request, reply))
            judging.deliver(request, reply)

        with judging:
            run_all(client, judging.requests(task.pairs, task.replicates), deliver, judging.commit)
            while left := judging.wait_for_others():
                run_all(client, judging.requests(left, task.replicates, again=True), deliver, judging.commit)
        others = judging.known + sum(judging.statuses.values()) - judging.statuses[FAILED]
        replies.refuse_if_nothing_worked(whom.endpoint, others)
        spent = self.account.spent - before
        return AnnotateReport(
            annotator=whom.annotator.name,
            fingerprint=whom.annotator.fingerprint,
            pairs=judging.pairs,
            known=judging.known,
            statuses=dict(judging.statuses),
            elsewhere=judging.elsewhere,
            requests=spent.requests,
            tokens=spent.tokens,
            cost=replies.cost,
            cost_bound=replies.cost_bound,
            failures=dict(replies.failures),
            warnings=dict(replies.warnings),
            unreadable=judging.unreadable.commonest,
            refused=dict(client.refusals) if isinstance(client, OnlineClient) else {},
            outside=fmean(replies.outside) if replies.outside else None,
        )

    def _transport(self, whom: _Whom, before_send: BeforeSend) -> Transport:
        """In this process, online, or by the Batch API, which resumes what an earlier run sent."""
        specs, provider, account = specs_of(whom.annotator), self._provider, self.account
        if whom.sources:
            return InProcess(self._answerer, provider.rows, account)
        prices = PriceTable.load(provider.prices)
        endpoint = Endpoint.from_environment(provider.base_url)
        if not provider.batch:
            rates = RateLimits(provider.requests_per_minute, provider.tokens_per_minute)
            weighed = any(spec.parser.name == "logprob" for spec in specs)
            options = OnlineOptions(
                concurrency=provider.concurrency,
                rates=rates,
                without=frozenset(provider.without),
                required=frozenset({"logprobs"} if weighed else ()),
                cut_prompts=provider.cut_prompts,
            )
            return OnlineClient(
                endpoint, options, price=prices.price, account=account, before_send=before_send
            )
        return BatchClient(
            endpoint,
            BatchOptions(
                f"farm-{whom.annotator.fingerprint}", frozenset(provider.without), provider.poll_seconds
            ),
            price=prices.price,
            batch_factor=prices.batch_factor,
            account=account,
            before_send=before_send,
            open_claims=asking.open_keys(self._ledger, [spec.draw_key for spec in specs]),
        )

    @cached_property
    def _answerer(self) -> Answerer:
        assert self._whom
        return _answerer(specs_of(self._whom.annotator), self._whom.sources, self._provider)


def annotate_members(
    ledger: Ledger, name: str, task: Task, progress: Progress, provider: Provider = ANYWHERE
) -> list[AnnotateReport]:
    """Let each member of a pool judge all the pairs, as an annotator of its own and without label noise.

    One budget holds for all of them. Raises as `annotate` does, and ConfigError where the name is no pool's.
    """
    account = account_of(provider)
    return [
        AnnotatorAtWork(ledger, member, task, provider, account=account).judge(task.pairs, progress)
        for member in _members(name, task, provider)
    ]


def _members(name: str, task: Task, provider: Provider) -> Sequence[AnnotatorSpec]:
    pool = loaded(name, task, provider)
    if not isinstance(pool, Pool):
        raise ConfigError(f"{pool.name} is one annotator and has no members", where="--members")
    return pool.alone


def account_of(provider: Provider) -> Account:
    """An account within the caps of the provider, of which nothing is spent yet."""
    return Account(Budget(provider.max_cost, provider.max_requests))


def plan(ledger: Ledger, name: str, task: Task, provider: Provider) -> Estimate:
    """Estimate the requests, tokens and cost of `annotate`, in US dollars.

    Nothing is asked and nothing is written. Raises ConfigError as `annotate` does.
    """
    annotator = loaded(name, task, provider)
    if isinstance(annotator, AnnotatorSpec) and is_quiet(annotator):
        return Estimate(0, 0, 0, 0.0)
    return _plan(ledger, _whom(annotator, provider), task, provider)


def plan_members(ledger: Ledger, name: str, task: Task, provider: Provider) -> Estimate:
    """The same estimate for `annotate_members`."""
    members = _members(name, task, provider)
    found = [_plan(ledger, _whom(member, provider), task, provider) for member in members]
    costs = [each.cost for each in found]
    known = [cost for cost in costs if cost is not None]
    return Estimate(
        sum(each.requests for each in found),
        sum(each.prompt_tokens for each in found),
        sum(each.completion_tokens for each in found),
        sum(known) if len(known) == len(costs) else None,
    )


def _plan(ledger: Ledger, whom: _Whom, task: Task, provider: Provider) -> Estimate:
    replies = {spec.decoding: spec.reply_tokens * spec.batch for spec in specs_of(whom.annotator)}
    requests = unanswered(
        ledger, whom.annotator, whom.endpoint, wanted=task.pairs, replicates=task.replicates
    )

    def reply_tokens(request: Request) -> float:
        return replies[request.decoding] or float(request.decoding.max_tokens or 0)

    price = PriceTable.load(provider.prices).price
    return estimate(requests, (lambda model: FREE) if whom.sources else price, reply_tokens)


@dataclass(frozen=True)
class _Whom:
    """Who is asked, and where. sources: name -> path of each model that runs in this process; else empty."""

    annotator: AnnotatorSpec | Pool
    endpoint: str
    sources: Mapping[str, str]


def loaded(name: str, task: Task, provider: Provider) -> AnnotatorSpec | Pool:
    """The annotator with the changes of task and provider. Raises ConfigError on a wrong name."""
    found = catalogue.load(name, catalogue.ModelSlots.of(provider.models))
    seed = found.seed if task.seed is None else task.seed
    changed = replace(found, orders=task.orders or found.orders, seed=seed)
    if isinstance(changed, Pool):
        members = (
            replace(each, spec=_thinking(replace(each.spec, seed=seed), provider)) for each in changed.members
        )
        return replace(changed, members=tuple(members))
    return _thinking(changed, provider)


def _thinking(spec: AnnotatorSpec, provider: Provider) -> AnnotatorSpec:
    """The annotator with the room and the effort for thinking that the provider gives a language model."""
    if spec.kind is not AnnotatorKind.LLM or is_quiet(spec):
        return spec
    return replace(spec, decoding=spec.decoding.with_thinking(provider.thinking, provider.effort))


def _whom(annotator: AnnotatorSpec | Pool, provider: Provider) -> _Whom:
    """Reward models run in this process. Language models run where the provider says."""
    if provider.local and (provider.base_url or provider.batch):
        remedy = "leave out --local, or --base-url and --batch"
        raise ConfigError("a model in this process has no server", where="--local", remedy=remedy)
    if provider.local:
        _refuse_provider_models(annotator)
    if provider.local or any(spec.kind is AnnotatorKind.REWARD_MODEL for spec in specs_of(annotator)):
        found = named_models(annotator)
        return _Whom(found.annotator, ENDPOINT, found.sources)
    return _Whom(annotator, Endpoint.from_environment(provider.base_url).name, {})


def _refuse_provider_models(annotator: AnnotatorSpec | Pool) -> None:
    """Raise ConfigError where a slot was left to the catalogue, whose models are a provider's."""
    usual = set(catalogue.default_slots().values())
    for name in sorted(usual & {spec.model for spec in specs_of(annotator)}):
        remedy = "name a folder of weights or a hub id with --model"
        raise ConfigError(f"{name} does not run in this process", where="--local", remedy=remedy)


def _answerer(specs: Sequence[AnnotatorSpec], sources: Mapping[str, str], provider: Provider) -> Answerer:
    """The object that runs the weights. torch is loaded here, not earlier."""
    if specs[0].kind is AnnotatorKind.REWARD_MODEL:
        from farm.judging.reward_model import RewardJudge

        return RewardJudge(sources[specs[0].model], provider.rows, provider.weights)
    from farm.judging.language_model import LocalJudge

    names = frozenset(name for spec in specs for name in spec.outputs)
    return LocalJudge(sources, names, provider.weights)


def _of_source(spec: AnnotatorSpec, wanted: PairFilter) -> PairFilter:
    """The pairs wanted. For recordings of one source they are its pairs, unless the task names a source."""
    source = spec.recorded.source if spec.recorded else ""
    return replace(wanted, source=wanted.source or source or None)


def _asking_nobody(
    ledger: Ledger, judge: QuietJudge, wanted: PairFilter, progress: Progress
) -> AnnotateReport:
    with ledger.writing() as writer:
        [annotator_id] = writer.annotators([judge.card])
    count, known, statuses, reasons = 0, 0, Counter[str](), Reasons()
    pairs = ledger.pairs(wanted)
    while batch := list(islice(pairs, BATCH)):
        standing = ledger.standing(annotator_id, [pair.id for pair in batch])
        facts = []
        for question in judge.questions(batch):
            before = standing.get(question.asked)
            if before and before.status is not AnnotationStatus.FAILED:
                known += 1
            else:
                facts.append(_annotation(question, annotator_id, before.attempt + 1 if before else 0))
        with ledger.writing() as writer:
            writer.annotations(facts)
        statuses.update(fact.status.value for fact in facts)
        reasons.add_read(facts)
        count += len(batch)
        progress(judge.card.name, known + statuses.total())
    return AnnotateReport(
        annotator=judge.card.name,
        fingerprint=judge.card.key,
        pairs=count,
        known=known,
        statuses=dict(statuses),
        unreadable=reasons.commonest,
    )


def _annotation(question: QuietQuestion, annotator_id: int, attempt: int) -> Annotation:
    judgement = question.judge()
    return Annotation(
        pair_id=question.asked.pair_id,
        annotator_id=annotator_id,
        preference=judgement.preference,
        label=judgement.label,
        swapped=judgement.swapped,
        status=judgement.status,
        reason=judgement.reason,
        replicate=question.asked.replicate,
        attempt=attempt,
        completion_id=question.completion_id,
        slot=question.slot,
    )
