"""AlpacaEval: model outputs, annotations, the public repository's results folder, and tables by judge.

AlpacaEval codes a preference as a number in [1, 2]: 2 means that output_2 (the model) beats output_1 (the
reference), 1.5 is a draw, and weighted judges give values between. Version 1 also has 0 for a draw. -1 and
null mean no verdict. Ours is P(output_1 preferred) = 2 - code.

A folder has one of two layouts. Results: MODEL/model_outputs.json and MODEL/JUDGE/annotations.json. Tables:
instructions, outputs and annotations_JUDGE as JSON lines. In the tables the reference is output_1, and
order_swapped means that the model was shown first. Texts are looked up in `outputs`, with two exceptions:
judged_output_override, where the judge saw another text of the model; and reference_v1_MODEL, where MODEL is
the reference and had other outputs in version 1. derived/ holds data for length control.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.ids import Json
from db.interchange import fields
from db.interchange.asked import yes_or_no
from db.interchange.files import file_rows, objects
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    Placed,
    PreferenceRow,
    ReadOptions,
    Refusal,
)
from db.records import AnnotatorKind, Use

NAME = "alpaca_eval"
MARKS = frozenset({"generator_2", "output_1"})
SHAPE = (("instruction",), ("output_1", "output"), ("output_2", "generator", "model", "output"))
FIRST_VERSION = "reference_v1_"
KNOWN = (
    "instruction", "input", "output_1", "output_2", "generator_1", "generator_2", "annotator", "preference",
    "raw_completion", "price_per_example", "time_per_example", "dataset", "datasplit", "is_switched_outputs",
    "referenced_models", "date", "generator", "output", "model", "index", "instruction_id", "reference",
    "preference_raw", "order_swapped", "judged_output_override", "price", "time",
)  # fmt: skip


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Read a file of outputs or annotations, or a folder of either layout."""
    if path.is_dir():
        yield from _tables(path, options) if _table(path, "instructions") else _results(path, options)
    else:
        yield from _file(path, options)


def _file(path: Path, options: ReadOptions) -> Iterator[Placed]:
    def rows(row: dict[str, Any]) -> Iterator[Entry]:
        yield _annotation(row, options) if "output_1" in row else _output(row, options)

    return fields.rows_of(path, file_rows(path), SHAPE, rows)


def _results(folder: Path, options: ReadOptions) -> Iterator[Placed]:
    """Read MODEL/model_outputs.json, MODEL/reference_outputs.json and MODEL/JUDGE/annotations.json.

    The file with the most outputs is read first, so that instructions are numbered as in AlpacaEval. Tables
    of instruction difficulties refer to these numbers, and a model that lacks some would shift them.
    """
    outputs, judged = sorted(folder.rglob("*outputs.json")), sorted(folder.rglob("annotations.json"))
    if not outputs and not judged:
        raise FormatError(
            "neither results (MODEL/model_outputs.json) nor tables (instructions.jsonl) in this folder",
            where=str(folder),
        )
    for file in [*sorted(outputs, key=lambda each: -sum(1 for _ in file_rows(each))), *judged]:
        yield from _file(file, options)


def preference(code: object) -> float | None:
    """P(output_1 preferred) of AlpacaEval's code; None without a verdict. Raises ValueError on no code."""
    number = fields.number_of(code)
    if fields.is_blank(code) or number == -1:
        return None
    if number == 0:
        return 0.5
    if number is None or not 1 <= number <= 2:
        raise ValueError(f"preference is {fields.shown(code)}, neither in [1, 2] nor 0, -1 or null")
    return 2.0 - number


def _annotation(row: dict[str, Any], options: ReadOptions) -> PreferenceRow:
    value = preference(row.get("preference"))
    switched = yes_or_no(row.get("is_switched_outputs"), "is_switched_outputs")
    return PreferenceRow(
        source=options.source or NAME,
        subset=fields.maybe_text(row, "dataset", "datasplit"),
        instruction=fields.text(row, "instruction"),
        input=fields.text(row, "input", default=""),
        output_1=fields.text(row, "output_1"),
        output_2=fields.text(row, "output_2"),
        output_1_model=fields.maybe_text(row, "generator_1"),
        output_2_model=fields.maybe_text(row, "generator_2"),
        annotator=options.annotator or fields.text(row, "annotator"),
        annotator_kind=options.annotator_kind or AnnotatorKind.LLM,
        preference=value,
        reason=None if value is not None else "no verdict in the source",
        preference_raw=row.get("preference"),
        order_swapped=switched,
        raw_completion=fields.as_json_text(row.get("raw_completion")),
        meta=fields.others(row, *KNOWN),
        price=fields.maybe_number(row, "price_per_example"),
        seconds=fields.maybe_number(row, "time_per_example"),
    )


def _output(row: dict[str, Any], options: ReadOptions) -> ImportedOutput:
    return ImportedOutput(
        instruction=fields.text(row, "instruction"),
        input=fields.text(row, "input", default=""),
        output=fields.text(row, "output"),
        model=fields.text(row, "generator", "model"),
        set_name=options.set_name or NAME,
        name=fields.maybe_text(row, "instruction_id"),
    )


