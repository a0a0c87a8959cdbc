"""Our own interchange format: one judgement a row, as JSON lines (gzipped or not) or parquet.

Every row has the same eighteen fields. What they cannot hold (a soft preference, a replicate, price and
time, why there is no verdict, a rule as annotator) stands in `meta` under the key `_farm`, so that a row
written here is read back equal.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from db.errors import FormatError
from db.interchange.files import objects
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind

FIELDS: Final = (
    "source", "subset", "item_id", "instruction_id", "instruction", "input", "output_1", "output_2",
    "output_1_model", "output_2_model", "annotator", "annotator_kind", "preference", "preference_raw",
    "order_swapped", "raw_completion", "scores", "meta",
)  # fmt: skip
NAMES = frozenset(FIELDS)
TEXTS = ("source", "item_id", "instruction_id", "instruction", "input", "output_1", "output_2", "annotator")
OPTIONAL_TEXTS = ("subset", "output_1_model", "output_2_model", "raw_completion")
CODES = {1: 1.0, 2: 0.0, 0: 0.5, None: None}  # of this format: 1 output_1, 2 output_2, 0 tie, null unreadable
KINDS = {kind.value: kind for kind in AnnotatorKind if kind is not AnnotatorKind.RULE}
EXTRA = "_farm"


def read(path: Path, options: ReadOptions) -> Iterator[PreferenceRow | Refusal]:
    """Stream the rows; raises FormatError where the first has not the format's fields."""
    for i, (number, row) in enumerate(objects(path)):
        if i == 0:
            _require_shape(path, number, row)
        try:
            yield _row(row)
        except ValueError as error:
            yield Refusal(number, str(error))


def _require_shape(path: Path, number: int, row: dict[str, Any]) -> None:
    missing = [name for name in FIELDS if name not in row]
    if len(missing) > len(FIELDS) // 3:
        from db.interchange import sniff

        guess = sniff(path)
        remedy = f"it looks like the format {guess}" if guess else "docs/import.md shows each format"
        found = ", ".join(list(row)[:8]) or "nothing"
        raise FormatError(
            f"this is no file of preference rows: {', '.join(missing[:4])} ... are missing, there is {found}",
            where=f"{path}:{number}",
            remedy=remedy,
        )


def _row(row: dict[str, Any]) -> PreferenceRow:
    """Check one row; raises ValueError with the reason to refuse it."""
    if row.keys() != NAMES:
        wrong = sorted(NAMES ^ row.keys())[0]
        raise ValueError(f"{wrong} is {'missing' if wrong in NAMES else 'no field of this format'}")
    for name in TEXTS:
        if not isinstance(row[name], str):
            raise ValueError(f"{name} is {_shown(row[name])}, not a text")
        require_storable(name, row[name])
    for name in OPTIONAL_TEXTS:
        if row[name] is not None:
            if not isinstance(row[name], str):
                raise ValueError(f"{name} is {_shown(row[name])}, neither a text nor null")
            require_storable(name, row[name])
    if row["annotator_kind"] not in KINDS:
        raise ValueError(f"annotator_kind is {_shown(row['annotator_kind'])}, not one of {', '.join(KINDS)}")
    if not (isinstance(row["meta"], dict)):
        raise ValueError(f"meta is {_shown(row['meta'])}, not an object")
    meta = dict(row["meta"])
    extra = meta.pop(EXTRA, {})
    return PreferenceRow(
        source=row["source"],
        subset=row["subset"],
        item_id=row["item_id"],
        instruction_id=row["instruction_id"],
        instruction=row["instruction"],
        input=row["input"],
        output_1=row["output_1"],
        output_2=row["output_2"],
        output_1_model=row["output_1_model"],
        output_2_model=row["output_2_model"],
        annotator=row["annotator"],
        annotator_kind=AnnotatorKind(extra["kind"]) if "kind" in extra else KINDS[row["annotator_kind"]],
        preference=_preference(row["preference"], extra),
        reason=extra.get("reason"),
        preference_raw=_scalar("preference_raw", row["preference_raw"]),
        order_swapped=_order(row["order_swapped"]),
        raw_completion=row["raw_completion"],
        scores=_scores(row["scores"]),
        meta=meta,
        replicate=extra.get("replicate", 0),
        price=extra.get("price"),
        seconds=extra.get("seconds"),
    )


