"""Our own interchange format: one judgement a row, as JSON lines (gzipped or not) or parquet.

Every row has the same eighteen fields. Some facts have no field: a soft preference, how much better, verdicts
on single criteria, the replicate, price and time, the reason for a missing verdict, a rule, a panel or a
cascade as annotator, that the farm made the judgement. They go into `meta` under the key `_farm`, so that
reading returns the rows that were written. So do the turns of a conversation, whose transcript is the
instruction, and those of an output that has several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from db.interchange import made_here
from db.interchange.asked import yes_or_no
from db.interchange.degrees import degree_of
from db.interchange.fields import (
    is_number,
    maybe_number,
    maybe_text,
    number_of,
    require_storable,
    rows_of,
    shown,
)
from db.interchange.files import file_rows, with_objects
from db.interchange.rows import Placed, PreferenceRow, ReadOptions
from db.interchange.turns import Prompted, prompted, text_of, turns, turns_of
from db.interchange.writing import ENCODE, write_lines
from db.records import COMPOSITES, AnnotatorKind, AspectVerdict, Degree, Turn

FIELDS: Final = (
    "source", "subset", "item_id", "instruction_id", "instruction", "input", "output_1", "output_2",
    "output_1_model", "output_2_model", "annotator", "annotator_kind", "preference", "preference_raw",
    "order_swapped", "raw_completion", "scores", "meta",
)  # fmt: skip
QUESTION = FIELDS[:10]
NAMES = frozenset(FIELDS)
MARKS = frozenset({"annotator_kind", "output_1", "item_id"})
SHAPE = tuple((name,) for name in ("item_id", "annotator_kind", "output_1", "output_2", "order_swapped"))
TEXTS = ("source", "item_id", "instruction_id", "instruction", "input", "output_1", "output_2", "annotator")
OPTIONAL_TEXTS = ("subset", "output_1_model", "output_2_model", "raw_completion")
# 1 output_1, 2 output_2, 0 tie, null no verdict
CODES: Mapping[float | None, float | None] = {1: 1.0, 2: 0.0, 0: 0.5, None: None}
HARD = frozenset({None, 0.0, 0.5, 1.0})  # preferences that a code says
NEAREST = {AnnotatorKind.RULE: "rm", **dict.fromkeys(COMPOSITES, "llm")}
"""What other tools are told of kinds that they do not know."""
SAID = {kind: NEAREST.get(kind, kind.value) for kind in AnnotatorKind}
KINDS = {kind.value: kind for kind in AnnotatorKind if kind not in NEAREST}
EXTRA = "_farm"
OUTPUT_TURNS = {"turns_1": "output_1", "turns_2": "output_2"}
PACKED = ("meta", "preference_raw")  # in parquet these are JSON texts, since a column has one type


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream the rows. Raises FormatError where the first one lacks fields of this format."""
    rows = file_rows(path)
    if path.suffix == ".parquet":
        rows = with_objects(rows, _unpacked)
    elif {".csv", ".tsv"} & set(path.suffixes):
        rows = with_objects(rows, _typed)
    return rows_of(path, rows, SHAPE, lambda row: iter([_row(row)]))


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    """A parquet row with its JSON columns parsed. A text that is no JSON stays as it is."""
    made = dict(row)
    for name in PACKED:
        if isinstance(made.get(name), str):
            with suppress(ValueError):
                made[name] = json.loads(made[name])
    return made


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """A CSV row with its cells as this format has them: an empty cell is null, and meta {}."""
    made = {name: None if cell == "" and name not in TEXTS else cell for name, cell in row.items()}
    made = _unpacked(made | {"meta": made.get("meta") or "{}"} if "meta" in made else made)
    if made.get("scores") is not None:
        with suppress(ValueError):
            made["scores"] = json.loads(made["scores"])
    if "order_swapped" in made:
        with suppress(ValueError):
            made["order_swapped"] = yes_or_no(made["order_swapped"], "order_swapped")
    if number_of(made.get("preference")) is not None:
        made["preference"] = number_of(made["preference"])
    return made