def _table(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"{name}.jsonl*"))), None)


def _tables(folder: Path, options: ReadOptions) -> Iterator[Placed]:
    instructions, outputs = _table(folder, "instructions"), _table(folder, "outputs")
    if instructions is None or outputs is None:
        raise FormatError("a table is missing: instructions.jsonl or outputs.jsonl", where=str(folder))
    asked: dict[str, dict[str, Any]] = {}
    control = _length_control(folder)
    for number, row in objects(instructions):
        asked[fields.text(row, "instruction_id")] = row
        listed = ImportedInstruction(
            instruction=fields.text(row, "instruction"),
            input="",
            set_name=options.set_name or NAME,
            use=options.use or Use.EVAL,
            category=fields.maybe_text(row, "dataset"),
            name=fields.text(row, "instruction_id"),
            meta=control.get(number - 1, {}),
        )
        yield Placed(str(instructions), number, listed)
    answers: dict[tuple[str, str], str] = {}
    for number, row in objects(outputs):
        answers[row["model"], row["instruction_id"]] = fields.text(row, "output")
        answer = replace(_output(row, options), set_name=None, name=None)  # the instructions made the set
        yield Placed(str(outputs), number, answer)
    references = _first_references(folder)
    for file in sorted(folder.glob("annotations_*.jsonl*")):
        for number, row in objects(file):
            joined: PreferenceRow | Refusal
            try:
                joined = _joined(row, asked, answers=answers, references=references, options=options)
            except ValueError as error:
                joined = Refusal(number, f"{file.name}: {error}")
            yield Placed(str(file), number, joined)


def _length_control(folder: Path) -> dict[int, dict[str, Json]]:
    """Data for length control by number of the instruction: its difficulty, and anchors.

    An anchor is [preference, std_delta_len] of a variant of the reference with another length. Files, each
    optional: derived/instruction_difficulty.csv (index, instruction_difficulty) and the first of
    derived/df_gamed*.csv (index, preference, std_delta_len).
    """
    found: dict[int, dict[str, Json]] = {}
    difficulty = folder / "derived" / "instruction_difficulty.csv"
    for _, row in objects(difficulty) if difficulty.is_file() else ():
        found[int(row["index"])] = {"difficulty": float(row["instruction_difficulty"])}
    for file in sorted((folder / "derived").glob("df_gamed*.csv"))[:1]:
        anchors: dict[int, list[Json]] = {}
        for _, row in objects(file):
            anchors.setdefault(int(row["index"]), []).append(
                [float(row["preference"]), float(row["std_delta_len"])]
            )
        for place, rows in anchors.items():
            found.setdefault(place, {})["anchors"] = rows
    return found


def _first_references(folder: Path) -> dict[tuple[str, str], str]:
    """By (model, instruction_id): version 1's outputs of the references, where `outputs` has others."""
    return {
        (file.name.removeprefix(FIRST_VERSION).partition(".jsonl")[0], row["instruction_id"]): row["output"]
        for file in sorted(folder.glob(f"{FIRST_VERSION}*.jsonl*"))
        for _, row in objects(file)
    }


def _joined(
    row: dict[str, Any],
    asked: dict[str, dict[str, Any]],
    answers: dict[tuple[str, str], str],
    references: dict[tuple[str, str], str],
    options: ReadOptions,
) -> PreferenceRow:
    """An annotation of a table, with the texts that were judged. The reference is output_1.

    Raises ValueError where the instruction or an output is missing.
    """
    number, model, reference = (fields.text(row, name) for name in ("instruction_id", "model", "reference"))
    if number not in asked:
        raise ValueError(f"instruction_id {number!r} is not among the instructions")
    output_1 = references.get((reference, number), answers.get((reference, number)))
    override = row.get("judged_output_override")
    output_2 = override if isinstance(override, str) else answers.get((model, number))
    for name, found in ((reference, output_1), (model, output_2)):
        if found is None:
            raise ValueError(f"there is no output of {name} to {number}")
    value = preference(row.get("preference"))
    assert output_1 is not None
    assert output_2 is not None
    swapped = row.get("order_swapped")
    return PreferenceRow(
        source=options.source or NAME,
        subset=fields.maybe_text(asked[number], "dataset"),
        item_id=f"{number}:{model}",
        instruction_id=fields.maybe_text(asked[number], "global_instruction_id"),
        instruction=asked[number]["instruction"],
        input="",
        output_1=output_1,
        output_2=output_2,
        output_1_model=reference,
        output_2_model=model,
        annotator=fields.text(row, "annotator"),
        annotator_kind=AnnotatorKind.LLM,
        preference=value,
        reason=None if value is not None else "no verdict in the source",
        preference_raw=row.get("preference_raw"),
        order_swapped=swapped if isinstance(swapped, bool) else None,
        raw_completion=fields.as_json_text(row.get("raw_completion")),
        meta=fields.others(row, *KNOWN),
        price=fields.maybe_number(row, "price"),
        seconds=fields.maybe_number(row, "time"),
    )
