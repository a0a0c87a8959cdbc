"""What a row of `trl` keeps of a judgement beside TRL's own fields, so that a round trip loses nothing.

source, item_id and chosen_first (the chosen output was shown first) are fields of their own. The field `farm`
has the rest as JSON: the preference for the source's first output, which says which output the chosen one is,
and what the judgement has beyond a plain one. A reader takes these four where a row has `farm`: in other
people's files `source` may mean anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from db.interchange import fields, made_here
from db.interchange.rows import Entry, PreferenceRow

FARM = "farm"
NAMED = ("source", "item_id", "chosen_first", FARM)
PLAIN: Mapping[str, Any] = {
    "instruction_id": None, "preference_raw": None, "raw_completion": None, "replicate": 0, "price": None,
    "seconds": None,
}  # fmt: skip
"""The fields of a judgement that `farm` has where they are not as here."""


def to_fields(row: PreferenceRow) -> dict[str, Any]:
    """The fields of a judgement that prefers an output."""
    assert row.preference is not None
    first = None if row.order_swapped is None else row.order_swapped != (row.preference > 0.5)
    told = {name: value for name, plain in PLAIN.items() if (value := getattr(row, name)) != plain}
    told["preference"] = row.preference
    if row.made is not None:
        told["made"] = made_here.to_json(row.made, row.preference)
    packed = json.dumps(told, ensure_ascii=False)
    return {"source": row.source, "item_id": row.item_id, "chosen_first": first, FARM: packed}


def as_it_was(entry: Entry, packed: object) -> PreferenceRow:
    """The judgement of an entry whose first output is the chosen one. packed: its field `farm`.

    Raises ValueError for a field that `to_fields` did not write.
    """
    told = json.loads(packed) if isinstance(packed, str) and packed.startswith("{") else {}
    preference = fields.maybe_number(told, "preference")
    known = told.keys() <= {*PLAIN, "preference", "made"} and isinstance(entry, PreferenceRow)
    if not known or preference is None or preference > 1 or preference == 0.5:
        raise ValueError(f"{FARM} is {fields.shown(packed)}, not what `farm export` writes")
    assert isinstance(entry, PreferenceRow)
    row = entry._replace(
        preference=preference,
        preference_raw=told.get("preference_raw"),
        instruction_id=fields.maybe_text(told, "instruction_id"),
        raw_completion=fields.maybe_text(told, "raw_completion"),
        replicate=int(fields.maybe_number(told, "replicate") or 0),
        price=fields.maybe_number(told, "price"),
        seconds=fields.maybe_number(told, "seconds"),
        made=made_here.of_row(told, preference, entry.annotator, kind=entry.annotator_kind),
    )
    return row if preference > 0.5 else _turned(row)


def _turned(row: PreferenceRow) -> PreferenceRow:
    """The row with its outputs in the other order."""
    return row._replace(
        output_1=row.output_2,
        output_2=row.output_1,
        output_1_model=row.output_2_model,
        output_2_model=row.output_1_model,
        turns_1=row.turns_2,
        turns_2=row.turns_1,
        scores=row.scores and row.scores[::-1],
        order_swapped=None if row.order_swapped is None else not row.order_swapped,
    )
