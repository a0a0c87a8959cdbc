"""The field's formats on files made here in their public shapes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from db.errors import FormatError
from db.interchange import FORMATS, expand
from db.interchange.files import objects
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
)
from db.records import AnnotatorKind, ProducerKind, Use

NO = ReadOptions()


def read(name: str, path: Path, options: ReadOptions = NO) -> list[Entry | Refusal]:
    return list(FORMATS[name].read(path, options))


def made(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) if path.suffix == ".json" else "\n".join(map(json.dumps, value)))
    return path


def only(rows: list[Entry | Refusal]) -> PreferenceRow:
    [row] = rows
    assert isinstance(row, PreferenceRow), row
    return row


FARM = {"instruction": "Say hi.", "input": "", "output_1": "hi", "output_2": "hello", "preference": 2}


@pytest.mark.parametrize(
    ("code", "expected"), [(1, 1.0), (2, 0.0), (0, 0.5), (1.5, 0.5), (-1, None), (None, None)]
)
def test_alpaca_farm_codes(tmp_path: Path, code: float | None, expected: float | None) -> None:
    row = only(read("alpaca-farm", made(tmp_path / "human.json", [FARM | {"preference": code}])))
    assert row.preference == expected
    assert (row.annotator, row.annotator_kind, row.source) == ("human", AnnotatorKind.HUMAN, "alpaca_farm")


def test_alpaca_farm_cross_annotations_are_four_people_or_four_replicates(tmp_path: Path) -> None:
    path = made(tmp_path / "cross.json", [FARM | {"annotator_index": i} for i in range(4)])
    people = read("alpaca-farm", path, ReadOptions(annotator="people"))
    assert [row.annotator for row in people if isinstance(row, PreferenceRow)] == [
        f"people-{i}" for i in range(4)
    ]
    machine = read("alpaca-farm", path, ReadOptions(annotator="gpt-4", annotator_kind=AnnotatorKind.LLM))
    assert [(r.annotator, r.replicate) for r in machine if isinstance(r, PreferenceRow)] == [
        ("gpt-4", i) for i in range(4)
    ]


@pytest.mark.parametrize(("raw", "expected"), [(1, 1.0), (2, 1.0), (3, 0.0), (4, 0.0)])
def test_alpaca_farm_ordinals(tmp_path: Path, raw: int, expected: float) -> None:
    """The four grades A, a, b, B are binarised as upstream does: (round(x) - 1) // 2 + 1."""
    given = {name: value for name, value in FARM.items() if name != "preference"} | {"raw_preference": raw}
    row = only(read("alpaca-farm", made(tmp_path / "x.json", [given])))
    assert (row.preference, row.preference_raw) == (expected, raw)
    assert expected == {1: 1.0, 2: 0.0}[(raw - 1) // 2 + 1]


def test_alpaca_farm_outputs(tmp_path: Path) -> None:
    path = made(
        tmp_path / "x.json", [{"instruction": "Say hi.", "input": "", "output": "hi", "generator": "sft"}]
    )
    assert read("alpaca-farm", path) == [ImportedOutput("Say hi.", "", "hi", "sft")]


EVAL = {
    "instruction": "Say hi.", "output_1": "hi", "generator_1": "davinci", "output_2": "hello",
    "generator_2": "me", "dataset": "koala", "annotator": "judge", "preference": 1.75, "raw_completion": "m",
    "price_per_example": 0.01, "time_per_example": 2.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected"), [(1, 1.0), (2, 0.0), (1.5, 0.5), (0, 0.5), (1.75, 0.25), (-1, None), (None, None)]
)
def test_alpaca_eval_codes(tmp_path: Path, code: float | None, expected: float | None) -> None:
    row = only(read("alpaca-eval", made(tmp_path / "annotations.json", [EVAL | {"preference": code}])))
    assert row.preference == expected
    assert (row.output_1_model, row.output_2_model, row.price, row.seconds) == ("davinci", "me", 0.01, 2.0)
    assert (row.reason is None) == (expected is not None)


def test_alpaca_eval_raw_log_probabilities_are_kept_as_text(tmp_path: Path) -> None:
    reply = {"logprobs": {"content": [{"top_logprobs": [{"token": "m", "logprob": -0.1}]}]}}
    row = only(read("alpaca-eval", made(tmp_path / "x.json", [EVAL | {"raw_completion": reply}])))
    assert json.loads(row.raw_completion or "") == reply


def test_alpaca_eval_results_folder(tmp_path: Path) -> None:
    output = {"instruction": "Say hi.", "output": "hello", "generator": "me", "dataset": "koala"}
    made(tmp_path / "results" / "me" / "model_outputs.json", [output])
    made(tmp_path / "results" / "me" / "judge" / "annotations.json", [EVAL])
    rows = read("alpaca-eval", tmp_path / "results")
    assert {type(row).__name__ for row in rows} == {"ImportedOutput", "PreferenceRow"}
    with pytest.raises(FormatError, match="neither results"):
        read("alpaca-eval", made(tmp_path / "other" / "x.jsonl", [{}]).parent)


def test_alpaca_eval_instructions_are_numbered_by_the_fullest_outputs(tmp_path: Path) -> None:
    def outputs(model: str, *instructions: str) -> None:
        rows = [{"instruction": asked, "output": "!", "generator": model} for asked in instructions]
        made(tmp_path / model / "model_outputs.json", rows)

    outputs("a", "two", "three")
    outputs("b", "one", "two", "three")
    rows = [row for row in read("alpaca-eval", tmp_path) if isinstance(row, ImportedOutput)]
    assert [row.instruction for row in rows[:3]] == ["one", "two", "three"]


def tables(folder: Path) -> Path:
    made(
        folder / "instructions.jsonl",
        [{"instruction_id": "ae:0", "instruction": "Say hi.", "dataset": "koala"}],
    )
    answers = [
        {"instruction_id": "ae:0", "instruction": "Say hi.", "model": m, "output": m}
        for m in ("ref", "old", "me")
    ]
    made(folder / "outputs.jsonl", answers)
    verdict = {
        "instruction_id": "ae:0",
        "model": "me",
        "reference": "ref",
        "preference": 2.0,
        "preference_raw": 2.0,
        "raw_completion": None,
        "order_swapped": True,
        "judged_output_override": None,
        "price": 1,
        "time": 2,
    }
    made(folder / "annotations_judge.jsonl", [verdict | {"annotator": "judge"}])
    first = verdict | {"annotator": "first judge", "reference": "old"}
    made(folder / "annotations_first.jsonl", [first])
    made(
        folder / "reference_v1_old.jsonl",
        [{"instruction_id": "ae:0", "model": "old", "output": "the old one"}],
    )
    return folder


def test_alpaca_eval_tables_join_the_texts_that_were_judged(tmp_path: Path) -> None:
    rows = read("alpaca-eval", tables(tmp_path))
    judged = {row.annotator: row for row in rows if isinstance(row, PreferenceRow)}
    assert judged["judge"].output_1 == "ref"
    assert judged["first judge"].output_1 == "the old one"
    assert (judged["judge"].output_2, judged["judge"].preference, judged["judge"].order_swapped) == (
        "me",
        0.0,
        True,
    )
    assert [row.use for row in rows if isinstance(row, ImportedInstruction)] == [Use.EVAL]
    assert {row.set_name for row in rows if isinstance(row, ImportedOutput)} == {None}  # no second membership


def test_alpaca_eval_tables_refuse_what_cannot_be_joined(tmp_path: Path) -> None:
    lost = {"instruction_id": "ae:9", "model": "me", "reference": "ref", "annotator": "x", "preference": 1}
    made(tables(tmp_path) / "annotations_x.jsonl", [lost])
    refusals = [row for row in read("alpaca-eval", tmp_path) if isinstance(row, Refusal)]
    assert [refusal.reason for refusal in refusals] == [
        "annotations_x.jsonl: instruction_id 'ae:9' is not among the instructions"
    ]


def test_pandalm(tmp_path: Path) -> None:
    row = {
        "idx": 7, "motivation_app": "Gmail", "cmp_key": "bloom-7b_opt-7b", "instruction": "Say hi.",
        "input": True, "response1": "hi", "response2": "", "annotator1": 0, "annotator2": 1,
        "annotator3": "2", "gpt_result": "garbage", "pandalm_result": 2, "pandalm_reason": "shorter",
    }  # fmt: skip
    rows = read("pandalm", made(tmp_path / "testset.json", [row]))
    found = {
        r.annotator: (r.preference, r.annotator_kind.value) for r in rows if isinstance(r, PreferenceRow)
    }
    assert found == {
        "pandalm-human-1": (0.5, "human"), "pandalm-human-2": (1.0, "human"),
        "pandalm-human-3": (0.0, "human"),
        "gpt": (None, "llm"), "pandalm": (0.0, "llm"),
    }  # fmt: skip
    first = rows[0]
    assert isinstance(first, PreferenceRow)
    assert (first.item_id, first.input, first.output_1_model, first.subset) == (
        "7",
        "True",
        "bloom-7b",
        "Gmail",
    )


def test_hh_rlhf(tmp_path: Path) -> None:
    start = "\n\nHuman: Hello\n\nAssistant: Hi.\n\nHuman: How are you?\n\nAssistant:"
    rows = [
        {"chosen": start + " Fine.", "rejected": start + " Go away."},
        {"chosen": "\n\nHuman: Say: hi\n\nAssistant: hi", "rejected": "\n\nHuman: Say: hi\n\nAssistant: no"},
        {"chosen": start + " Fine.", "rejected": "\n\nHuman: Other\n\nAssistant: x"},
        {"chosen": "no turns", "rejected": "no turns"},
        {"chosen": start + " Fine.\n\nHuman: ok", "rejected": start + " Fine."},
    ]
    found = read("hh-rlhf", made(tmp_path / "train.jsonl", rows))
    dialogue, single = found[:2]
    assert isinstance(dialogue, PreferenceRow)
    assert dialogue.instruction == "User: Hello\n\nAssistant: Hi.\n\nUser: How are you?"
    assert [turn[:2] for turn in dialogue.turns] == [
        ("user", "Hello"),
        ("assistant", "Hi."),
        ("user", "How are you?"),
    ]
    assert (dialogue.output_1, dialogue.output_2, dialogue.preference) == ("Fine.", "Go away.", 1.0)
    assert isinstance(single, PreferenceRow)
    assert (single.instruction, single.turns) == ("Say: hi", ())
    assert [row.reason for row in found[2:] if isinstance(row, Refusal)] == [
        "chosen and rejected differ before the last turn of the Assistant",
        "chosen does not begin with a turn of the Human",
        "chosen does not end with a turn of the Assistant",
    ]


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def test_trl_standard_conversational_and_implicit(tmp_path: Path) -> None:
    asked = [turn("user", "Say hi.")]
    rows = [
        {"prompt": "Say hi.", "chosen": "hi", "rejected": "no"},
        {"prompt": asked, "chosen": [turn("assistant", "hi")], "rejected": [turn("assistant", "no")]},
        {"chosen": [*asked, turn("assistant", "hi")], "rejected": [*asked, turn("assistant", "no")]},
    ]
    for row in rows:
        found = only(read("trl", made(tmp_path / "x.jsonl", [row])))
        assert (found.instruction, found.output_1, found.output_2, found.preference) == (
            "Say hi.",
            "hi",
            "no",
            1.0,
        )
    parquet.write_table(arrow.Table.from_pylist(rows[1:2]), tmp_path / "x.parquet")
    assert only(read("trl", tmp_path / "x.parquet")).output_1 == "hi"
    [refused] = read("trl", made(tmp_path / "x.jsonl", [{"chosen": "hi", "rejected": "no"}]))
    assert isinstance(refused, Refusal)


def test_trl_unpaired(tmp_path: Path) -> None:
    rows = [
        {"prompt": "Say hi.", "completion": "hi", "label": True},
        {"prompt": "x", "completion": "y", "label": 2},
        {"prompt": "x", "completion": "y", "label": 0},
        {"prompt": "x", "completion": "z", "label": "True"},
    ]
    good, bad, zero, text = read(
        "trl-unpaired", made(tmp_path / "x.jsonl", rows), ReadOptions(set_name="mine")
    )
    human = AnnotatorKind.HUMAN
    assert good == RatedOutput("trl", "Say hi.", "", "hi", "trl", human, 1.0, set_name="mine")
    assert isinstance(bad, Refusal)
    assert bad.reason == "label is 2, not true or false"
    assert zero == RatedOutput("trl", "x", "", "y", "trl", human, 0.0, set_name="mine")
    assert text == RatedOutput("trl", "x", "", "z", "trl", human, 1.0, set_name="mine")


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".parquet"])
def test_trl_writers_leave_ties_out(tmp_path: Path, ending: str) -> None:
    shared: dict[str, Any] = {"source": "s", "instruction": "Say hi.", "input": "to Bo", "output_1": "hi"}
    shared |= {"output_2": "no", "annotator": "a", "annotator_kind": AnnotatorKind.HUMAN}
    rows = [PreferenceRow(preference=p, **shared) for p in (1.0, 0.5, None, 0.2)]
    write, write_unpaired = FORMATS["trl"].write, FORMATS["trl-unpaired"].write
    assert write is not None
    assert write_unpaired is not None
    assert write(rows, tmp_path / f"x{ending}") == 2
    assert [row["prompt"] for _, row in objects(tmp_path / f"x{ending}")] == ["Say hi.\n\nto Bo"] * 2
    back = [r for r in read("trl", tmp_path / f"x{ending}") if isinstance(r, PreferenceRow)]
    assert {row.input for row in back} == {"to Bo"}
    assert [(r.instruction, r.output_1, r.preference) for r in back] == [
        ("Say hi.", "hi", 1.0),
        ("Say hi.", "hi", 0.2),
    ]
    assert write_unpaired(rows, tmp_path / f"y{ending}") == 4


