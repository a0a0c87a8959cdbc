"""Judging by annotators that are made of others: panels, cascades, and one judge asked again and again.

Members judge as annotators of their own, so what one has judged already it is not asked again. A member's
vote is the mean of its judgements of a pair in one replicate, both orders together; it has no vote where one
of them has no verdict. Where one judgement takes several draws of a member, replicate r of the whole is made
of the member's replicates from r times that number on. So no two judgements share a draw.

The judgement that is made of the votes points to the judgements that they came from. A question is judged
only when all that it waits for is in the ledger. So a run that is killed goes on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import NamedTuple, TypeAlias

from annotators.composite import AnyAnnotator, Composite, Stage, Vote, questions_of
from annotators.draws import Occasion
from annotators.judgement import Judgement, judgement_of, spared
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger, PairFilter, Standing
from db.queries.composites import MemberJudgement, PairSides, sides, told_by
from db.records import Annotation, AnnotationStatus, Question
from farm.judging.answered import annotation_of
from farm.judging.provider import Provider
from farm.judging.reasons import Reasons
from farm.judging.transports import whom_of
from farm.judging.unasked import is_quiet, quiet_spec
from farm.progress import Progress

WINDOW = 5_000  # pairs looked at together
FAILED, CONTESTED = AnnotationStatus.FAILED, AnnotationStatus.CONTESTED
UNASKED, UNANSWERED = "not asked yet", "failed"  # why a member has no vote so far

Ask: TypeAlias = Callable[[AnyAnnotator, PairFilter, range], None]
"""Lets one member judge these pairs in these replicates, as an annotator of its own."""
Draw: TypeAlias = tuple[int, int]
"""A member's place among all members, and its replicate."""


class MemberSaid(NamedTuple):
    """What a member says of a question. preference: its vote, None without a verdict. parts: ids of the
    judgements that it comes from. missing: why there is nothing yet; empty where there is."""

    preference: float | None
    parts: tuple[int, ...] = ()
    missing: str = ""


class Waiting(NamedTuple):
    """A question that a stage has to judge. parts, votes: of earlier stages, which left it open for this
    reason."""

    pair: PairSides
    replicate: int
    attempt: int
    parts: tuple[int, ...] = ()
    reason: str = ""
    votes: tuple[Vote, ...] = ()


class Resolved(NamedTuple):
    """A panel or cascade whose members are those that the ledger will name. given: the members as they were
    given, by the fingerprint of the member that the ledger will name."""

    annotator: Composite
    given: Mapping[str, AnyAnnotator]


def resolved(ledger: Ledger, whole: Composite, provider: Provider, utility: str) -> Resolved:
    """As `named_members`. Raises ConfigError also where the annotator has to be calibrated first."""
    _refuse_unfitted(whole)
    return named_members(ledger, whole, provider, utility)


def _refuse_unfitted(whole: Composite) -> None:
    if lacking := whole.rule.lacking:
        remedy = "`farm annotators calibrate` fits it to people's votes and writes a file that judges"
        raise ConfigError(lacking, where=whole.name, remedy=remedy)
    for member in whole.members:
        if isinstance(member, Composite):
            _refuse_unfitted(member)


def named_members(ledger: Ledger, whole: Composite, provider: Provider, utility: str = "") -> Resolved:
    """Name models of this process by their content, recordings by whose they are, an oracle by its code.

    Raises ConfigError where that is not possible.
    """
    given: dict[str, AnyAnnotator] = {}

    def named(member: AnyAnnotator) -> AnyAnnotator:
        found: AnyAnnotator
        if isinstance(member, Composite):
            found = named_members(ledger, member, provider, utility).annotator
        elif isinstance(member, AnnotatorSpec) and is_quiet(member):
            found = quiet_spec(ledger, member, utility)
        else:
            found = whom_of(member, provider).annotator
        given[found.fingerprint] = member
        return found

    return Resolved(whole.changed(named), given)


class At(NamedTuple):
    """A stage, and the places of its members among all members."""

    stage: Stage
    places: range

    @property
    def name(self) -> str:
        """The names of its members."""
        return ", ".join(member.name for member in self.stage.members)


