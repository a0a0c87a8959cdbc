"""What exported judgements were about: a pair as an item of a source shows it, or as it is.

Many judgements are of one question. Its texts are read once for all of them that stand together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from db.instruction_rows import ASKED, sides
from db.interchange.made_here import HERE
from db.interchange.rows import OutputOrigin
from db.queries.columns import chunks
from db.records import ProducerKind, turns_from_json
from db.tables import INSTRUCTION, ITEM, OUTPUT, PAIR

LOOKUP = 5_000
SHOWN = (
    ITEM.c.id.label("item_id"),
    ITEM.c.source,
    ITEM.c.subset,
    ITEM.c.name.label("item"),
    func.coalesce(ITEM.c.flipped, False).label("flipped"),
    ITEM.c.instruction_ref,
)
"""The columns of an item, NULL where a pair has none."""


class JudgedPair(NamedTuple):
    """A pair with its key and texts, as the columns of the ledger have them."""

    id: int
    key: str
    asked_text: str
    asked_input: str
    asked_turns: str
    text_a: str
    producer_a: str
    kind_a: str
    decoding_a: str
    sample_a: int
    turns_a: str
    text_b: str
    producer_b: str
    kind_b: str
    decoding_b: str
    sample_b: int
    turns_b: str


class ShownQuestion(NamedTuple):
    """What was judged. fields: those of a `PreferenceRow` that say it, by name."""

    fields: Mapping[str, Any]
    flipped: bool  # output_1 is output_b of the pair
    drawn: tuple[OutputOrigin, OutputOrigin]  # how output_1 and output_2 came to be


def judged_pairs(connection: Connection, pair_ids: Collection[int]) -> dict[int, JudgedPair]:
    """These pairs, by id."""
    a, b, ids = OUTPUT.alias(), OUTPUT.alias(), sorted(pair_ids)
    query = (
        select(PAIR.c.id, PAIR.c.key, *ASKED, *sides(a, b))
        .join(a, a.c.id == PAIR.c.output_a_id)
        .join(b, b.c.id == PAIR.c.output_b_id)
        .join(INSTRUCTION, INSTRUCTION.c.id == a.c.instruction_id)
    )
    return {
        pair[0]: JudgedPair._make(pair)
        for at in range(0, len(ids), LOOKUP)
        for batch in chunks(connection, query.where(PAIR.c.id.in_(ids[at : at + LOOKUP])))
        for pair in batch
    }


def question_of(item: Any, pair: JudgedPair) -> ShownQuestion:
    """A pair as an item shows it. item: a row with the columns SHOWN."""
    a = pair.text_a, pair.producer_a, pair.turns_a, _origin(pair.kind_a, pair.decoding_a, pair.sample_a)
    b = pair.text_b, pair.producer_b, pair.turns_b, _origin(pair.kind_b, pair.decoding_b, pair.sample_b)
    flipped, loose = bool(item.flipped), item.item is None
    (output_1, model_1, turns_1, drawn_1), (output_2, model_2, turns_2, drawn_2) = (
        (b, a) if flipped else (a, b)
    )
    fields = {
        "source": HERE if loose else item.source,
        "subset": item.subset,
        "item_id": pair.key if loose else item.item,
        "instruction_id": item.instruction_ref,
        "instruction": pair.asked_text,
        "input": pair.asked_input,
        "turns": turns_from_json(pair.asked_turns),
        "output_1": output_1,
        "output_2": output_2,
        "output_1_model": model_1 or None,
        "output_2_model": model_2 or None,
        "turns_1": turns_from_json(turns_1),
        "turns_2": turns_from_json(turns_2),
    }
    return ShownQuestion(fields, flipped, (drawn_1, drawn_2))


@lru_cache(maxsize=4_096)
def _origin(kind: str, decoding: str, sample: int) -> OutputOrigin:
    return OutputOrigin(ProducerKind(kind), decoding, sample)
