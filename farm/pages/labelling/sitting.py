"""One person's progress: the current pair, and what a verdict or an undo writes.

The ledger is the only state. Judgements are read from it at every request, so a reload, a second window, a
second process or a kill lose nothing. A judgement is written before the next pair is shown. The person's
verdict and its time are stored like the reply of any other annotator.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from threading import Lock

from db.errors import ConfigError
from db.ids import Json, canonical_json, content_hash
from db.ledger import Ledger
from db.queries.given import Given, given_by
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Item,
    Question,
)
from farm.evaluation.questions import CATCH_SOURCE
from farm.pages.labelling.criteria import aspects_of, reply_of
from farm.pages.labelling.questions import LabelQuestion, QuestionKind, question_key
from farm.pages.labelling.scales import SIDES, scale_of

SKIPPED = "skipped by the person"


class VerdictKey(StrEnum):
    """The keys of the page with three points, and the skip of every page."""

    FIRST = "1"
    SECOND = "2"
    TIE = "0"
    SKIP = "s"


class Outcome(StrEnum):
    """The result of a verdict or an undo."""

    SAVED = "saved"
    UNDONE = "undone"
    TAKEN = "taken"  # what the undo names is not the last judgement any more; nothing was written
    STALE = "stale"  # the question was no longer the current one; nothing was written
    NOTHING = "nothing"  # there was no judgement to take back


@dataclass(frozen=True)
class Summary:
    """A person's progress and care. Counts are questions. left: not judged yet. seconds: the median time of a
    judgement. identical, repeats: judged catch items. identical_ties, repeats_same: those judged as they
    should be."""

    annotator: str
    judged: int
    ties: int
    skipped: int
    left: int
    seconds: float | None
    identical: int
    identical_ties: int
    repeats: int
    repeats_same: int

    def to_json(self) -> dict[str, Json]:
        """The summary as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class PageState:
    """What the page shows. question: None where all are answered. done: answered questions. waited: seconds
    since the question was first shown. last: names the judgement that an
    undo takes back; empty where there is none."""

    question: LabelQuestion | None
    done: int
    total: int
    waited: float
    summary: Summary
    last: str


