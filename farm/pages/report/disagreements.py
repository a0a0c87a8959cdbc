"""The pairs on which people and simulators differ most, with their texts and every judge's reply."""

from __future__ import annotations

from collections.abc import Sequence

from db.ledger import Ledger, PairFilter
from db.queries.frames import Judgements
from db.queries.replies import JudgementWithReply, said_of
from db.records import AnnotationStatus, AnnotatorKind, Pair
from farm.evaluation.worst_pairs import WorstPair, worst_pairs
from farm.pages.report.content import LONGEST, Disagreement, Opinion, marked

SIMULATORS = (AnnotatorKind.LLM, AnnotatorKind.REWARD_MODEL)


def disagreements(ledger: Ledger, found: Judgements, limit: int) -> list[Disagreement]:
    """The pairs with the largest gap between the two mean preferences, the largest first.

    found: the judgements that count. limit: how many pairs at most. A pair is listed once; pairs of equal
    texts, and pairs without a gap, are left out.
    """
    people = [card.id for card in found.annotators if card.kind is AnnotatorKind.HUMAN]
    simulators = [card.id for card in found.annotators if card.kind in SIMULATORS]
    worst = worst_pairs(found, people, simulators, limit)
    ids = tuple(each.pair for each in worst)
    pairs = {pair.id: pair for pair in ledger.pairs(PairFilter(ids=ids))}
    said: dict[int, list[JudgementWithReply]] = {}
    for each in said_of(ledger, ids):
        said.setdefault(each.pair_id, []).append(each)
    flipped = ledger.flipped_pairs() & set(ids)
    return [
        _disagreement(pairs[each.pair], each, said.get(each.pair, ()), each.pair in flipped) for each in worst
    ]


def _disagreement(
    pair: Pair, means: WorstPair, said: Sequence[JudgementWithReply], flipped: bool
) -> Disagreement:
    first, second = (pair.output_b, pair.output_a) if flipped else (pair.output_a, pair.output_b)
    return Disagreement(
        pair=pair.id,
        instruction=pair.instruction.text[:LONGEST],
        input=pair.instruction.input[:LONGEST],
        outputs=marked(first.text, second.text),
        producers=(first.producer, second.producer),
        people=means.people,
        simulators=means.judges,
        opinions=tuple(_opinion(each, flipped) for each in said),
        turns=tuple(turn._replace(content=turn.content[:LONGEST]) for turn in pair.instruction.turns),
    )


def _opinion(said: JudgementWithReply, flipped: bool) -> Opinion:
    reply = (said.reply or "")[:LONGEST]
    return Opinion(said.annotator, str(said.kind), _verdict(said, flipped), reply)


def _verdict(said: JudgementWithReply, flipped: bool) -> str:
    if said.preference is None:
        return str(said.status) + (
            f" ({said.reason})" if said.reason and said.status is not AnnotationStatus.OK else ""
        )
    first = 1 - said.preference if flipped else said.preference
    if first == 0.5:
        return "a tie"
    sure = "" if first in (0, 1) else f" ({max(first, 1 - first):.2f})"
    turned = "" if said.swapped in (None, flipped) else ", having seen the second before the first"
    return ("the first" if first > 0.5 else "the second") + sure + turned