def _row(row: dict[str, Any]) -> PreferenceRow:
    """Check and convert one row. Raises ValueError with the reason where the row is refused."""
    if row.keys() != NAMES:
        wrong = sorted(NAMES ^ row.keys())[0]
        raise ValueError(f"{wrong} is {'missing' if wrong in NAMES else 'no field of this format'}")
    for name in TEXTS:
        if not isinstance(row[name], str):
            raise ValueError(f"{name} is {shown(row[name])}, not a text")
        require_storable(name, row[name])
    for name in OPTIONAL_TEXTS:
        if row[name] is not None:
            if not isinstance(row[name], str):
                raise ValueError(f"{name} is {shown(row[name])}, neither a text nor null")
            require_storable(name, row[name])
    if row["annotator_kind"] not in KINDS:
        raise ValueError(f"annotator_kind is {shown(row['annotator_kind'])}, not one of {', '.join(KINDS)}")
    if not isinstance(row["meta"], dict):
        raise ValueError(f"meta is {shown(row['meta'])}, not an object")
    meta = dict(row["meta"])
    extra = meta.pop(EXTRA, {})
    if not isinstance(extra, dict):
        raise ValueError(f"meta.{EXTRA} is {shown(extra)}, not an object")
    known = instruction_id(row["instruction"], row["input"])
    if row["instruction_id"] != known:
        said = shown(row["instruction_id"])
        raise ValueError(f"instruction_id is {said}, not {known!r}, the hash of this instruction and input")
    asked = _asked(row, extra)
    preference = _preference(row["preference"], extra)
    kind = AnnotatorKind(extra["kind"]) if "kind" in extra else KINDS[row["annotator_kind"]]
    return PreferenceRow(
        source=row["source"],
        subset=row["subset"],
        item_id=row["item_id"],
        instruction_id=maybe_text(extra, "instruction_id") if "instruction_id" in extra else known,
        **asked._asdict(),
        output_1=row["output_1"],
        output_2=row["output_2"],
        output_1_model=row["output_1_model"],
        output_2_model=row["output_2_model"],
        annotator=row["annotator"],
        annotator_kind=kind,
        preference=preference,
        reason=maybe_text(extra, "reason"),
        preference_raw=_scalar("preference_raw", row["preference_raw"]),
        order_swapped=_order(row["order_swapped"]),
        raw_completion=row["raw_completion"],
        scores=_scores(row["scores"]),
        meta=meta,
        degree=_degree(extra, preference),
        aspects=_aspects(extra),
        replicate=int(maybe_number(extra, "replicate") or 0),
        price=maybe_number(extra, "price"),
        seconds=maybe_number(extra, "seconds"),
        made=made_here.of_row(extra, preference, row["annotator"], kind=kind),
        turns_1=_output_turns(row, extra, "turns_1"),
        turns_2=_output_turns(row, extra, "turns_2"),
    )


def _asked(row: dict[str, Any], extra: dict[str, Any]) -> Prompted:
    """What was asked. Raises ValueError for turns that are not those of the instruction."""
    if "turns" not in extra:
        return Prompted(row["instruction"], row["input"], ())
    asked = prompted(turns(extra["turns"], f"meta.{EXTRA}.turns"))
    if asked[:2] != (row["instruction"], row["input"]):
        raise ValueError(f"meta.{EXTRA}.turns are not the turns of this instruction")
    return asked


def _output_turns(row: dict[str, Any], extra: dict[str, Any], name: str) -> tuple[Turn, ...]:
    """The turns of an output. Raises ValueError for turns that are not those of its text."""
    if name not in extra:
        return ()
    said = turns(extra[name], f"meta.{EXTRA}.{name}")
    if text_of(said, name) != row[OUTPUT_TURNS[name]]:
        raise ValueError(f"meta.{EXTRA}.{name} are not the turns of {OUTPUT_TURNS[name]}")
    return turns_of(said)


def _preference(code: object, extra: dict[str, Any]) -> float | None:
    if not (code is None or is_number(code)) or code not in CODES:
        raise ValueError(f"preference is {shown(code)}, not 1, 2, 0 or null")
    soft = extra.get("preference")
    if soft is None:
        return CODES[code]
    if not is_number(soft) or not 0 <= soft <= 1:
        raise ValueError(f"meta.{EXTRA}.preference is {shown(soft)}, not in [0, 1]")
    return float(soft)


def _degree(extra: dict[str, Any], preference: float | None) -> Degree | None:
    if "degree" not in extra:
        return None
    value = extra["degree"]
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"meta.{EXTRA}.degree is {shown(value)}, not [steps, levels]")
    steps, levels = value
    return degree_of(steps, levels, preference)


def _aspects(extra: dict[str, Any]) -> tuple[AspectVerdict, ...]:
    """Verdicts on single criteria: name -> [P(output_1 preferred), score of output_1, of output_2]."""
    given, where = extra.get("aspects", {}), f"meta.{EXTRA}.aspects"
    if not isinstance(given, dict):
        raise ValueError(f"{where} is {shown(given)}, not an object")
    found = []
    for name, said in given.items():
        require_storable(where, name)
        right = isinstance(said, list) and len(said) == 3 and all(x is None or is_number(x) for x in said)
        if not right or not (said[0] is None or 0 <= said[0] <= 1):
            raise ValueError(f"{where}.{name} is {shown(said)}, not [preference, score, score]")
        found.append(AspectVerdict(name, *said))
    return tuple(found)


