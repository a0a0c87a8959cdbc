"""AlpacaFarm's JSON files: preferences (human, noisy, GPT-4; single or cross annotations), pairs, outputs.

AlpacaFarm's codes: preference 1 = output_1, 2 = output_2, 0 and 1.5 = draw, -1 and null = no verdict. The raw
ordinal 1 to 4 (A, a, b, B) is kept in preference_raw. annotator_index tells several annotations of one pair
apart. Of people it means different persons; of other annotators it is the replicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import file_rows
from db.interchange.rows import ImportedOutput, ImportedPair, Placed, PreferenceRow, ReadOptions
from db.interchange.writing import write_json_array
from db.records import AnnotatorKind

CODES = {1: 1.0, 2: 0.0, 0: 0.5, 1.5: 0.5}
MARKS = (
    frozenset({"instruction", "output_1", "preference"}),
    frozenset({"instruction", "input", "output_1", "output_2"}),
)
VERDICTS = frozenset({"preference", "raw_preference"})  # a row with neither is a pair still to be judged
SHAPE = (("instruction",), ("output_1", "output"))
KNOWN = (
    "instruction", "input", "output_1", "output_2", "preference", "raw_preference", "annotator",
    "annotator_index", "generator_1", "generator_2", "datasplit", "dataset", "raw_completion",
    "price_per_example", "time_per_example",
)  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream preference rows, or output rows where the file holds outputs."""

    def row_of(row: dict[str, Any]) -> Iterator[PreferenceRow | ImportedPair | ImportedOutput]:
        if "output_1" not in row:
            yield _output(row, options)
        else:
            yield _preference(row, path, options) if VERDICTS & row.keys() else _pair(row, options)

    return fields.rows_of(path, file_rows(path), SHAPE, row_of)


def _preference(row: dict[str, Any], path: Path, options: ReadOptions) -> PreferenceRow:
    raw = row.get("raw_preference")
    given = not fields.is_blank(row.get("preference"))
    preference = _code(row) if given or fields.is_blank(raw) else _ordinal(raw)
    kind = options.annotator_kind or AnnotatorKind.HUMAN
    name = options.annotator or fields.maybe_text(row, "annotator") or fields.stem(path)
    index = int(fields.maybe_number(row, "annotator_index") or 0)
    people = kind is AnnotatorKind.HUMAN and "annotator_index" in row
    return PreferenceRow(
        source=options.source or "alpaca_farm",
        subset=fields.maybe_text(row, "datasplit", "dataset"),
        instruction=fields.text(row, "instruction"),
        input=fields.text(row, "input", default=""),
        output_1=fields.text(row, "output_1"),
        output_2=fields.text(row, "output_2"),
        output_1_model=fields.maybe_text(row, "generator_1"),
        output_2_model=fields.maybe_text(row, "generator_2"),
        annotator=f"{name}-{index}" if people else name,
        annotator_kind=kind,
        preference=preference,
        preference_raw=raw if fields.is_number(raw) or isinstance(raw, str) else row.get("preference"),
        raw_completion=fields.as_json_text(row.get("raw_completion")),
        meta=fields.others(row, *KNOWN),
        replicate=0 if people else index,
        price=fields.maybe_number(row, "price_per_example"),
        seconds=fields.maybe_number(row, "time_per_example"),
    )


def _pair(row: dict[str, Any], options: ReadOptions) -> ImportedPair:
    return ImportedPair(
        source=options.source or "alpaca_farm",
        instruction=fields.text(row, "instruction"),
        input=fields.text(row, "input", default=""),
        output_1=fields.text(row, "output_1"),
        output_2=fields.text(row, "output_2"),
        output_1_model=fields.maybe_text(row, "generator_1"),
        output_2_model=fields.maybe_text(row, "generator_2"),
        subset=fields.maybe_text(row, "datasplit", "dataset"),
    )


def _code(row: dict[str, Any]) -> float | None:
    return None if fields.number_of(row.get("preference")) == -1 else fields.coded(row, "preference", CODES)


def _ordinal(raw: object) -> float:
    """P(output_1 preferred) of the raw ordinal: 1, 2 (A, a) prefer output_1; 3, 4 (b, B) prefer output_2."""
    number = fields.number_of(raw)
    if number in (1, 2, 3, 4):
        return float(number < 2.5)
    raise ValueError(f"raw_preference is {fields.shown(raw)}, not 1 to 4")


def _output(row: dict[str, Any], options: ReadOptions) -> ImportedOutput:
    return ImportedOutput(
        instruction=fields.text(row, "instruction"),
        input=fields.text(row, "input", default=""),
        output=fields.text(row, "output"),
        model=fields.text(row, "generator", "model", default=options.source or ""),
        set_name=options.set_name or fields.maybe_text(row, "datasplit"),
    )


def write(rows: Iterable[PreferenceRow], path: Path) -> int:
    """Write a JSON array of preferences and return their number.

    A missing preference becomes null. A soft preference is rounded to the output that it favours.
    """
    return write_json_array((_dict(row) for row in rows), path)


def _dict(row: PreferenceRow) -> dict[str, Any]:
    p = row.preference
    beside = {"generator_1": row.output_1_model, "generator_2": row.output_2_model, "datasplit": row.subset}
    return {
        "instruction": row.instruction,
        "input": row.input,
        "output_1": row.output_1,
        "output_2": row.output_2,
        "preference": None if p is None else 1 if p > 0.5 else 2 if p < 0.5 else 0,
        "annotator": row.annotator,
        **({"annotator_index": row.replicate} if row.replicate else {}),
        **{name: value for name, value in beside.items() if value is not None},
    }