def test_instructions(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("Say hi.\n\nSay bye.\n")
    assert read("instructions", tmp_path / "plain.txt", ReadOptions(use=Use.EVAL)) == [
        ImportedInstruction("Say hi.", "", "plain", Use.EVAL),
        ImportedInstruction("Say bye.", "", "plain", Use.EVAL),
    ]
    (tmp_path / "x.csv").write_text("prompt,input,output\nSay hi.,to Bo,hi Bo\n")
    asked, answer = read("instructions", tmp_path / "x.csv")
    assert asked == ImportedInstruction("Say hi.", "to Bo", "x")
    assert answer == ImportedOutput("Say hi.", "to Bo", "hi Bo", "reference", ProducerKind.REFERENCE, "x")
    [bad] = read("instructions", made(tmp_path / "x.jsonl", [{"instruction": "x", "use": "play"}]))
    assert isinstance(bad, Refusal)


def test_outputs(tmp_path: Path) -> None:
    rows = [
        {
            "instruction": "Say hi.",
            "output": "hi",
            "generator": "m",
            "source": "s",
            "reference_output": "hello",
        }
    ]
    found = read("outputs", made(tmp_path / "x.jsonl", rows))
    assert [(r.output, r.model, r.set_name) for r in found if isinstance(r, ImportedOutput)] == [
        ("hi", "m", "s"), ("hello", "reference", "s"),
    ]  # fmt: skip


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    made(tmp_path / "b.jsonl", [FARM]), made(tmp_path / "a" / "c.json", [FARM])
    (tmp_path / "README.md").write_text("no data")
    assert [p.name for p in expand([tmp_path], FORMATS["alpaca-farm"])] == ["c.json", "b.jsonl"]
    assert list(expand([tmp_path], FORMATS["alpaca-eval"])) == [tmp_path]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no data file"):
        list(expand([tmp_path / "empty"], FORMATS["trl"]))


def broken() -> Iterator[tuple[str, bytes, str]]:
    line = json.dumps(FARM).encode()
    yield "empty.jsonl", b"", "holds no row"
    yield "torn.jsonl", line[:20], r"torn\.jsonl:1: this is not JSON"
    yield "list.json", b"[1, 2]", "expected a JSON object, found int"
    yield "twice.jsonl", b'{"a": 1, "a": 2}', "'a' stands twice"
    yield "latin.jsonl", '{"a": "é"}'.encode("latin-1"), "byte 8 is not UTF-8"
    yield "torn.jsonl.gz", gzip.compress(line * 100)[:-20], "compressed file is broken"
    yield "x.parquet", b"PAR1 and then nothing", "not parquet"
    yield "binary.jsonl", bytes(range(128, 256)), "not UTF-8"
    yield "deep.json", b"[" * 100_000, "not JSON"


@pytest.mark.parametrize(
    ("name", "content", "message"), list(broken()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_broken_files_give_one_clear_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message):
        read("alpaca-farm", tmp_path / name)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no such file"):
        read("trl", tmp_path / "none.jsonl")
    with pytest.raises(FormatError, match="a folder"):
        read("trl", tmp_path)


def test_a_file_of_another_format_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(
        FormatError, match=r"no field chosen or chosen_messages here.*looks like the format alpaca-farm"
    ):
        read("trl", made(tmp_path / "x.jsonl", [FARM]))


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(FARM).encode() + b"\r\n\r\n")
    assert only(read("alpaca-farm", tmp_path / "x.jsonl")).output_1 == "hi"


@pytest.mark.parametrize("text", ["nul \0 here", "half \ud83d of a pair"])
def test_what_no_database_holds_is_refused_by_name(tmp_path: Path, text: str) -> None:
    [refused] = read("alpaca-farm", made(tmp_path / "x.json", [FARM | {"output_2": text}]))
    assert isinstance(refused, Refusal)
    assert refused.reason.startswith("output_2 holds a ")
