"""Asking language models: claims before, completions after, judgements last; nothing is paid for twice.

Pairs are taken in windows. What can be answered without asking is: judgements that label noise replaces,
identical outputs, and requests whose completion is in the ledger already. The rest is claimed, in one
transaction, and only then sent. Completions are committed before they are parsed, and what they say with the
completions after them, so that a killed run parses them when it is started again; a claim without a
completion was in flight, and its batch is asked again as it was.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby
from pathlib import Path
from types import TracebackType

from annotators.clients.request import Reply, Request, TokenLogprob
from annotators.draws import Occasion, Orders
from annotators.judgement import Judgement, Verdict, judgement_of, spared
from annotators.parsers import ReplyText, parser_of, read_verdicts
from annotators.pool import Pool, specs_of
from annotators.render import messages
from annotators.reward_model import scoring_messages
from annotators.shown import ShownPair
from annotators.spec import AnnotatorSpec
from db.ids import canonical_json
from db.ledger import Ledger, PairFilter, Standing
from db.queries import asking
from db.records import Annotation, AnnotationStatus, AnnotatorKind, Claim, Completion, Pair, Question

WINDOW = 256  # pairs looked at and claimed together at most
REQUESTS = 64  # claimed together, about: replies that come while they are made ready have to wait
BUFFER = 64  # completions in one transaction
CLAIM_HOURS = 1.0  # for how long a claim of another machine is believed to be in flight
IDENTICAL = "identical outputs: a tie, not asked"
_NUMBERS = count()  # of the runs of this process
_under_way: set[str] = set()  # those that may be waiting for a reply


@dataclass(frozen=True)
class OpenQuestion:
    """A pair to be judged: in which order it is shown, for the how-manieth time and attempt."""

    pair: Pair
    asked: Question
    attempt: int
    occasion: Occasion


@dataclass(frozen=True)
class QuestionBatch:
    """The questions of one request, and who is asked."""

    spec: AnnotatorSpec
    questions: tuple[OpenQuestion, ...]
    request: Request


class Judging:
    """One run of one annotator over the ledger's pairs.

    Within `with` its claims are its own, for other threads of this process too; at the end what was delivered
    is committed.
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
        self.known = 0
        self.elsewhere = 0  # questions that another run is asking
        self.pairs = 0
        self._endpoint = endpoint
        self._progress = progress
        pid = os.getpid()
        self._run = f"{socket.gethostname()}/{pid}/{int(time.time())}/{_birth(pid)}/{next(_NUMBERS)}"
        self._window = min(WINDOW, REQUESTS * sum(spec.batch for spec in specs_of(annotator)))
        self._open: dict[str, tuple[int, QuestionBatch]] = {}  # by request key: claim, what was asked
        self._held: list[tuple[int, QuestionBatch, Reply]] = []  # to be committed
        self._judged: list[Annotation] = []  # what the replies committed last say
        with ledger.writing() as writer:
            [self._id] = writer.annotators([annotator.card])

    def __enter__(self) -> Judging:
        _under_way.add(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.commit()
            self._write(self._take_judged())
            self._tell()
        finally:
            _under_way.discard(self._run)

    def requests(self, wanted: PairFilter, replicates: int, claim: bool = True) -> Iterator[Request]:
        """What is still to be asked, claimed; everything else is judged on the way.

        Without `claim` nothing is written: for estimates.
        """
        flipped = self.ledger.flipped_pairs() if self.annotator.orders is Orders.STORED else set()
        left = wanted.limit
        while pairs := list(self.ledger.pairs(replace(wanted, limit=_least(self._window, left)))):
            wanted = replace(wanted, after=pairs[-1].id)
            left = None if left is None else left - len(pairs)
            self.pairs += len(pairs)
            questions = self._questions(pairs, replicates, flipped)
            yield from self._claimed(questions) if claim else self._unanswered(questions)
            self._tell()
            if left == 0:
                return

    def deliver(self, request: Request, reply: Reply) -> None:
        """Take a completion in; it is on disk after the next commit, which is BUFFER others away at most."""
        claim_id, batch = self._open.pop(request.key)
        self._held.append((claim_id, batch, reply))
        if len(self._held) >= BUFFER:
            self.commit()

    def commit(self) -> None:
        """Commit the completions held, and what those before them say; then parse them.

        So there is one transaction for each time that replies come, and a judgement is on disk after the
        next: a run that is killed in between finds the completion, and reads it again. What failed says
        nothing and is judged in its own transaction, so that no other run takes it for a first attempt.
        """
        held, self._held = self._held, []
        if not held:
            return
        facts = self._take_judged()
        for claim_id, batch, reply in held:
            if not reply.ok:
                facts += self._failed(batch, f"{reply.failure}: {reply.detail}".rstrip(": "), claim_id)
        with self.ledger.writing() as writer:
            writer.completions([_record(claim_id, reply) for claim_id, _, reply in held])
            writer.annotations(facts)
        self._count(facts)
        for claim_id, batch, reply in held:
            if reply.ok:
                self._judged += self._read(batch, ReplyText(reply.text, reply.top_logprobs), claim_id)
        self._tell()

    def _take_judged(self) -> list[Annotation]:
        facts, self._judged = self._judged, []
        return facts

    def _questions(self, pairs: Sequence[Pair], replicates: int, flipped: set[int]) -> Iterator[OpenQuestion]:
        """Every question of these pairs that has no judgement, or a failure, so far."""
        standing = self.ledger.standing(self._id, [pair.id for pair in pairs])
        for pair in pairs:
            for replicate in range(replicates):
                occasion = Occasion(pair.key, self.annotator.draw_key, replicate)
                for swapped in occasion.shown(self.annotator.orders, pair.id in flipped):
                    asked = Question(pair.id, replicate, swapped)
                    before: Standing | None = standing.get(asked)
                    if before and before.status is not AnnotationStatus.FAILED:
                        self.known += 1
                    else:
                        yield OpenQuestion(pair, asked, before.attempt + 1 if before else 0, occasion)

    def _unasked(self, question: OpenQuestion) -> Annotation | None:
        """The judgement of a question that needs no asking."""
        swapped = question.asked.swapped
        judgement = spared(swapped, self.annotator.noise, question.occasion)
        if judgement is None and question.pair.output_a.text == question.pair.output_b.text:
            tie = judgement_of(Verdict(0.5), swapped, self.annotator.noise, question.occasion)
            judgement = replace(tie, reason=IDENTICAL)
        return self._annotation(question, judgement) if judgement else None

    def _batches(self, questions: Iterable[OpenQuestion]) -> Iterator[QuestionBatch]:
        """Group questions by who is asked; a batch that was claimed before stays as it was.

        Where it shows pairs that are not ours to judge (another run has wider filters) and its run is at it,
        its questions are left to that run.
        """
        by_spec: dict[str, list[OpenQuestion]] = {}
        specs: dict[str, AnnotatorSpec] = {}
        for question in questions:
            spec = self._member(question)
            specs[spec.draw_key] = spec
            by_spec.setdefault(spec.draw_key, []).append(question)
        for draw_key, mine in by_spec.items():
            spec, open_ = specs[draw_key], {question.asked: question for question in mine}
            if spec.batch > 1:
                for shared in asking.batches(self.ledger, draw_key, [q.pair.id for q in mine]):
                    if all(slot in open_ for slot in shared.questions):
                        yield self._batch(spec, [open_.pop(slot) for slot in shared.questions])
                    elif not shared.failed and _alive(shared.run):
                        self.elsewhere += sum(open_.pop(slot, None) is not None for slot in shared.questions)
            by_replicate = sorted(open_.values(), key=lambda question: question.asked.replicate)
            for _, group in groupby(by_replicate, key=lambda question: question.asked.replicate):
                each = list(group)
                for i in range(0, len(each), spec.batch):
                    yield self._batch(spec, each[i : i + spec.batch])

    def _member(self, question: OpenQuestion) -> AnnotatorSpec:
        if isinstance(self.annotator, Pool):
            return self.annotator.member(question.occasion)
        return self.annotator

    def _batch(self, spec: AnnotatorSpec, questions: Sequence[OpenQuestion]) -> QuestionBatch:
        shown = [ShownPair(question.pair, question.asked.swapped) for question in questions]
        replicate = questions[0].asked.replicate
        is_scored = spec.kind is AnnotatorKind.REWARD_MODEL
        said = scoring_messages(shown[0]) if is_scored else messages(spec, shown)
        request = Request(spec.model, said, spec.decoding, replicate, self._endpoint)
        return QuestionBatch(spec, tuple(questions), request)

    def _unanswered(self, questions: Iterable[OpenQuestion]) -> Iterator[Request]:
        batches = list(self._batches(questions))
        answers = asking.answers(self.ledger, [batch.request.key for batch in batches])
        for batch in batches:
            answer = answers.get(batch.request.key)
            if not (answer and answer.completion and answer.completion.failure is None):
                yield batch.request

    def _claimed(self, questions: Iterable[OpenQuestion]) -> list[Request]:
        """Judge what needs no asking, read what was answered before, claim the rest.

        What another run is asking is left to it. All in one transaction, `questions` in it too: what is
        looked at here nobody else judges or claims meanwhile.
        """
        claims: list[tuple[Claim, QuestionBatch]] = []
        with self.ledger.writing() as writer:
            known = [(question, self._unasked(question)) for question in questions]
            facts = [fact for _, fact in known if fact]
            batches = list(self._batches(question for question, fact in known if not fact))
            answers = asking.answers(self.ledger, [batch.request.key for batch in batches])
            for batch in batches:
                answer = answers.get(batch.request.key)
                if answer and answer.completion and answer.completion.failure is None:
                    stored = answer.completion
                    facts += self._read(
                        batch, stored_reply(stored.text, stored.top_logprobs), stored.claim_id
                    )
                elif answer and answer.latest is None and _alive(answer.run):
                    self.elsewhere += len(batch.questions)
                else:
                    claims.append((self._claim(batch, answer.attempts if answer else 0), batch))
            writer.annotations(facts)
            ids = writer.claims([claim for claim, _ in claims])
        self._count(facts)
        taken = []
        for number, (_, batch) in zip(ids, claims, strict=True):
            if number is None:  # the same prompt as another pair's
                self.elsewhere += len(batch.questions)
            else:
                self._open[batch.request.key] = (number, batch)
                taken.append(batch.request)
        return taken

    def _claim(self, batch: QuestionBatch, attempt: int) -> Claim:
        slots = tuple(question.asked for question in batch.questions)
        body = canonical_json(batch.request.body())
        return Claim(batch.request.key, batch.spec.draw_key, self._run, body, slots, attempt)

    def _read(self, batch: QuestionBatch, reply: ReplyText, claim_id: int) -> Iterator[Annotation]:
        """The judgements of a reply, one for each question of its batch."""
        asked = len(batch.questions)
        verdicts = read_verdicts(parser_of(batch.spec), reply, asked)
        verdicts += [Verdict(None, "the reply does not name this pair")] * (asked - len(verdicts))
        for slot, question in enumerate(batch.questions):
            judgement = judgement_of(
                verdicts[slot], question.asked.swapped, self.annotator.noise, question.occasion
            )
            yield replace(self._annotation(question, judgement), completion_id=claim_id, slot=slot)

    def _failed(self, batch: QuestionBatch, failure: str, claim_id: int) -> Iterator[Annotation]:
        """The same where there is no usable reply."""
        for slot, question in enumerate(batch.questions):
            judgement = Judgement(None, None, question.asked.swapped, AnnotationStatus.FAILED, failure)
            yield replace(self._annotation(question, judgement), completion_id=claim_id, slot=slot)

    def _annotation(self, question: OpenQuestion, judgement: Judgement) -> Annotation:
        return Annotation(
            pair_id=question.pair.id,
            annotator_id=self._id,
            preference=judgement.preference,
            label=judgement.label,
            swapped=judgement.swapped,
            status=judgement.status,
            reason=judgement.reason,
            replicate=question.asked.replicate,
            attempt=question.attempt,
        )

    def _write(self, facts: Sequence[Annotation]) -> None:
        if facts:
            with self.ledger.writing() as writer:
                writer.annotations(facts)
            self._count(facts)

    def _count(self, facts: Sequence[Annotation]) -> None:
        self.statuses.update(fact.status.value for fact in facts)

    def _tell(self) -> None:
        self._progress(self.annotator.name, self.known + self.statuses.total())


def _least(window: int, left: int | None) -> int:
    return window if left is None else min(window, left)


def _alive(run: str) -> bool:
    """Whether the run that claimed a request may still be waiting for it."""
    host, pid, started, birth, *_ = run.split("/")
    if host != socket.gethostname():
        return time.time() - float(started) < CLAIM_HOURS * 3600
    if int(pid) == os.getpid():
        return run in _under_way
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _birth(int(pid)) == birth


def _birth(pid: int) -> str:
    """When a process began, by the kernel's clock; empty where it has ended or the system does not say.

    The numbers of processes are given out again: with its birth a process cannot be taken for another.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else numbers[18]


def _record(claim_id: int, reply: Reply) -> Completion:
    """The completion as the ledger keeps it."""
    tops = [[[each.token, each.logprob] for each in position] for position in reply.top_logprobs]
    return Completion(
        claim_id=claim_id,
        text=reply.text,
        failure=reply.failure,
        detail=reply.detail,
        finish_reason=reply.finish_reason,
        model=reply.model,
        top_logprobs=json.dumps(tops) if tops else None,
        prompt_tokens=reply.usage.prompt,
        completion_tokens=reply.usage.completion,
        cached_tokens=reply.usage.cached,
        sendings=reply.attempts,
        unmetered=reply.unmetered,
        cost=reply.cost,
        cost_bound=reply.cost_bound,
        seconds=reply.seconds,
        warnings=",".join(reply.warnings),
    )


def stored_reply(text: str, top_logprobs: str | None) -> ReplyText:
    """What a stored completion said, for a parser. top_logprobs: JSON, as of db.records.Completion."""
    tops = json.loads(top_logprobs) if top_logprobs else []
    positions = tuple(tuple(TokenLogprob(token, value) for token, value in position) for position in tops)
    return ReplyText(text, positions)
