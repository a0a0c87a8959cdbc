"""An annotator at work: it is asked again and again, from one account, and loads its models once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from statistics import fmean

from annotators.clients.budget import Account, Budget
from annotators.clients.online import OnlineClient
from annotators.clients.request import Reply, Request
from annotators.clients.run import run_all
from annotators.composite import AnyAnnotator, Composite
from annotators.pool import specs_of
from annotators.spec import AnnotatorSpec
from db.ids import Json
from db.ledger import Ledger, PairFilter
from db.records import Annotation, AnnotationStatus
from farm.judging.answered import annotation_of
from farm.judging.asking import Judging
from farm.judging.composites import CompositeRun, Resolved, resolved
from farm.judging.in_process import Answerer, outside
from farm.judging.provider import Provider, Task
from farm.judging.reasons import Reason, Reasons
from farm.judging.replies import Replies
from farm.judging.transports import Whom, answerer_of, transport_of, whom_of
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
    decided: Mapping[str, int] | None = None  # of panels and cascades: judgements of each stage
    contested: Mapping[str, int] | None = None  # and those that stay open, by reason
    members: tuple[AnnotateReport, ...] = ()  # what its members were asked for this

    def to_json(self) -> dict[str, Json]:
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
            "decided": dict(self.decided or {}),
            "contested": dict(self.contested or {}),
            "members": [each.to_json() for each in self.members],
        }


class AnnotatorAtWork:
    """An annotator that can be asked again and again. It has one account, and loads its models once."""

    def __init__(
        self,
        ledger: Ledger,
        annotator: AnyAnnotator,
        task: Task,
        provider: Provider = ANYWHERE,
        account: Account | None = None,
    ) -> None:
        """annotator: as of `loaded`. account: shared with others; None: one of its own.

        Raises ConfigError on an annotator that cannot be asked as the provider says.
        """
        self.account = account or account_of(provider)
        self._ledger, self._task, self._provider = ledger, task, provider
        self._whole: Resolved | None = None
        self._quiet: AnnotatorSpec | None = None
        self._whom: Whom | None = None
        self._members: dict[str, AnnotatorAtWork] = {}
        self.annotator = annotator
        """As it judges: models in this process have names by content."""
        if isinstance(annotator, Composite):
            self._whole = resolved(ledger, annotator, provider, task.utility)
            self.annotator = self._whole.annotator
        elif isinstance(annotator, AnnotatorSpec) and is_quiet(annotator):
            self._quiet = annotator
        else:
            self._whom = whom_of(annotator, provider)
            self.annotator = self._whom.annotator

    def judge(self, pairs: PairFilter, progress: Progress, replicates: range | None = None) -> AnnotateReport:
        """Judge those of these pairs that are not judged yet. Raises as `annotate` does.

        replicates: which, where a language model or a pool is asked; None: those of the task.
        """
        task = replace(self._task, pairs=pairs)
        if self._whole:
            return self._by_members(self._whole, task, progress)
        if self._quiet:
            judge = quiet_judge(
                self._ledger, self._quiet, task.replicates, orders=task.orders, utility=task.utility
            )
            return _asking_nobody(self._ledger, judge, _of_source(self._quiet, pairs), progress)
        assert self._whom
        return self._by_model(self._whom, task, progress, replicates or range(task.replicates))

    def _by_members(self, whole: Resolved, task: Task, progress: Progress) -> AnnotateReport:
        """Members judge what they have not judged, then their votes are made one."""
        asked: list[AnnotateReport] = []

        def ask(member: AnyAnnotator, pairs: PairFilter, replicates: range) -> None:
            asked.append(self._member(whole, member.fingerprint).judge(pairs, progress, replicates))

        run = CompositeRun(
            self._ledger,
            whole.annotator,
            ask,
            wanted=task.pairs,
            replicates=task.replicates,
            progress=progress,
        )
        run.run()
        return AnnotateReport(
            annotator=whole.annotator.name,
            fingerprint=whole.annotator.fingerprint,
            pairs=run.pairs,
            known=run.known,
            statuses=dict(run.statuses),
            elsewhere=run.elsewhere,
            requests=sum(each.requests for each in asked),
            tokens=sum(each.tokens for each in asked),
            cost=total(each.cost for each in asked if each.requests),
            cost_bound=total(each.cost_bound for each in asked if each.requests),
            unreadable=run.unreadable.commonest,
            decided=dict(run.decided),
            contested=dict(run.contested),
            members=tuple(asked),
        )

    def _member(self, whole: Resolved, fingerprint: str) -> AnnotatorAtWork:
        """A member, which pays from the same account."""
        if fingerprint not in self._members:
            given = whole.given[fingerprint]
            self._members[fingerprint] = AnnotatorAtWork(
                self._ledger, given, self._task, self._provider, account=self.account
            )
        return self._members[fingerprint]

    def _by_model(self, whom: Whom, task: Task, progress: Progress, replicates: range) -> AnnotateReport:
        before = self.account.spent

        async def before_send(request: Request, attempt: int) -> None:
            await judging.before_send(request, attempt)

        client = transport_of(
            self._ledger,
            whom,
            self._provider,
            account=self.account,
            before_send=before_send,
            answerer=lambda: self._answerer,
        )
        judging = Judging(self._ledger, whom.annotator, whom.endpoint, progress)
        replies = Replies()

        def deliver(request: Request, reply: Reply) -> None:
            replies.add(reply, outside(request, reply))
            judging.deliver(request, reply)

        with judging:
            run_all(client, judging.requests(task.pairs, replicates), deliver, judging.commit)
            while left := judging.wait_for_others():
                run_all(client, judging.requests(left, replicates, again=True), deliver, judging.commit)
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

    @cached_property
    def _answerer(self) -> Answerer:
        assert self._whom
        return answerer_of(specs_of(self._whom.annotator), self._whom.sources, self._provider)


def account_of(provider: Provider) -> Account:
    """An account within the caps of the provider, of which nothing is spent yet."""
    return Account(Budget(provider.max_cost, provider.max_requests))


def total(costs: Iterable[float | None]) -> float | None:
    """The sum of costs; None where there are none, or one is unknown."""
    found = list(costs)
    known = [cost for cost in found if cost is not None]
    return sum(known) if known and len(known) == len(found) else None


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
    said = annotation_of(
        question.judge(),
        pair_id=question.asked.pair_id,
        annotator_id=annotator_id,
        replicate=question.asked.replicate,
        attempt=attempt,
    )
    return replace(said, completion_id=question.completion_id, slot=question.slot)
