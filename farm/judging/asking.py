"""Asking language models: claims first, then completions, then judgements. Nothing is paid for twice.

The order of the commits makes it safe to kill a run at any time:

1. Pairs are taken in windows. Some questions need no asking: label noise replaces the judgement, the outputs
   are identical, or the ledger holds a completion of the request already. These are judged at once.
2. The other questions are claimed in the same transaction. Only then are their requests sent.
3. Completions are committed before they are parsed.
4. What they say is committed together with the completions that come next. A run that is killed in between
   finds the completions when it is started again, and parses them.

A claim without a completion was in flight when its run ended, or still is. Its batch is asked again
unchanged.

Two pairs can make equal requests, as where other models gave the same texts. One is sent, and its reply
judges both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TypeAlias

from annotators.clients.request import Reply, Request, Requests
from annotators.parsers import ReplyText
from annotators.pool import Pool
from annotators.spec import AnnotatorSpec
from db.errors import UnstorableRow
from db.ids import canonical_json
from db.ledger import Ledger, PairFilter
from db.queries import asking
from db.records import Annotation, Claim
from db.writer import Writer
from farm.judging.answered import AnnotationMaker
from farm.judging.completions import completion_of, stored_reply, unstorable
from farm.judging.questions import OpenQuestion, OpenQuestions, QuestionBatch, spans, stored
from farm.judging.reasons import Reasons
from farm.judging.runs import Lease, new_run_name

BUFFER = 64  # completions in one transaction


Delivered: TypeAlias = tuple[int, list[QuestionBatch], Reply]
"""A reply that was delivered: the id of its claim, what was asked by this request, the reply."""


class Judging:
    """One run of one annotator over the ledger's pairs.

    Use it in a `with` statement. Inside, other threads of this process leave its claims alone. At the end,
    all that was delivered is committed. progress: called with the annotator's name and the number of
    questions that are done.
    """

    def __init__(
        self,
        ledger: Ledger,
        annotator: AnnotatorSpec | Pool,
        endpoint: str,
        progress: Callable[[str, int], None],
    ) -> None:
        self.ledger = ledger
        self.annotator = annotator
        self.statuses: Counter[str] = Counter()
        self.unreadable = Reasons()
        self.pairs = 0
        self._progress = progress
        self._lease = Lease(ledger, new_run_name())
        self._open: dict[str, tuple[int, list[QuestionBatch]]] = {}  # request key -> claim id, what was asked
        self._held: list[Delivered] = []  # delivered, not committed
        self._judged: list[Annotation] = []  # what the completions committed last say
        [annotator_id] = ledger.write_patiently(lambda writer: writer.annotators([annotator.card]))
        self._questions = OpenQuestions(ledger, annotator, annotator_id, endpoint=endpoint)
        self._make = AnnotationMaker(annotator_id, annotator.noise)

    @property
    def known(self) -> int:
        """Questions that were judged before."""
        return self._questions.known

    @property
    def elsewhere(self) -> int:
        """Questions that other runs are asking."""
        return self._questions.left.elsewhere

    def __enter__(self) -> Judging:
        self._lease.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
            self._keep([])
            self._tell()
        finally:
            self._lease.__exit__(kind, error, trace)

    async def before_send(self, request: Request, attempt: int) -> None:
        """The hook of a client before each sending. Raises RunInterrupted where others took the run for dead.

        It waits while others cannot know that this run lives.
        """
        await self._lease.confirm()

    def wait_for_others(self) -> PairFilter | None:
        """Wait until it is known whether the runs live to which questions were left.

        Returns the pairs that dead runs had claimed, to be asked for again; None where there are none. It
        takes LEASE seconds at most (farm/judging/runs.py).
        """
        free = self._questions.left.freed(self.ledger)
        return PairFilter(ids=tuple(sorted(set(free)))) if free else None

    def requests(self, wanted: PairFilter, replicates: range, again: bool = False) -> Requests:
        """The requests that are still to be sent, claimed. All other questions are judged on the way.

        After each QUESTIONS of them, at most, there is a None.

        again: the pairs were counted before.
        """
        pairs_before, known_before = self.pairs, self.known
        for pairs in self._questions.windows(wanted):
            self.pairs += len(pairs)
            for some in spans(pairs, replicates):
                yield from self._claimed(partial(self._questions.of, pairs, some))
                if again:
                    self.pairs, self._questions.known = pairs_before, known_before
                self._tell()
                yield None

    def deliver(self, request: Request, reply: Reply) -> None:
        """Take in the reply to a request. It is committed with at most BUFFER others."""
        claim_id, batches = self._open.pop(request.key)
        self._held.append((claim_id, batches, reply))
        if len(self._held) >= BUFFER:
            self.commit()

    def commit(self) -> None:
        """Commit the replies that were delivered, and what those before them say. Then parse the new replies.

        So there is one transaction each time that replies come, and a judgement is on disk one commit after
        its completion. A failed request says nothing: its failed judgement is written with its completion, so
        that no other run takes the next attempt for the first. A reply that the database cannot hold becomes
        the failure `unstorable` with its cost, and takes no other with it. What was not written is kept, and
        is written by the next commit.
        """
        if not self._held:
            return
        try:
            self._keep(self._held)
        except UnstorableRow:
            for each in list(self._held):
                self._keep_alone(each)
        self._tell()

    def _keep_alone(self, held: Delivered) -> None:
        try:
            self._keep([held])
        except UnstorableRow as error:
            claim_id, batches, reply = held
            self._held[self._held.index(held)] = bare = (claim_id, batches, unstorable(reply, str(error)))
            self._keep([bare])

    def _keep(self, held: Sequence[Delivered]) -> None:
        """Write these completions and all judgements that wait, then parse the completions."""
        facts = list(self._judged)
        for claim_id, batches, reply in held:
            if not reply.ok:
                why = f"{reply.failure}: {reply.detail}".rstrip(": ")
                facts += [fact for batch in batches for fact in self._make.failed(batch, why, claim_id)]
        completions = [completion_of(claim_id, reply) for claim_id, _, reply in held]
        if not facts and not completions:
            return

        def write(writer: Writer) -> None:
            writer.completions(completions)
            writer.annotations(facts)

        self.ledger.write_patiently(write)
        written = {claim_id for claim_id, _, _ in held}
        self._held = [each for each in self._held if each[0] not in written]
        self._judged = []
        self._count(facts)
        for claim_id, batches, reply in held:
            if reply.ok:
                said = ReplyText(reply.text, reply.top_logprobs, reply.thinking)
                for batch in batches:
                    self._judged += self._read(batch, said, claim_id)

    def _read(self, batch: QuestionBatch, reply: ReplyText, claim_id: int) -> list[Annotation]:
        """What a reply says. Why it cannot be read is counted."""
        facts = list(self._make.read(batch, reply, claim_id))
        self.unreadable.add_read(facts, reply)
        return facts

    def _claimed(self, look_up: Callable[[], Iterable[OpenQuestion]]) -> list[Request]:
        """As `_claimed_once`, and again where the server breaks the connection."""
        known = self._questions.known

        def again() -> list[Request]:
            self._questions.known = known
            return self._claimed_once(look_up())

        return self._questions.left.patiently(self.ledger, again)

    def _claimed_once(self, questions: Iterable[OpenQuestion]) -> list[Request]:
        """Judge what needs no asking, read what was answered before, claim the rest and return it.

        What another run is asking is left to it. All of this is one transaction, and so is the look-up of the
        questions: meanwhile nobody else can judge or claim them.
        """
        claims: dict[str, tuple[Claim, list[QuestionBatch]]] = {}
        with self.ledger.writing() as writer:
            self._questions.left.others.look(writer.beats())
            tried = [(question, self._make.unasked(question)) for question in questions]
            facts = [fact for _, fact in tried if fact]
            batches = list(self._questions.batches(question for question, fact in tried if not fact))
            answers = asking.answers(self.ledger, [batch.request.key for batch in batches])
            under_way = self._under_way()
            shared: list[tuple[list[QuestionBatch], QuestionBatch]] = []  # what a request asks, and one more
            for batch in batches:
                key, answer = batch.request.key, answers.get(batch.request.key)
                if key in under_way:
                    shared.append((under_way[key], batch))
                elif said := stored(answer):
                    reply = stored_reply(said.text, said.top_logprobs, said.thinking)
                    facts += self._read(batch, reply, said.claim_id)
                elif key in claims:
                    claims[key][1].append(batch)
                elif not (answer and not answer.latest and self._left(answer.run, batch)):
                    claims[key] = self._claim(batch, answer.attempts if answer else 0), [batch]
            writer.annotations(facts)
            ids = writer.claims([claim for claim, _ in claims.values()])
            if dead := self._questions.left.others.ended:
                writer.end_leases(dead)
        self._count(facts)
        for mine, batch in shared:
            mine.append(batch)
        taken = []
        for claim_id, (key, (_, mine)) in zip(ids, claims.items(), strict=True):
            assert claim_id is not None  # nobody else wrote meanwhile, and each request stands once here
            self._open[key] = (claim_id, mine)
            taken.append(mine[0].request)
        return taken

    def _under_way(self) -> dict[str, list[QuestionBatch]]:
        """By request that we sent and whose reply is not committed: what it asks."""
        held = {batches[0].request.key: batches for _, batches, _ in self._held}
        return held | {key: batches for key, (_, batches) in self._open.items()}

    def _left(self, run: str, batch: QuestionBatch) -> bool:
        """Whether what a run has claimed is left to it.

        A claim of ours that we are not asking was written by a transaction of which we heard no end.
        """
        return run != self._lease.run and self._questions.leave(run, batch.questions)

    def _claim(self, batch: QuestionBatch, attempt: int) -> Claim:
        asked = tuple(question.asked for question in batch.questions)
        body = canonical_json(batch.request.body())
        return Claim(
            request_key=batch.request.key,
            draw_key=batch.spec.draw_key,
            run=self._lease.run,
            request=body,
            questions=asked,
            attempt=attempt,
        )

    def _count(self, facts: Sequence[Annotation]) -> None:
        self.statuses.update(fact.status.value for fact in facts)

    def _tell(self) -> None:
        self._progress(self.annotator.name, self.known + self.statuses.total())
