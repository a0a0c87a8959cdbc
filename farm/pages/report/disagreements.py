"""The pairs on which people and simulators differ most, with their texts and every judge's reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.ledger import Ledger, PairFilter
from db.queries.frames import Judgements
from db.queries.replies import JudgementWithReply, said_of
from db.records import AnnotationStatus, AnnotatorKind, Pair
from farm.pages.report.content import LONGEST, Disagreement, Opinion, marked


class Means(NamedTuple):
    """Mean P(first output preferred)."""

    people: float
    simulators: float


SIMULATORS = (AnnotatorKind.LLM, AnnotatorKind.REWARD_MODEL)


def disagreements(ledger: Ledger, found: Judgements, limit: int) -> list[Disagreement]:
    """The pairs with the largest gap between the two mean preferences, the largest first.

    found: the judgements that count. limit: how many pairs at most. A pair is listed once; pairs of equal
    texts, and pairs without a gap, are left out.
    """
    kinds = {card.id: card.kind for card in found.annotators}
    rows = found.judgements.dropna(subset="preference")
    kind = rows["annotator"].map(kinds)
    people = rows[kind == AnnotatorKind.HUMAN].groupby("unit")["preference"].agg(["mean", "size"])
    simulators = rows[kind.isin(SIMULATORS)].groupby("unit")["preference"].mean()
    both = people.join(simulators.rename("simulators"), how="inner")
    both["gap"] = (both["mean"] - both["simulators"]).abs()
    units = found.units.set_index("unit")
    both = both.join(units[["pair_id", "identical"]]).query("gap > 0 and not identical")
    worst = both.sort_values(["gap", "size", "pair_id"], ascending=[False, False, True])
    worst = worst.drop_duplicates("pair_id").head(limit)
    ids = tuple(int(i) for i in worst["pair_id"])
    pairs = {pair.id: pair for pair in ledger.pairs(PairFilter(ids=ids))}
    said: dict[int, list[JudgementWithReply]] = {}
    for each in said_of(ledger, ids):
        said.setdefault(each.pair_id, []).append(each)
    flipped = ledger.flipped_pairs() & set(ids)
    return [
        _disagreement(pairs[i], Means(people, simulators), said.get(i, ()), i in flipped)
        for i, people, simulators in zip(ids, worst["mean"], worst["simulators"], strict=True)
    ]


def _disagreement(
    pair: Pair, means: Means, said: Sequence[JudgementWithReply], flipped: bool
) -> Disagreement:
    first, second = (pair.output_b, pair.output_a) if flipped else (pair.output_a, pair.output_b)
    return Disagreement(
        pair=pair.id,
        instruction=pair.instruction.text[:LONGEST],
        input=pair.instruction.input[:LONGEST],
        outputs=marked(first.text, second.text),
        producers=(first.producer, second.producer),
        people=means.people,
        simulators=means.simulators,
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