@dataclass
class CompositeRun:
    """One run of a panel or a cascade. ask: is called for what a member has not judged. wanted: the pairs.

    known: judged before. statuses: of the new judgements. elsewhere: left open, because another run is
    asking. decided: how many judgements each stage made, by the names of its members. contested: by reason.
    """

    ledger: Ledger
    annotator: Composite
    ask: Ask
    wanted: PairFilter
    replicates: int
    progress: Progress
    pairs: int = 0
    known: int = 0
    elsewhere: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    decided: Counter[str] = field(default_factory=Counter)
    contested: Counter[str] = field(default_factory=Counter)
    unreadable: Reasons = field(default_factory=Reasons)

    def run(self) -> None:
        """Judge the pairs, stage by stage."""
        cards = [self.annotator.card, *(member.card for member in self.annotator.members)]
        self._id, *self._members = self.ledger.write_patiently(lambda writer: writer.annotators(cards))
        places, windows = range(0), self._all()
        for stage in self.annotator.rule.stages:
            if not (places and stage.gathers):
                places = range(places.stop, places.stop + len(stage.members))
            windows = _windows(self._through(At(stage, places), windows))
        for some in windows:
            self.contested.update(each.reason for each in some)
            self._write([self._annotation(each, _without(CONTESTED, each.reason)) for each in some])

    def _all(self) -> Iterator[list[Waiting]]:
        """The open questions of all pairs that are wanted, window by window."""
        for pairs in _pair_windows(self.ledger, self.wanted):
            found = _open(self.ledger, self._id, pairs, self.replicates)
            self.pairs += len(pairs)
            self.known += len(pairs) * self.replicates - len(found)
            yield found

    def _through(self, at: At, windows: Iterator[list[Waiting]]) -> list[Waiting]:
        """Take questions through one stage. Returns those that it leaves open.

        Questions that wait for nobody are judged at once; for the others the members are asked together.
        """
        passed, later = list[Waiting](), list[Waiting]()
        asked: dict[tuple[int, range], set[int]] = defaultdict(set)
        for some in windows:
            ready = list[tuple[Waiting, dict[Draw, MemberSaid]]]()
            for question, votes in zip(some, self._said(some, at), strict=True):
                missing = {place for (place, _), each in votes.items() if each.missing}
                for place in missing:
                    asked[place, self._asked(at, question)].add(question.pair.id)
                if missing:
                    later.append(question)
                else:
                    ready.append((question, votes))
            passed += self._ruled(at, ready)
        for (place, replicates), ids in sorted(
            asked.items(), key=lambda each: (each[0][0], each[0][1].start)
        ):
            self.ask(self.annotator.members[place], PairFilter(ids=tuple(sorted(ids))), replicates)
        for some in _windows(later):
            passed += self._ruled(at, zip(some, self._said(some, at), strict=True))
        return passed

    def _asked(self, at: At, question: Waiting) -> range:
        """The replicates in which a member is asked: all of them, where one draw makes a judgement."""
        many = self.annotator.rule.draws > 1
        return self._draws(at, question) if many else range(self.replicates)

    def _draws(self, at: At, question: Waiting) -> range:
        """The replicates of a member that the stage makes a judgement of."""
        first = question.replicate * self.annotator.rule.draws
        return range(first + at.stage.draws.start, first + at.stage.draws.stop)

    def _ruled(self, at: At, said: Iterable[tuple[Waiting, dict[Draw, MemberSaid]]]) -> list[Waiting]:
        """Write what the stage makes of its votes. Returns the questions that it leaves open."""
        facts, passed = list[Annotation](), list[Waiting]()
        for question, votes in said:
            members = self.annotator.members
            missing = {
                members[place].name: each.missing for (place, _), each in votes.items() if each.missing
            }
            if UNASKED in missing.values():
                self.elsewhere += 1
                continue
            if missing:
                facts.append(self._annotation(question, _without(FAILED, f"{', '.join(missing)} failed")))
                continue
            parts = tuple(part for each in votes.values() for part in each.parts)
            own = [Vote(place - at.places.start, each.preference) for (place, _), each in votes.items()]
            told = (*question.votes, *own) if at.stage.gathers else tuple(own)
            ruling = at.stage.rule(told)
            reached = question._replace(parts=question.parts + parts, reason=ruling.reason, votes=told)
            if ruling.verdict is None:
                passed.append(reached)
                continue
            noise, occasion = self.annotator.noise, self._occasion(question)
            judgement = spared(False, noise, occasion) or judgement_of(ruling.verdict, False, noise, occasion)
            facts.append(self._annotation(reached, judgement))
            self.decided[at.name] += 1
        self._write(facts)
        return passed

    def _said(self, some: Sequence[Waiting], at: At) -> list[dict[Draw, MemberSaid]]:
        """For each question, what each draw of a stage's members says. Members that are recused have none."""
        found: dict[tuple[int, int, int], list[MemberJudgement]] = defaultdict(list)
        ids = [self._members[place] for place in at.places]
        pair_ids = sorted({each.pair.id for each in some})
        for told in told_by(self.ledger, ids, pair_ids, self.replicates * self.annotator.rule.draws):
            found[told.pair_id, told.replicate, told.annotator_id].append(told)

        def of(question: Waiting, place: int, replicate: int) -> MemberSaid:
            mine = found.get((question.pair.id, replicate, self._members[place]), [])
            return _said_by(self.annotator.members[place], mine)

        return [
            {
                (place, replicate): of(each, place, replicate)
                for place in at.places
                if not self._is_recused(place, each.pair)
                for replicate in self._draws(at, each)
            }
            for each in some
        ]

    def _is_recused(self, place: int, pair: PairSides) -> bool:
        own, families = self.annotator.recused[place], self.annotator.families
        return bool(families and own & families.all_of((pair.producer_a, pair.producer_b)))

    def _occasion(self, question: Waiting) -> Occasion:
        return Occasion(question.pair.key, self.annotator.draw_key, question.replicate)

    def _annotation(self, question: Waiting, judgement: Judgement) -> Annotation:
        made = annotation_of(
            judgement,
            pair_id=question.pair.id,
            annotator_id=self._id,
            replicate=question.replicate,
            attempt=question.attempt,
        )
        return replace(made, swapped=None, parts=question.parts)

    def _write(self, facts: Sequence[Annotation]) -> None:
        self.ledger.write_patiently(lambda writer: writer.annotations(facts))
        self.statuses.update(fact.status.value for fact in facts)
        self.unreadable.add_read(facts)
        self.progress(self.annotator.name, self.known + self.statuses.total())