def require_storable(name: str, text: str) -> None:
    """No database holds NUL or half a surrogate pair: such a text is refused, not repaired."""
    if "\0" in text:
        raise ValueError(f"{name} holds a NUL character, which no database stores")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{name} holds a lone surrogate, which is no character") from None


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."


def _preference(code: object, extra: dict[str, Any]) -> float | None:
    if isinstance(code, bool) or not (code is None or isinstance(code, int | float)) or code not in CODES:
        raise ValueError(f"preference is {_shown(code)}, not 1, 2, 0 or null")
    soft = extra.get("preference")
    return CODES[code] if soft is None else float(soft)  # type: ignore[index]


def _order(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"order_swapped is {_shown(value)}, not true, false or null")


def _scalar(name: str, value: object) -> str | float | None:
    if isinstance(value, str):
        require_storable(name, value)
        return value
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{name} is {_shown(value)}, not a text, a number or null")


def _scores(value: object) -> tuple[float | None, ...] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(
        each is None or (isinstance(each, int | float) and not isinstance(each, bool)) for each in value
    ):
        return tuple(value)
    raise ValueError(f"scores is {_shown(value)}, not a list of numbers or null")


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write the rows as the path's ending says: .jsonl, .jsonl.gz or .parquet. Returns their number."""
    if path.suffix == ".parquet":
        return _write_parquet(rows, path)
    count = 0
    with _sink(path) as stream:
        for row in rows:
            stream.write(json.dumps(to_dict(row), ensure_ascii=False).encode("utf-8") + b"\n")
            count += 1
    return count


def _sink(path: Path) -> BinaryIO:
    if path.suffix == ".gz":  # no time stamp inside: the same rows make the same bytes
        return gzip.GzipFile(path, "wb", compresslevel=6, mtime=0)  # type: ignore[return-value]
    return path.open("wb")


def to_dict(row: PreferenceRow) -> dict[str, Any]:
    """The row in the format's own fields and codes."""
    p = row.preference
    code = None if p is None else 1 if p > 0.5 else 2 if p < 0.5 else 0
    extra: dict[str, Any] = {} if p in (None, 0.0, 0.5, 1.0) else {"preference": p}
    if row.annotator_kind is AnnotatorKind.RULE:
        extra["kind"] = "rule"
    for name, plain in (("replicate", 0), ("price", None), ("seconds", None), ("reason", None)):
        if getattr(row, name) != plain:
            extra[name] = getattr(row, name)
    made = {name: getattr(row, name) for name in FIELDS}
    return made | {
        "item_id": row.item_id or instruction_id(row.output_1, row.output_2),
        "instruction_id": row.instruction_id or instruction_id(row.instruction, row.input),
        "annotator_kind": "rm" if row.annotator_kind is AnnotatorKind.RULE else row.annotator_kind.value,
        "preference": code,
        "scores": None if row.scores is None else list(row.scores),
        "meta": dict(row.meta) | ({EXTRA: extra} if extra else {}),
    }


def instruction_id(instruction: str, input: str) -> str:
    """12 hex digits of SHA-256 of "instruction input", lower-cased, runs of white space as one blank."""
    folded = " ".join(f"{instruction} {input}".lower().split())
    return hashlib.sha256(folded.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _write_parquet(rows: Iterable[PreferenceRow], path: Path) -> int:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    text, number = arrow.string(), arrow.float64()
    kinds = dict.fromkeys(FIELDS, text) | {"preference": arrow.int8(), "order_swapped": arrow.bool_()}
    kinds |= {"scores": arrow.list_(number)}
    schema, count, batch = arrow.schema(list(kinds.items())), 0, 2_000
    with parquet.ParquetWriter(path, schema) as writer:
        held: list[dict[str, Any]] = []
        for row in rows:
            made = to_dict(row)
            held.append(made | {name: json.dumps(made[name]) for name in ("meta", "preference_raw")})
            count += 1
            if len(held) == batch:
                writer.write_table(arrow.Table.from_pylist(held, schema))
                held = []
        writer.write_table(arrow.Table.from_pylist(held, schema))
    return count
