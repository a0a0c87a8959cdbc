"""Files of instructions and files of outputs, with the usual names for their fields.

Instructions: JSON lines, JSON, CSV or parquet with the field instruction (or prompt, question, text).
Optional fields are input, output (a reference answer, kept as a demonstration), category and use. A text file
has one instruction a line.
Outputs: the same, with output and model (or generator), and optionally reference_output.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import file_rows
from db.interchange.opening import lines
from db.interchange.rows import ImportedInstruction, ImportedOutput, Placed, ReadOptions, Refusal
from db.records import ProducerKind, Use

ASKED = ("instruction", "prompt", "question", "text")
ANSWER = ("reference_output", "output", "response", "completion", "answer")
PRODUCER = ("model", "generator")
REFERENCE = "reference"  # the producer's name for reference answers
MARKS = frozenset({"instruction"})
OUTPUT_MARKS = frozenset({"instruction", "output", "model"})
PLAIN = (".txt", ".text")
LINE = "the line"


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream each instruction, and after it its reference answer, where there is one."""
    if path.suffix in PLAIN:
        name = options.set_name or fields.stem(path)
        rows = (each if isinstance(each, Refusal) else (each[0], {LINE: each[1]}) for each in lines(path))
        return fields.rows_of(path, rows, (), lambda row: _line(row, name, options))
    return fields.rows_of(path, file_rows(path), (ASKED,), lambda row: _instruction(row, path, options))


def _line(row: dict[str, Any], name: str, options: ReadOptions) -> Iterator[ImportedInstruction]:
    yield ImportedInstruction(fields.text(row, LINE), "", name, options.use)


def _instruction(
    row: dict[str, Any], path: Path, options: ReadOptions
) -> Iterator[ImportedInstruction | ImportedOutput]:
    asked = ImportedInstruction(
        instruction=fields.text(row, *ASKED),
        input=fields.text(row, "input", default=""),
        set_name=options.set_name or fields.maybe_text(row, "source") or fields.stem(path),
        use=options.use or _use(row),
        category=fields.maybe_text(row, "category", "dataset"),
        name=fields.maybe_text(row, "item_id", "id", "idx"),
        meta=row["meta"] if isinstance(row.get("meta"), dict) else {},
    )
    yield asked
    if answer := fields.maybe_text(row, *ANSWER):
        kind = ProducerKind.REFERENCE
        yield ImportedOutput(
            instruction=asked.instruction,
            input=asked.input,
            output=answer,
            model=REFERENCE,
            kind=kind,
            set_name=asked.set_name,
            name=asked.name,
        )


def _use(row: dict[str, Any]) -> Use | None:
    value = fields.maybe_text(row, "use")
    if value is None:
        return None
    try:
        return Use(value)
    except ValueError:
        raise ValueError(f"use is {fields.shown(value)}, not {', '.join(Use)}") from None


def read_outputs(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream each output, and after it its reference answer, where there is one."""
    shape = (ASKED, ("output", "response", "completion"), (*PRODUCER,) if not options.source else ASKED)
    return fields.rows_of(path, file_rows(path), shape, lambda row: _output(row, options))


def _output(row: dict[str, Any], options: ReadOptions) -> Iterator[ImportedOutput]:
    instruction, input = fields.text(row, *ASKED), fields.text(row, "input", default="")
    set_name = options.set_name or fields.maybe_text(row, "source", "dataset")
    name = fields.maybe_text(row, "item_id", "id")
    model = fields.text(row, *PRODUCER, default=options.source)
    answer = fields.text(row, "output", "response", "completion")
    yield ImportedOutput(
        instruction=instruction,
        input=input,
        output=answer,
        model=model,
        kind=ProducerKind.MODEL,
        set_name=set_name,
        name=name,
    )
    if reference := fields.maybe_text(row, "reference_output"):
        kind = ProducerKind.REFERENCE
        yield ImportedOutput(
            instruction=instruction,
            input=input,
            output=reference,
            model=REFERENCE,
            kind=kind,
            set_name=set_name,
            name=name,
        )
