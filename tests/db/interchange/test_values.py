"""Values as tables and pandas write them: missing numbers, texts of CSV, pointers, repeated prompts."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from db.errors import FormatError
from db.interchange import preferences
from db.interchange.rows import PreferenceRow, RatedOutput
from db.records import AnnotatorKind
from tests.db.interchange.test_formats import EVAL, FARM, made, only, read


def test_values_that_json_cannot_hold_are_missing_or_texts(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"prompt": "Say hi.", "chosen": "hi", "rejected": "no", "score": NaN, "other": -Infinity}'
    )
    assert only(read("trl", tmp_path / "x.jsonl")).meta == {}
    table = arrow.table(
        {
            "prompt": ["Say hi."], "chosen": ["hi"], "rejected": ["no"], "score": [float("nan")],
            "day": [date(2026, 1, 2)], "bytes": [b"\xff"], "price": [Decimal("1.50")],
            "deep": [[{"a": float("inf")}]],
        }
    )  # fmt: skip
    parquet.write_table(table, tmp_path / "x.parquet")
    meta = only(read("trl", tmp_path / "x.parquet")).meta
    assert meta == {"day": "2026-01-02", "bytes": "\\xff", "price": "1.50", "deep": [{"a": None}]}


def test_csv_has_texts_only(tmp_path: Path) -> None:
    def table(name: str, rows: list[dict[str, Any]]) -> Path:
        with (tmp_path / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / name

    farm = read(
        "alpaca-farm", table("a.csv", [FARM, FARM | {"preference": "1.5"}, FARM | {"preference": ""}])
    )
    assert [row.preference for row in farm if isinstance(row, PreferenceRow)] == [0.0, 0.5, None]
    given = {**EVAL, "preference": 1.25, "is_switched_outputs": True}
    row = only(read("alpaca-eval", table("b.csv", [given])))
    assert (row.preference, row.order_swapped, row.price) == (0.75, True, 0.01)
    kto = [{"prompt": "Say hi.", "completion": "hi", "label": label} for label in (True, "1", "false", 0)]
    labels = [row.label for row in read("trl-unpaired", table("c.csv", kto)) if isinstance(row, RatedOutput)]
    assert labels == [1.0, 1.0, 0.0, 0.0]
    long = {"prompt": "Write a lot.", "chosen": "word " * 40_000, "rejected": "no"}
    assert len(only(read("trl", table("d.csv", [long]))).output_1) == 200_000


def test_our_own_rows_come_back_from_csv(tmp_path: Path) -> None:
    rows = [
        PreferenceRow(
            "s", "Say hi.", "", "hi", "hello", "ada", AnnotatorKind.HUMAN, preference, item_id="1",
            subset="x", instruction_id=preferences.instruction_id("Say hi.", ""), order_swapped=swapped,
            meta={"a": [1]},
            scores=(1.0, None), price=price, preference_raw=2.0,
        )
        for preference, swapped, price in ((1.0, True, 0.5), (0.25, None, None), (None, False, 0.0))
    ]  # fmt: skip
    with (tmp_path / "x.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, preferences.FIELDS)
        writer.writeheader()
        for row in rows:
            made = preferences.to_dict(row)
            cells = {name: json.dumps(made[name]) for name in ("meta", "scores", "preference_raw")}
            writer.writerow({**made, **cells})
    assert read("preferences", tmp_path / "x.csv") == rows


def test_a_git_lfs_pointer_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(FormatError, match=r"pointer of Git LFS.*git lfs pull"):
        read("trl", tmp_path / "x.jsonl")


def test_the_hint_never_names_the_format_just_tried(tmp_path: Path) -> None:
    path = made(tmp_path / "x.jsonl", [{"response1": "a", "response2": "b", "context": "c"}])
    with pytest.raises(FormatError) as raised:
        read("pandalm", path)
    assert "format pandalm" not in str(raised.value)


def test_a_prompt_that_the_answers_repeat_is_no_output(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "What is 1+1?"}
    sides = {
        name: [asked, {"role": "assistant", "content": said}]
        for name, said in (("chosen", "2"), ("rejected", "no"))
    }
    row = only(read("trl", made(tmp_path / "x.jsonl", [{"prompt": "What is 1+1?", **sides}])))
    assert (row.instruction, row.output_1, row.output_2) == ("What is 1+1?", "2", "no")
