"""PandaLM's JSON test sets: each row has an instruction, two responses and the verdicts of its annotators.

PandaLM's codes: 0 = tie, 1 = response1, 2 = response2. The fields annotator1, annotator2, ... hold verdicts
of people. Upstream keeps the verdicts of models in files of their own (idx, NAME_result); their texts are
taken from the test set in the same folder. A field NAME_result holds a model's verdict; NAME_reason and
NAME_reference go into meta.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from db.errors import FormatError
from db.interchange import fields
from db.interchange.files import file_rows, objects, readable_objects, with_objects
from db.interchange.rows import Placed, PreferenceRow, ReadOptions
from db.records import AnnotatorKind

CODES: dict[float, float] = {0: 0.5, 1: 1.0, 2: 0.0}
TEXTS = frozenset({"idx", "response1", "response2"})
MARKS = (
    frozenset({"instruction", "response1", "response2"}),
    frozenset({"idx", "gpt_result"}),
    frozenset({"idx", "pandalm_result"}),
)
SHAPE = (("instruction",), ("response1",), ("response2",))
PERSON = re.compile(r"annotator_?(\d+)")
JUDGE = re.compile(r"(.+)_result")
UNREADABLE = ("garbage", "")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream one preference row for each verdict. Raises FormatError where their texts are missing."""
    rows = file_rows(path)
    first = next(readable_objects(path))[1]
    if "idx" in first and not first.keys() >= TEXTS and any(map(JUDGE.fullmatch, first)):
        texts = _texts_beside(path)
        rows = with_objects(rows, lambda row: texts.get(str(row.get("idx")), {}) | row)
    return fields.rows_of(path, rows, SHAPE, lambda row: _rows(row, options))


def _texts_beside(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of the test set in the same folder, by idx and without their verdicts."""
    for other in sorted(path.parent.iterdir()):
        if other != path and other.name.endswith((".json", ".jsonl", ".json.gz", ".jsonl.gz")):
            with suppress(FormatError):
                rows = [row for _, row in objects(other)]
                if rows[0].keys() >= TEXTS:
                    return {str(row.get("idx")): _unjudged(row) for row in rows}
    raise FormatError(
        "these verdicts have no texts",
        where=str(path),
        remedy="put the test set with idx, instruction, response1 and response2 into the same folder",
    )


def _unjudged(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in row.items() if not PERSON.fullmatch(name) and not JUDGE.fullmatch(name)
    }


def _rows(row: dict[str, Any], options: ReadOptions) -> Iterator[PreferenceRow]:
    first, second = _models(fields.maybe_text(row, "cmp_key"))
    shared: dict[str, Any] = {
        "source": options.source or "pandalm",
        "subset": fields.maybe_text(row, "motivation_app", "motivation_app_name"),
        "item_id": fields.maybe_text(row, "idx"),
        "instruction": fields.text(row, "instruction"),
        "input": _plain(row, "input"),
        "output_1": _plain(row, "response1"),
        "output_2": _plain(row, "response2"),
        "output_1_model": fields.maybe_text(row, "model1") or first,
        "output_2_model": fields.maybe_text(row, "model2") or second,
    }
    found = False
    for name in row:
        if person := PERSON.fullmatch(name):
            annotator, kind = f"pandalm-human-{person[1]}", AnnotatorKind.HUMAN
        elif judge := JUDGE.fullmatch(name):
            annotator, kind = judge[1], AnnotatorKind.LLM
        else:
            continue
        found = True
        preference = _verdict(row, name)
        meta = fields.others({key: row.get(f"{annotator}_{key}") for key in ("reason", "reference")})
        yield PreferenceRow(
            annotator=annotator,
            annotator_kind=kind,
            preference=preference,
            preference_raw=row[name],
            meta=meta,
            reason=None if preference is not None else "no verdict in the source",
            **shared,
        )
    if not found:
        raise ValueError("no verdict: neither annotator1, annotator2, ... nor a field that ends in _result")


def _plain(row: dict[str, Any], name: str) -> str:
    """A field as text. In a few places PandaLM has the boolean true in place of the text "True"."""
    value = row.get(name)
    return str(value) if isinstance(value, bool) else fields.text(row, name, default="")


def _verdict(row: dict[str, Any], name: str) -> float | None:
    value = row[name]
    if isinstance(value, str):
        if value.strip().lower() in UNREADABLE:
            return None
        if value.strip().lower() == "tie":
            return 0.5
        value = int(value) if value.strip().isdigit() else value
    return fields.coded({name: value}, name, CODES)


def _models(key: str | None) -> tuple[str | None, str | None]:
    """The two models that a cmp_key such as bloom-7b_cerebras-gpt-6.7B names; None where it does not."""
    parts = (key or "").split("_")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, None)
