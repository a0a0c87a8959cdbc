"""Our own rows: what is read is written back equal, and what is wrong is refused with its reason."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import FormatError
from db.interchange import FORMATS
from db.interchange.preferences import instruction_id, read, to_dict, write
from db.interchange.rows import Entry, PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind, Degree

NO = ReadOptions()
ROW = PreferenceRow(
    "s",
    "Say hi.",
    "",
    "hi",
    "hello",
    "ada",
    AnnotatorKind.HUMAN,
    1.0,
    None,
    "1",
    instruction_id("Say hi.", ""),
)


def found(path: Path) -> list[Entry | Refusal]:
    return [each.entry for each in read(path, NO)]


def back(rows: list[PreferenceRow], path: Path) -> list[Entry | Refusal]:
    assert write(rows, path) == len(rows)
    return found(path)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ROWS = st.builds(
    PreferenceRow,
    source=TEXT, instruction=TEXT, input=TEXT, output_1=TEXT, output_2=TEXT, annotator=TEXT,
    annotator_kind=st.sampled_from(AnnotatorKind),
    preference=st.none() | st.floats(0, 1),
    subset=st.none() | TEXT, item_id=st.text("ab1", min_size=1),
    instruction_id=st.text("0a", min_size=12, max_size=12),
    output_1_model=st.none() | TEXT, output_2_model=st.none() | TEXT,
    preference_raw=st.none() | TEXT | st.floats(-9, 9) | st.integers(-9, 9),
    order_swapped=st.none() | st.booleans(), raw_completion=st.none() | TEXT,
    scores=st.none() | st.tuples(st.floats(-9, 9), st.none() | st.floats(-9, 9)),
    meta=st.dictionaries(st.text("xyz", min_size=1), st.none() | TEXT | st.integers(-9, 9), max_size=3),
    replicate=st.integers(0, 9), price=st.none() | st.floats(0, 9), seconds=st.none() | st.floats(0, 9),
)  # fmt: skip


@given(
    rows=st.lists(ROWS, min_size=1, max_size=3), ending=st.sampled_from([".jsonl", ".jsonl.gz", ".parquet"])
)
@settings(deadline=None, max_examples=60)
def test_any_row_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[PreferenceRow], ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"rows{ending}"
    assert back(rows, path) == rows


@given(
    content=st.binary(max_size=200),
    ending=st.sampled_from([".jsonl", ".json", ".gz", ".csv", ".parquet", ".txt"]),
)
@settings(deadline=None)
def test_any_bytes_are_rows_refusals_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes{ending}"
    path.write_bytes(content)
    for each in FORMATS.values():
        with suppress(FormatError):
            assert all(isinstance(row, Entry | Refusal) for row in each.read(path, NO))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preference": 3}, "preference is 3, not 1, 2, 0 or null"),
        ({"preference": True}, "preference is True, not 1, 2, 0 or null"),
        ({"preference": "1"}, "preference is '1', not 1, 2, 0 or null"),
        ({"annotator_kind": "dog"}, "annotator_kind is 'dog', not one of human, llm, rm, gold"),
        ({"instruction": None}, "instruction is None, not a text"),
        ({"order_swapped": 1}, "order_swapped is 1, not true, false or null"),
        ({"scores": [1, "2"]}, "scores is [1, '2'], not a list of numbers or null"),
        ({"meta": []}, "meta is [], not an object"),
        ({"colour": "red"}, "colour is no field of this format"),
        ({"meta": {"_farm": {"preference": 7}}}, "meta._farm.preference is 7, not in [0, 1]"),
        ({"meta": {"_farm": {"degree": 2}}}, "meta._farm.degree is 2, not [steps, levels]"),
        ({"meta": {"_farm": {"degree": [3, 2]}}}, "3 of 2 is no number of steps from a tie"),
        ({"meta": {"_farm": {"degree": [0, 2]}}}, "0 steps from a tie do not fit a preference of 1.0"),
    ],
)
def test_refusals_say_why(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps(to_dict(ROW) | each) for each in ({}, change)))
    good, bad = found(path)
    assert good == ROW
    assert bad == Refusal(2, reason)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    row = to_dict(ROW)
    del row["scores"]
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    assert found(tmp_path / "x.jsonl") == [Refusal(1, "scores is missing")]


def test_a_table_of_others_is_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("prompt,chosen\nSay hi.,hi\n")
    with pytest.raises(FormatError, match="no field item_id here, but prompt, chosen"):
        found(tmp_path / "x.csv")


def test_what_the_fields_cannot_hold_stands_in_meta() -> None:
    soft = ROW._replace(preference=0.75, annotator_kind=AnnotatorKind.RULE, replicate=2, price=0.5)
    made = to_dict(soft)
    assert (made["preference"], made["annotator_kind"]) == (1, "rm")
    assert made["meta"] == {"_farm": {"preference": 0.75, "kind": "rule", "replicate": 2, "price": 0.5}}
    assert to_dict(ROW)["meta"] == {}
    strong = ROW._replace(annotator_kind=AnnotatorKind.PANEL, degree=Degree(2, 3))
    assert to_dict(strong)["annotator_kind"] == "llm"  # the kind that other tools know
    assert to_dict(strong)["meta"] == {"_farm": {"kind": "panel", "degree": [2, 3]}}


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_degree_comes_back(tmp_path: Path, ending: str) -> None:
    rows = [
        ROW._replace(degree=Degree(2, 3)),
        ROW._replace(preference=0.0, degree=Degree(1, 2)),
        ROW._replace(preference=0.5, degree=Degree(0, 2)),
    ]
    assert back(rows, tmp_path / f"x{ending}") == rows


def test_rows_written_are_valid_by_the_schema(real_data: Path) -> None:
    schema = json.loads((real_data / "schema_preference_row.json").read_text())
    row = to_dict(ROW._replace(instruction_id=None, annotator_kind=AnnotatorKind.RULE, preference=0.3))
    assert set(row) == set(schema["required"]) == set(schema["properties"])
    assert row["annotator_kind"] in schema["properties"]["annotator_kind"]["enum"]
    assert row["preference"] in schema["properties"]["preference"]["enum"]


def test_instruction_id_folds_case_and_space() -> None:
    # sha256 of "say hi. to bo", first 12 hex digits
    import hashlib

    expected = hashlib.sha256(b"say hi. to bo").hexdigest()[:12]
    assert instruction_id("Say  HI.\n", " to Bo") == expected
