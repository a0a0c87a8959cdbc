"""PandaLM's JSON test sets: one instruction, two responses, the verdicts of its annotators.

Upstream codes: 0 = tie, 1 = response1, 2 = response2. Fields annotator1, annotator2, ... are people; a field
that ends in `_result` is a model's verdict (its reason and reference answer beside it go into meta).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.files import objects
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind

CODES: dict[float, float] = {0: 0.5, 1: 1.0, 2: 0.0}
MARKS = frozenset({"response1", "response2"})
SHAPE = (("instruction",), ("response1",), ("response2",))
PERSON = re.compile(r"annotator_?(\d+)")
JUDGE = re.compile(r"(.+)_result")
UNREADABLE = ("garbage", "")


def read(path: Path, options: ReadOptions) -> Iterator[PreferenceRow | Refusal]:
    """One row for each verdict."""
    return fields.rows_of(path, objects(path), SHAPE, lambda row: _rows(row, options))


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
    """A text; upstream holds true for "True" in a few places."""
    value = row.get(name)
    return str(value) if isinstance(value, bool) else fields.text(row, name, default="")


def _verdict(row: dict[str, Any], name: str) -> float | None:
    value = row[name]
    if isinstance(value, str):
        if value.strip().lower() in UNREADABLE:
            return None
        value = int(value) if value.strip().isdigit() else value
    return fields.coded({name: value}, name, CODES)


def _models(key: str | None) -> tuple[str | None, str | None]:
    """The two models of a cmp_key such as bloom-7b_cerebras-gpt-6.7B."""
    parts = (key or "").split("_")
    return (parts[0], parts[1]) if len(parts) == 2 else (None, None)