def open_pairs(ledger: Ledger, annotator: Composite, wanted: PairFilter, replicates: int) -> PairFilter:
    """The pairs with questions that a panel or cascade has still to judge. Nothing is written."""
    number = next((card.id for card in ledger.annotators() if card.key == annotator.fingerprint), None)
    if number is None:
        return wanted
    windows = _pair_windows(ledger, wanted)
    found = {each.pair.id for pairs in windows for each in _open(ledger, number, pairs, replicates)}
    return PairFilter(ids=tuple(sorted(found)))


def _pair_windows(ledger: Ledger, wanted: PairFilter) -> Iterator[list[PairSides]]:
    """The pairs that are wanted, in lists of WINDOW."""
    after, left = wanted.after, wanted.limit
    while left is None or left > 0:
        size = WINDOW if left is None else min(WINDOW, left)
        found = sides(ledger, replace(wanted, after=after, limit=size))
        if not found:
            return
        after, left = found[-1].id, None if left is None else left - len(found)
        yield found


def _open(ledger: Ledger, annotator_id: int, pairs: Sequence[PairSides], replicates: int) -> list[Waiting]:
    """The questions about these pairs that are not judged, or only failed."""
    standing = ledger.standing(annotator_id, [pair.id for pair in pairs], range(replicates))
    found = []
    for pair in pairs:
        for replicate in range(replicates):
            before: Standing | None = standing.get(Question(pair.id, replicate, False))
            if before is None or before.status is FAILED:
                found.append(Waiting(pair, replicate, before.attempt + 1 if before else 0))
    return found


def _said_by(member: AnyAnnotator, told: Sequence[MemberJudgement]) -> MemberSaid:
    """The vote that a member's judgements of one question come to."""
    if len(told) < questions_of(member):
        return MemberSaid(None, missing=UNASKED)
    if any(each.status == FAILED.value for each in told):
        return MemberSaid(None, missing=UNANSWERED)
    parts = tuple(sorted(each.id for each in told))
    preferences = [each.preference for each in told if each.preference is not None]
    return MemberSaid(fmean(preferences) if len(preferences) == len(told) else None, parts)


def _without(status: AnnotationStatus, reason: str) -> Judgement:
    return Judgement(None, None, False, status=status, reason=reason)


def _windows(questions: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """The questions in lists of WINDOW."""
    for at in range(0, len(questions), WINDOW):
        yield list(questions[at : at + WINDOW])
