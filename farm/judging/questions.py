"""What is still to be asked: the open questions about pairs, and the requests that ask them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from annotators.clients.request import Request
from annotators.draws import Occasion, Orders, RankedOccasion
from annotators.pool import Pool, specs_of
from annotators.render import messages
from annotators.reward_model import scoring_messages
from annotators.shown import ShownOutputs, ShownPair, ShownTogether
from annotators.spec import AnnotatorSpec
from db.ledger import Ledger, PairFilter, Standing
from db.queries import asking
from db.queries.asking import RequestStanding
from db.records import AnnotationStatus, AnnotatorKind, Completion, Pair, Question
from farm.judging.ranked import RankedQuestion, rankings
from farm.judging.runs import LeftToOthers

WINDOW = 256  # pairs looked at and claimed together at most
QUESTIONS = 256  # looked at and claimed together at most, where each pair is judged many times
REQUESTS = 64  # claimed together, about; replies have to wait while these are prepared


@dataclass(frozen=True)
class OpenQuestion:
    """A question that has no judgement, or only a failed one. attempt: the number of the next try."""

    pair: Pair
    asked: Question
    attempt: int
    occasion: Occasion


@dataclass(frozen=True)
class QuestionBatch:
    """The questions of one request, and the spec of the judge that is asked."""

    spec: AnnotatorSpec
    questions: tuple[OpenQuestion, ...]
    request: Request


class OpenQuestions:
    """The open questions of one annotator.

    annotator_id: None for one of whom the ledger does not know. endpoint: as of annotators.clients.Request.
    known: how many questions were met that are judged already. left: the pairs of those questions that are
    left to other runs, which are asking them.
    """

    def __init__(
        self, ledger: Ledger, annotator: AnnotatorSpec | Pool, annotator_id: int | None, *, endpoint: str
    ) -> None:
        self.known = 0
        self.left: LeftToOthers[int] = LeftToOthers()
        self._ledger = ledger
        self._annotator = annotator
        self._annotator_id = annotator_id
        self._endpoint = endpoint
        self._flipped = ledger.flipped_pairs() if annotator.orders is Orders.STORED else set()

    def windows(self, wanted: PairFilter) -> Iterator[list[Pair]]:
        """The pairs, so many at a time that their requests are about REQUESTS.

        Pairs of one instruction stay together where several outputs are ranked in one request.
        """
        if self._ranks:
            yield from self._instructions(wanted)
            return
        size = min(WINDOW, REQUESTS * sum(spec.batch for spec in specs_of(self._annotator)))
        left = wanted.limit
        while pairs := self._pairs(replace(wanted, limit=size if left is None else min(size, left))):
            yield pairs
            wanted = replace(wanted, after=pairs[-1].id)
            left = None if left is None else left - len(pairs)
            if left == 0:
                return

    @property
    def _ranks(self) -> bool:
        return isinstance(self._annotator, AnnotatorSpec) and bool(self._annotator.more)

    def _instructions(self, wanted: PairFilter) -> Iterator[list[Pair]]:
        """All wanted pairs of some instructions at a time, WINDOW pairs or a few more."""
        ids: list[int] = []
        for mine in self._ledger.patiently(lambda: list(asking.by_instruction(self._ledger, wanted))):
            ids += mine
            if len(ids) >= WINDOW:
                yield self._pairs(PairFilter(ids=tuple(ids)))
                ids = []
        if ids:
            yield self._pairs(PairFilter(ids=tuple(ids)))

    def _pairs(self, wanted: PairFilter) -> list[Pair]:
        return self._ledger.patiently(lambda: list(self._ledger.pairs(wanted)))

    def of(self, pairs: Sequence[Pair], replicates: range) -> Iterator[OpenQuestion]:
        """The open questions about these pairs in these replicates."""
        standing: dict[Question, Standing] = {}
        if self._annotator_id is not None:
            standing = self._ledger.standing(self._annotator_id, [pair.id for pair in pairs], replicates)
        for pair in pairs:
            for replicate in replicates:
                occasion = self._occasion(pair, replicate)
                for swapped in occasion.shown(self._annotator.orders, pair.id in self._flipped):
                    asked = Question(pair.id, replicate, swapped)
                    before = standing.get(asked)
                    if before and before.status is not AnnotationStatus.FAILED:
                        self.known += 1
                    else:
                        yield OpenQuestion(pair, asked, before.attempt + 1 if before else 0, occasion)

    def _occasion(self, pair: Pair, replicate: int) -> Occasion:
        if self._ranks:
            outputs = (pair.output_a.key, pair.output_b.key)
            return RankedOccasion(pair.key, self._annotator.draw_key, replicate, outputs)
        return Occasion(pair.key, self._annotator.draw_key, replicate)

    def batches(self, questions: Iterable[OpenQuestion]) -> Iterator[QuestionBatch]:
        """Group questions by the judge that is asked, then by replicate, into requests.

        A batch that was claimed before stays as it was. Such a batch may show pairs that are not among these
        questions, because another run has wider filters. If that run is alive, the batch is left to it.
        """
        by_spec: dict[str, list[OpenQuestion]] = {}
        specs: dict[str, AnnotatorSpec] = {}
        for question in questions:
            spec = self._asked_of(question)
            specs[spec.draw_key] = spec
            by_spec.setdefault(spec.draw_key, []).append(question)
        for draw_key, mine in by_spec.items():
            spec, waiting = specs[draw_key], {question.asked: question for question in mine}
            if spec.batch > 1 or spec.more:
                yield from self._claimed_before(spec, waiting)
            if spec.more:
                yield from self._rankings(spec, list(waiting.values()))
                continue
            by_replicate = sorted(waiting.values(), key=lambda question: question.asked.replicate)
            for _, group in groupby(by_replicate, key=lambda question: question.asked.replicate):
                each = list(group)
                for i in range(0, len(each), spec.batch):
                    yield self._batch(spec, each[i : i + spec.batch])

    def _rankings(self, spec: AnnotatorSpec, questions: Sequence[OpenQuestion]) -> Iterator[QuestionBatch]:
        """Requests that rank several outputs: each question is in one of them."""
        ranked = [
            RankedQuestion(
                ShownPair(each.pair, each.asked.swapped),
                (
                    each.pair.instruction.key,
                    each.asked.replicate,
                    each.asked.swapped == each.occasion.swapped(),
                ),
            )
            for each in questions
        ]
        for places in rankings(ranked, len(spec.names)):
            yield self._batch(spec, [questions[place] for place in places])

    def _claimed_before(
        self, spec: AnnotatorSpec, waiting: dict[Question, OpenQuestion]
    ) -> Iterator[QuestionBatch]:
        """The batches of these questions that were claimed before; their questions wait no more."""
        pair_ids = [question.pair.id for question in waiting.values()]
        for claimed in asking.batches(self._ledger, spec.draw_key, pair_ids):
            if all(asked in waiting for asked in claimed.questions):
                yield self._batch(spec, [waiting.pop(asked) for asked in claimed.questions])
            elif not claimed.failed:
                theirs = [waiting[asked] for asked in claimed.questions if asked in waiting]
                if self.leave(claimed.run, theirs):
                    for question in theirs:
                        del waiting[question.asked]

    def leave(self, run: str, questions: Sequence[OpenQuestion]) -> bool:
        """Leave these questions to the run that claimed them, unless it is dead. Returns whether they are."""
        return self.left.leave(run, [question.pair.id for question in questions])

    def _asked_of(self, question: OpenQuestion) -> AnnotatorSpec:
        """The annotator itself, or the member of the pool that judges this question."""
        if isinstance(self._annotator, Pool):
            return self._annotator.member(question.occasion)
        return self._annotator

    def _batch(self, spec: AnnotatorSpec, questions: Sequence[OpenQuestion]) -> QuestionBatch:
        pairs = [ShownPair(question.pair, question.asked.swapped) for question in questions]
        shown: Sequence[ShownTogether] = [ShownOutputs.of(pairs)] if spec.more else pairs
        replicate = questions[0].asked.replicate
        is_scored = spec.kind is AnnotatorKind.REWARD_MODEL
        said = scoring_messages(pairs[0]) if is_scored else messages(spec, shown)
        request = Request(
            model=spec.model,
            messages=said,
            decoding=spec.decoding,
            replicate=replicate,
            endpoint=self._endpoint,
        )
        return QuestionBatch(spec, tuple(questions), request)


def spans(pairs: Sequence[Pair], replicates: range) -> Iterator[range]:
    """The replicates of these pairs, so many at a time that they are QUESTIONS questions at most."""
    step = max(1, QUESTIONS // len(pairs))
    for first in replicates[::step]:
        yield range(first, min(first + step, replicates.stop))


def stored(answer: RequestStanding | None) -> Completion | None:
    """The usable completion of a request, if the ledger holds one."""
    usable = answer and answer.completion and answer.completion.failure is None
    return answer.completion if answer and usable else None


def unanswered(
    ledger: Ledger,
    annotator: AnnotatorSpec | Pool,
    endpoint: str,
    wanted: PairFilter,
    replicates: int,
) -> Iterator[Request]:
    """The requests that a run would have to send, because no stored completion answers them.

    Nothing is written: the ledger need not know the annotator.
    """
    card = annotator.card
    annotator_id = next((each.id for each in ledger.annotators() if each.key == card.key), None)
    questions = OpenQuestions(ledger, annotator, annotator_id, endpoint=endpoint)
    for pairs in questions.windows(wanted):
        for some in spans(pairs, range(replicates)):
            batches = list(questions.batches(questions.of(pairs, some)))
            answers = asking.answers(ledger, [batch.request.key for batch in batches])
            asked = {each.request.key: each.request for each in batches}  # equal ones are sent once
            yield from (each for key, each in asked.items() if stored(answers.get(key)) is None)