class Sitting:
    """One person's questions, and the ledger that their answers go to.

    card: the person as an annotator. wanted: the questions in order; those that were skipped in an earlier
    sitting come last. points: of the scale. aspects: criteria that every verdict comes with. clock: seconds,
    for tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        card: AnnotatorCard,
        wanted: Sequence[LabelQuestion],
        points: int = SIDES,
        *,
        aspects: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.card = card
        self.aspects = tuple(aspects)
        self.choices = scale_of(points)
        self._ledger = ledger
        self._clock = clock
        self._lock = Lock()
        self._since: dict[str, float] = {}
        self._run = f"{socket.gethostname()}/{os.getpid()}/{int(time.time())}"
        with ledger.writing() as writer:
            [self._id] = writer.annotators([card])
        before = self._given()
        self._last = max((each.id for each in before.values()), default=0)
        skipped = {question.key for question in wanted if _skipped(before.get(question.key))}
        self._questions = sorted(wanted, key=lambda question: question.key in skipped)

    def knows(self, key: str) -> bool:
        """Whether this is a question of this sitting."""
        return any(question.key == key for question in self._questions)

    def shown(self) -> PageState:
        """What the page shows now."""
        given = self._given()
        question, summary = self._current(given), self._summary(given)
        waited = self._waited(question.key) if question else 0.0
        last, total = self._last_given(given), len(self._questions)
        return PageState(
            question=question,
            done=total - summary.left,
            total=total,
            waited=waited,
            summary=summary,
            last=_named(last[1]) if last else "",
        )

    def answer(
        self, key: str, verdict: str, seconds: float | None = None, on_aspects: Sequence[str] = ()
    ) -> Outcome:
        """Write a verdict on the current question.

        key: of the question that was answered; the outcome is STALE where it is not the current one. seconds:
        the time that the page measured; at most the time that passed here is stored. on_aspects: the key that
        was pressed for each criterion; a skip says nothing of them.
        """
        with self._lock:
            given = self._given()
            question = self._current(given)
            if question is None or question.key != key:
                return Outcome.STALE
            waited = self._waited(key)
            took = waited if seconds is None else min(max(seconds, 0.0), waited)
            before = given.get(key)
            attempt = before.attempt + 1 if before else 0
            saved = self._write(question, verdict, attempt, took, on_aspects=on_aspects)
            self._since.pop(key, None)
            return Outcome.SAVED if saved else Outcome.STALE

    def undo(self, last_named: str | None = None, shown: str | None = None) -> Outcome:
        """Take the last judgement back: write a later attempt without a verdict. The ledger keeps both.

        last_named: PageState.last of the page that asks. shown: the key of the question on that page, empty
        where all were answered; None where nobody says. The outcome is TAKEN where either has changed.
        """
        with self._lock:
            given = self._given()
            last, current = self._last_given(given), self._current(given)
            if shown is not None and shown != (current.key if current else ""):
                return Outcome.TAKEN
            if last is None:
                return Outcome.NOTHING
            if last_named not in (None, _named(last[1])):
                return Outcome.TAKEN
            question, judged = last
            with self._ledger.writing() as writer:
                [pair_id] = writer.pairs([question.pair])
                taken_back = Annotation(
                    pair_id=pair_id,
                    annotator_id=self._id,
                    preference=None,
                    label=None,
                    swapped=question.swapped,
                    status=AnnotationStatus.RETRACTED,
                    reason="taken back by the person",
                    attempt=judged.attempt + 1,
                )
                written = writer.annotations([taken_back])
            return Outcome.UNDONE if written.added else Outcome.STALE

    def summary(self) -> Summary:
        """The person's progress so far."""
        return self._summary(self._given())

    def _given(self) -> Mapping[str, Given]:
        """The person's latest judgement of each question, by the question's key."""
        return {question_key(each.pair_key, each.swapped): each for each in given_by(self._ledger, self._id)}

    def _current(self, given: Mapping[str, Given]) -> LabelQuestion | None:
        return next((each for each in self._questions if self._is_open(given.get(each.key))), None)

    def _is_open(self, given: Given | None) -> bool:
        """Whether a question is not judged, taken back, or was skipped in an earlier sitting."""
        if given is None or given.status is AnnotationStatus.RETRACTED:
            return True
        return _skipped(given) and given.id <= self._last

    def _last_given(self, given: Mapping[str, Given]) -> tuple[LabelQuestion, Given] | None:
        mine = ((question, given[question.key]) for question in self._questions if question.key in given)
        standing = [each for each in mine if each[1].status is not AnnotationStatus.RETRACTED]
        return max(standing, key=lambda each: each[1].id, default=None)

    def _waited(self, key: str) -> float:
        now = self._clock()
        return now - self._since.setdefault(key, now)

    def _write(
        self,
        question: LabelQuestion,
        verdict: str,
        attempt: int,
        seconds: float,
        *,
        on_aspects: Sequence[str],
    ) -> bool:
        """Write claim, reply and judgement in one transaction. False where another process was quicker."""
        choice = self.choices.get(verdict)
        names = self.aspects if choice else ()
        said = choice.first if choice else None
        preference = None if said is None else 1 - said if question.swapped else said
        status = AnnotationStatus.FAILED if said is None else AnnotationStatus.OK
        with self._ledger.writing() as writer:
            [pair_id] = writer.pairs([question.pair])
            if question.kind is QuestionKind.IDENTICAL:
                writer.items([Item(CATCH_SOURCE, question.pair.key, question.pair, False)])
            [claim_id] = writer.claims([self._claim(question, pair_id, attempt)])
            if claim_id is None:
                return False
            reply = reply_of(names, on_aspects, str(verdict))
            writer.completions([Completion(claim_id, reply, seconds=seconds)])
            judged = Annotation(
                pair_id=pair_id,
                annotator_id=self._id,
                preference=preference,
                label=preference,
                swapped=question.swapped,
                status=status,
                reason=SKIPPED if said is None else None,
                attempt=attempt,
                completion_id=claim_id,
                slot=0,
                strength=choice.degree if choice else None,
                aspects=aspects_of(names, on_aspects, question.swapped),
            )
            writer.annotations([judged])
        return True

    def _claim(self, question: LabelQuestion, pair_id: int, attempt: int) -> Claim:
        shown: Json = {
            "shown": "farm label",
            "pair": question.pair.key,
            "swapped": question.swapped,
            "kind": str(question.kind),
        }
        return Claim(
            request_key=content_hash("shown to a person", [self.card.key, question.key]),
            draw_key=self.card.key,
            run=self._run,
            request=canonical_json(shown),
            questions=(Question(pair_id, 0, question.swapped),),
            attempt=attempt,
        )

    def _summary(self, given: Mapping[str, Given]) -> Summary:
        found = [(each, given[each.key]) for each in self._questions if each.key in given]
        done = [(question, each) for question, each in found if each.status is AnnotationStatus.OK]
        same = {each.pair.key: said for each, said in done if each.kind is QuestionKind.PAIR}
        ties = [said.preference for each, said in done if each.kind is QuestionKind.IDENTICAL]
        repeats = [
            said.preference == same[each.pair.key].preference
            for each, said in done
            if each.kind is QuestionKind.REPEAT and each.pair.key in same
        ]
        times = [said.seconds for _, said in done if said.seconds is not None]
        return Summary(
            self.card.name,
            judged=len(done),
            ties=sum(said.preference == 0.5 for _, said in done),
            skipped=sum(_skipped(said) for _, said in found),
            left=sum(self._is_open(given.get(each.key)) for each in self._questions),
            seconds=median(times) if times else None,
            identical=len(ties),
            identical_ties=ties.count(0.5),
            repeats=len(repeats),
            repeats_same=sum(repeats),
        )


def _named(given: Given) -> str:
    """What an undo calls a judgement: its id and attempt, which no later judgement has."""
    return f"{given.id}.{given.attempt}"


def _skipped(given: Given | None) -> bool:
    return given is not None and given.status is AnnotationStatus.FAILED


def person(name: str, guideline: str, points: int = SIDES, aspects: Sequence[str] = ()) -> AnnotatorCard:
    """The annotator of a person who judges by this guideline, on a scale of so many points, and by criteria.

    Raises ConfigError where the name is empty, unprintable or longer than 80 characters.
    """
    if not name.strip() or not name.isprintable() or len(name) > 80:
        raise ConfigError(f"{name!r:.100} is no name for an annotator", where="--annotator")
    spec: dict[str, Json] = {"page": "farm label", "guideline": guideline}
    spec |= {"scale": points} if points != SIDES else {}
    spec |= {"aspects": list(aspects)} if aspects else {}
    return AnnotatorCard(name.strip(), AnnotatorKind.HUMAN, spec)
