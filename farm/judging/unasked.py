"""Judges that ask nobody: rules, and stored replies read again.

Such a judge lists its questions about some pairs. Each question carries the function that judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

from annotators.draws import Occasion, Orders
from annotators.judgement import Judgement, Verdict, failed, judgement_of
from annotators.parsers import ReplyText
from annotators.recorded import StoredReply, imported_reply, replayed
from annotators.rules import RuleAnnotator
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.recordings import Recording, has_recordings, recordings
from db.records import AnnotatorCard, AnnotatorKind, Pair, Question
from farm.judging.answered import IDENTICAL
from farm.judging.completions import stored_reply

SHORTEST = 8  # digits of a fingerprint that may stand for it


class QuietQuestion(NamedTuple):
    """A question with the function that judges it.

    completion_id, slot: the stored reply that the function reads, and the question's place in it; None where
    it reads none.
    """

    asked: Question
    judge: Callable[[], Judgement]
    completion_id: int | None = None
    slot: int | None = None


class QuietJudge(Protocol):
    """An annotator that asks nobody."""

    @property
    def card(self) -> AnnotatorCard:
        """The annotator as the ledger keeps it."""
        ...

    def questions(self, pairs: Sequence[Pair]) -> Iterator[QuietQuestion]:
        """All its questions about these pairs."""
        ...


@dataclass(frozen=True)
class Rules:
    """A rule, asked as often and in the orders that the task wants. flipped: as Ledger.flipped_pairs."""

    annotator: RuleAnnotator
    replicates: int
    flipped: set[int]

    @property
    def card(self) -> AnnotatorCard:
        """The rule as the ledger keeps it."""
        return self.annotator.card()

    def questions(self, pairs: Sequence[Pair]) -> Iterator[QuietQuestion]:
        """Each pair in each replicate and order."""
        for pair in pairs:
            for replicate in range(self.replicates):
                occasion = self.annotator.occasion(pair, replicate)
                for swapped in occasion.shown(self.annotator.spec.orders, pair.id in self.flipped):
                    judge = partial(self.annotator.judge, pair, replicate, swapped)
                    yield QuietQuestion(Question(pair.id, replicate, swapped), judge)


@dataclass(frozen=True)
class Replay:
    """The stored replies of one annotator, read by the spec's parser. Build with `of`."""

    ledger: Ledger
    spec: AnnotatorSpec  # names the recorded annotator by its whole fingerprint
    recorded: AnnotatorCard

    @classmethod
    def of(cls, ledger: Ledger, spec: AnnotatorSpec) -> Replay:
        """Find the annotator whose replies the spec means. Raises ConfigError where there is none, or
        several.
        """
        assert spec.recorded is not None
        card = _recorded(ledger, spec)
        whole = replace(spec, recorded=replace(spec.recorded, annotator=card.key))
        return cls(ledger, whole, card)

    @property
    def card(self) -> AnnotatorCard:
        """The reading annotator as the ledger keeps it."""
        return self.spec.card

    def questions(self, pairs: Sequence[Pair]) -> Iterator[QuietQuestion]:
        """Each recording in its own order. A pair without a recording gives a question that fails."""
        assert self.spec.recorded is not None
        by_id = {pair.id: pair for pair in pairs}
        found: set[int] = set()
        for each in recordings(self.ledger, self.recorded.id, list(by_id), self.spec.recorded.source):
            found.add(each.pair_id)
            asked = Question(each.pair_id, each.replicate, each.swapped)
            judge = partial(self._judge, by_id[each.pair_id], each)
            slot = each.slot if each.completion_id is not None else None
            yield QuietQuestion(asked, judge, each.completion_id, slot)
        for pair_id in sorted(by_id.keys() - found):
            reason = f"{self.recorded.name} has no recording of this pair"
            yield QuietQuestion(Question(pair_id, 0, False), partial(failed, reason, False))

    def _judge(self, pair: Pair, recording: Recording) -> Judgement:
        name, swapped = self.recorded.name, recording.swapped
        occasion = Occasion(pair.key, self.spec.draw_key, recording.replicate)
        if recording.failure is not None:
            return failed(f"{name} failed: {recording.failure} {recording.detail}".strip(), swapped)
        if recording.text is not None:
            said = _said(recording.text, recording)
            return replayed(self.spec, StoredReply(said, recording.slot, recording.pairs), swapped, occasion)
        if pair.output_a.text == pair.output_b.text:
            return replace(judgement_of(Verdict(0.5), swapped, self.spec.noise, occasion), reason=IDENTICAL)
        why = f": {recording.reason}" if recording.reason else ""
        return failed(f"{name} judged this pair, but its reply was not kept{why}", swapped)


def is_quiet(spec: AnnotatorSpec) -> bool:
    """Whether such an annotator asks nobody."""
    return spec.kind is AnnotatorKind.RULE or spec.recorded is not None


def quiet_judge(
    ledger: Ledger, spec: AnnotatorSpec, replicates: int, orders: Orders | None, utility: str
) -> QuietJudge:
    """The judge of a spec that asks nobody. Raises ConfigError on options that it does not know."""
    if spec.recorded is None:
        flipped = ledger.flipped_pairs() if spec.orders is Orders.STORED else set()
        return Rules(RuleAnnotator.of(spec, utility), replicates, flipped)
    if replicates > 1 or orders:
        what = "a recording is read as often, and in the orders, as it was made"
        raise ConfigError(what, where=spec.name, remedy="leave out --replicates and --orders")
    return Replay.of(ledger, spec)


def quiet_spec(ledger: Ledger, spec: AnnotatorSpec, utility: str) -> AnnotatorSpec:
    """A spec that asks nobody, as the ledger will name it. Raises ConfigError as `quiet_judge` does."""
    if spec.recorded is None:
        return RuleAnnotator.of(spec, utility).spec
    return Replay.of(ledger, spec).spec


def _said(text: str, recording: Recording) -> ReplyText:
    if recording.completion_id is None:
        return imported_reply(text)
    return stored_reply(text, recording.top_logprobs, recording.thinking)


def _recorded(ledger: Ledger, spec: AnnotatorSpec) -> AnnotatorCard:
    assert spec.recorded is not None
    wanted, source = spec.recorded.annotator, spec.recorded.source
    named = [card for card in ledger.annotators() if _is_called(card, wanted)]
    found = [card for card in named if has_recordings(ledger, card.id, source)]
    if len(found) == 1:
        return found[0]
    if found:
        keys = ", ".join(card.key[:SHORTEST] for card in found)
        remedy = "give the fingerprint of one of them"
        raise ConfigError(f"{wanted!r} is the name of several: {keys}", where="recorded", remedy=remedy)
    of_source = f" from {source}" if source else ""
    what = f"{wanted!r} has no stored replies{of_source}" if named else f"no annotator {wanted!r} here"
    raise ConfigError(what, where="recorded", remedy="`farm audit` lists those that judged")


def _is_called(card: AnnotatorCard, wanted: str) -> bool:
    return card.name == wanted or (len(wanted) >= SHORTEST and card.key.startswith(wanted))