def _order(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"order_swapped is {shown(value)}, not true, false or null")


def _scalar(name: str, value: object) -> str | float | None:
    if isinstance(value, str):
        require_storable(name, value)
        return value
    if value is None or is_number(value):
        return value
    raise ValueError(f"{name} is {shown(value)}, not a text, a number or null")


def _scores(value: object) -> tuple[float | None, ...] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(each is None or is_number(each) for each in value):
        return tuple(value)
    raise ValueError(f"scores is {shown(value)}, not a list of numbers or null")


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write the rows and return their number. The path ends in .jsonl, .jsonl.gz or .parquet."""
    if path.suffix == ".parquet":
        return _write_parquet(rows, path)
    return write_lines(map(_line, rows), path)


def _line(row: PreferenceRow) -> str:
    """The row as JSON. What it asks stands before what was said of it, and is encoded apart."""
    return f"{_opening(_question(row))}, {ENCODE(_said(row))[1:]}"


@lru_cache(maxsize=4_096)
def _opening(question: tuple[str | None, ...]) -> str:
    """The beginning of a row. Rows of one question often stand together."""
    return ENCODE(dict(zip(QUESTION, question, strict=True)))[:-1]


def to_dict(row: PreferenceRow) -> dict[str, Any]:
    """The row with the fields and codes of this format."""
    return dict(zip(QUESTION, _question(row), strict=True)) | _said(row)


def _question(row: PreferenceRow) -> tuple[str | None, ...]:
    """The values of the fields QUESTION."""
    return (
        row.source,
        row.subset,
        row.item_id or instruction_id(row.output_1, row.output_2),
        instruction_id(row.instruction, row.input),
        row.instruction,
        row.input,
        row.output_1,
        row.output_2,
        row.output_1_model,
        row.output_2_model,
    )


def _said(row: PreferenceRow) -> dict[str, Any]:
    """The other fields."""
    p, extra = row.preference, _beside(row, instruction_id(row.instruction, row.input))
    return {
        "annotator": row.annotator,
        "annotator_kind": SAID[row.annotator_kind],
        "preference": None if p is None else 1 if p > 0.5 else 2 if p < 0.5 else 0,
        "preference_raw": row.preference_raw,
        "order_swapped": row.order_swapped,
        "raw_completion": row.raw_completion,
        "scores": row.scores if row.scores is None else list(row.scores),
        "meta": {**row.meta, EXTRA: extra} if extra else dict(row.meta),
    }


def _beside(row: PreferenceRow, known: str) -> dict[str, Any]:
    """What the row says that has no field. known: the instruction's id in this format."""
    p: float | None = row.preference
    extra: dict[str, Any] = {}
    if p not in HARD:
        extra["preference"] = p
    if row.annotator_kind in NEAREST:
        extra["kind"] = row.annotator_kind.value
    if row.degree is not None:
        extra["degree"] = list(row.degree)
    if row.aspects:
        extra["aspects"] = {name: list(said) for name, *said in row.aspects}
    if row.replicate:
        extra["replicate"] = row.replicate
    for name in ("price", "seconds", "reason"):
        if (value := getattr(row, name)) is not None:
            extra[name] = value
    if row.instruction_id != known:
        extra["instruction_id"] = row.instruction_id
    if row.turns:
        extra["turns"] = [turn.message for turn in row.turns]
    for name in OUTPUT_TURNS:
        if said := getattr(row, name):
            extra[name] = [turn.message for turn in said]
    if row.made is not None:
        extra["made"] = made_here.to_json(row.made, p)
    return extra


@lru_cache(maxsize=4_096)
def instruction_id(instruction: str, input: str) -> str:
    """12 hex digits of SHA-256 of "INSTRUCTION INPUT", in lower case and with each white space one blank."""
    folded = " ".join(f"{instruction} {input}".lower().split())
    return hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _write_parquet(rows: Iterable[PreferenceRow], path: Path) -> int:
    import pyarrow as arrow  # slow to load, and only parquet needs it
    import pyarrow.parquet as parquet

    text, number = arrow.string(), arrow.float64()
    kinds = dict.fromkeys(FIELDS, text) | {"preference": arrow.int8(), "order_swapped": arrow.bool_()}
    kinds |= {"scores": arrow.list_(number)}
    schema, count, batch = arrow.schema(list(kinds.items())), 0, 2_000
    with parquet.ParquetWriter(path, schema) as writer:
        held: list[dict[str, Any]] = []
        for row in rows:
            made = to_dict(row)
            held.append(made | {name: json.dumps(made[name]) for name in PACKED})
            count += 1
            if len(held) == batch:
                writer.write_table(arrow.Table.from_pylist(held, schema))
                held = []
        writer.write_table(arrow.Table.from_pylist(held, schema))
    return count
