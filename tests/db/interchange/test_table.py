"""Any table by a mapping of its columns: the right side, every place, and one clear line for the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.ipc as ipc
import pyarrow.parquet as parquet
import pytest

from db.errors import ConfigError, FormatError
from db.interchange import FORMATS, expand
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    ImportedPair,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
    TableMap,
)
from db.interchange.table import arguments, load, mapping_of, save
from db.records import AnnotatorKind, ProducerKind

PAIR = ("prompt=question", "output_1=response 1", "output_2=response 2")
ROW = {"question": "Say hi.", "response 1": "hi", "response 2": "no", "label": 0, "id": 7}


def read(
    path: Path, rows: list[dict[str, Any]], *maps: str, verdict: str | None = None
) -> list[Entry | Refusal]:
    path.write_text("\n".join(map(json.dumps, rows)))
    return list(FORMATS["table"].read(path, ReadOptions(table=mapping_of(maps, verdict))))


def judged(
    path: Path, rows: list[dict[str, Any]], *maps: str, verdict: str | None = None
) -> list[PreferenceRow]:
    found = read(path, rows, *maps, verdict=verdict)
    assert all(isinstance(row, PreferenceRow) for row in found), found
    return [row for row in found if isinstance(row, PreferenceRow)]


@pytest.mark.parametrize(
    ("label", "expected"), [(0, 1.0), (1, 0.0), (2, 0.5), ("0", 1.0), (1.0, 0.0), ("2.0", 0.5), (3, None)]
)
def test_codes_say_which_side(tmp_path: Path, label: object, expected: float | None) -> None:
    codes = "label:0=first,1=second,2=tie,3=none"
    [row] = judged(tmp_path / "mine.jsonl", [ROW | {"label": label}], *PAIR, verdict=codes)
    assert (row.instruction, row.output_1, row.output_2, row.preference) == ("Say hi.", "hi", "no", expected)
    assert (row.source, row.annotator, row.annotator_kind) == ("mine", "mine", AnnotatorKind.HUMAN)
    assert row.meta == {"id": 7}
    assert row.item_id is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("A", 1.0), ("response 2", 0.0), ("B is better", 0.0), ("[[A]]", 1.0), ("A>>B", 1.0), ("B>A", 0.0),
        ("left", 1.0), ("Second", 0.0), ("tie (bothbad)", 0.5), ("A=B", 0.5), ("m1", 1.0), ("m2", 0.0),
        ("hi", 1.0), (" NO ", 0.0), ("draw", 0.5),
    ],
)  # fmt: skip
def test_words_models_and_texts_say_which_side(tmp_path: Path, said: str, expected: float) -> None:
    row = ROW | {"label": said, "a": "m1", "b": "m2"}
    maps = (*PAIR, "model_1=a", "model_2=b")
    [found] = judged(tmp_path / "x.jsonl", [row], *maps, verdict="label")
    assert (found.preference, found.output_1_model, found.output_2_model) == (expected, "m1", "m2")


@pytest.mark.parametrize("said", [1, 0, True, "3", "m3", "C", "never"])
def test_a_verdict_without_a_meaning_is_refused_and_the_rest_is_read(tmp_path: Path, said: object) -> None:
    rows = [ROW | {"label": "A"}, ROW | {"label": said}, ROW | {"label": "B"}]
    first, refused, last = read(tmp_path / "x.jsonl", rows, *PAIR, verdict="label")
    assert isinstance(refused, Refusal)
    assert refused.row == 2
    assert refused.reason.startswith("the verdict is ")
    assert isinstance(first, PreferenceRow)
    assert isinstance(last, PreferenceRow)
    assert (first.preference, last.preference) == (1.0, 0.0)


def test_a_word_that_is_the_name_of_the_other_model_is_refused(tmp_path: Path) -> None:
    row = ROW | {"label": "A", "a": "B", "b": "A"}
    [refused] = read(tmp_path / "x.jsonl", [row], *PAIR, "model_1=a", "model_2=b", verdict="label")
    assert isinstance(refused, Refusal)
    assert "names both sides" in refused.reason


@pytest.mark.parametrize(("number", "expected"), [(-3, 1.0), (-0.5, 1.0), (0, 0.5), ("2", 0.0)])
def test_signed_verdicts(tmp_path: Path, number: object, expected: float) -> None:
    codes = "label:negative=first,0=tie,positive=second"
    [row] = judged(tmp_path / "x.jsonl", [ROW | {"label": number}], *PAIR, verdict=codes)
    assert row.preference == expected


def test_probabilities(tmp_path: Path) -> None:
    rows = [ROW | {"label": 0.7}, ROW | {"label": 1.2}]
    soft, refused = read(tmp_path / "x.jsonl", rows, *PAIR, verdict="label:probability")
    assert isinstance(soft, PreferenceRow)
    assert soft.preference == 0.7
    assert isinstance(refused, Refusal)


def test_a_pair_without_a_verdict_is_still_to_be_judged(tmp_path: Path) -> None:
    expected = ImportedPair("x", "Say hi.", "", "hi", "no")
    assert read(tmp_path / "x.jsonl", [ROW], *PAIR) == [expected]
    assert read(tmp_path / "x.jsonl", [ROW | {"label": ""}], *PAIR, verdict="label:0=first") == [expected]


def test_scores_judge_a_pair_and_are_kept(tmp_path: Path) -> None:
    rows = [ROW | {"s": s, "t": 3} for s in (4, 3, 2.5)]
    found = judged(tmp_path / "x.jsonl", rows, *PAIR, "score_1=s", "score_2=t")
    assert [row.preference for row in found] == [1.0, 0.5, 0.0]
    assert [row.scores for row in found] == [(4, 3), (3, 3), (2.5, 3)]


def test_several_outputs_with_scores_are_compared_each_with_each(tmp_path: Path) -> None:
    row = {"p": "x", "o": ["a", "b", "c"], "m": ["m1", "m2", "m3"], "s": [1, 3, 3]}
    found = judged(tmp_path / "x.jsonl", [row], "prompt=p", "outputs=o", "models=m", "scores=s")
    told = [(each.output_1, each.output_2, each.preference, each.output_2_model) for each in found]
    assert told == [("a", "b", 0.0, "m2"), ("a", "c", 0.0, "m3"), ("b", "c", 0.5, "m3")]


def test_of_ranks_the_lower_is_better(tmp_path: Path) -> None:
    row = {"p": "x", "a": "one", "b": "two", "c": "three", "ra": 2, "rb": 1, "rc": 3}
    maps = [
        f"{kind}_{n}={mark}{side}"
        for kind, mark in (("output", ""), ("rank", "r"))
        for n, side in enumerate("abc", 1)
    ]
    found = judged(tmp_path / "x.jsonl", [row], "prompt=p", *maps)
    assert [(each.output_1, each.output_2, each.preference) for each in found] == [
        ("one", "two", 0.0), ("one", "three", 1.0), ("two", "three", 1.0),
    ]  # fmt: skip


def test_rows_of_one_output_with_scores_are_compared_within_prompt_and_annotator(tmp_path: Path) -> None:
    rows = [
        {"q": "x", "r": "a", "who": "m1", "s": 1, "by": "ann"},
        {"q": "y", "r": "c", "who": "m1", "s": 1, "by": "ann"},
        {"q": "x", "r": "b", "who": "m2", "s": 2, "by": "ann"},
        {"q": "x", "r": "b", "who": "m2", "s": 0, "by": "bob"},
        {"q": "x", "r": "a", "who": "m1", "s": 1, "by": "bob"},
    ]
    maps = ("prompt=q", "output=r", "model=who", "score=s", "annotator=by")
    ann, alone, bob = read(tmp_path / "x.jsonl", rows, *maps)
    assert isinstance(ann, PreferenceRow)
    assert isinstance(bob, PreferenceRow)
    assert (ann.output_1, ann.output_2, ann.preference, ann.annotator) == ("a", "b", 0.0, "ann")
    assert (bob.output_1, bob.output_2, bob.preference, bob.annotator) == ("b", "a", 0.0, "bob")
    assert alone == ImportedOutput("y", "", "c", "m1")


def test_a_group_stands_at_its_first_row(tmp_path: Path) -> None:
    rows = [
        {"q": q, "r": r, "s": s} for q, r, s in (("x", "a", 1), ("y", "c", 1), ("x", "b", 2), ("y", "d", 0))
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    mapping = mapping_of(("prompt=q", "output=r", "score=s"), None)
    found = FORMATS["table"].placed(path, ReadOptions(table=mapping))
    assert [(each.file, each.row) for each in found] == [(str(path), 1), (str(path), 2)]


def test_good_and_bad_answers_are_ratings(tmp_path: Path) -> None:
    labels: list[object] = [1, "no", None]
    rows = [{"q": "x", "r": answer, "ok": ok} for answer, ok in zip("abc", labels, strict=True)]
    assert read(tmp_path / "x.jsonl", rows, "prompt=q", "output=r", "good=ok") == [
        RatedOutput("x", "x", "", "a", "x", AnnotatorKind.HUMAN, 1.0),
        RatedOutput("x", "x", "", "b", "x", AnnotatorKind.HUMAN, 0.0),
        ImportedOutput("x", "", "c", ""),
    ]


def test_battles_without_texts_have_their_place(tmp_path: Path) -> None:
    rows = [
        {"l": "m1", "r": "m2", "w": "m2"},
        {"l": "m1", "r": "m2", "w": "tie"},
        {"l": "m1", "r": "m1", "w": "tie"},
    ]
    *found, refused = read(tmp_path / "x.jsonl", rows, "model_1=l", "model_2=r", verdict="w")
    told = [(row.preference, row.output_1_model) for row in found if isinstance(row, PreferenceRow)]
    assert told == [(0.0, "m1"), (0.5, "m1")]
    assert isinstance(refused, Refusal)


def test_battles_of_one_question_by_several_people_are_one_question(tmp_path: Path) -> None:
    rows = [{"q": 8, "l": "m1", "r": "m2", "w": "left", "by": by} for by in ("ann", "bob")]
    maps = ("prompt=q", "model_1=l", "model_2=r", "annotator=by")
    ann, bob = judged(tmp_path / "x.jsonl", rows, *maps, verdict="w")
    assert ann.instruction == bob.instruction == "(no text: battle 8 of x)"
    assert (ann.preference, ann.annotator, bob.annotator) == (1.0, "ann", "bob")


def test_the_annotator_of_a_row_goes_before_that_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps(ROW | {"label": "a", "by": by}) for by in ("ann", None)))
    mapping = mapping_of((*PAIR, "annotator=by"), "label")
    options = ReadOptions(annotator="crowd", annotator_kind=AnnotatorKind.LLM, table=mapping)
    found = [row for row in FORMATS["table"].read(path, options) if isinstance(row, PreferenceRow)]
    assert [(row.annotator, row.annotator_kind) for row in found] == [
        ("ann", AnnotatorKind.LLM),
        ("crowd", AnnotatorKind.LLM),
    ]


def test_a_prompt_alone_is_an_instruction_and_a_reference_its_answer(tmp_path: Path) -> None:
    assert read(tmp_path / "x.jsonl", [{"q": "x", "a": "y"}], "prompt=q", "reference=a") == [
        ImportedInstruction("x", "", "x"),
        ImportedOutput("x", "", "y", "reference", ProducerKind.REFERENCE, "x"),
    ]


def test_fields_within_fields_and_all_that_stands_beside(tmp_path: Path) -> None:
    row = {
        "data": {"q": "x", "r": ["a", "b"]},
        "win": "a",
        "by": "ann",
        "sure": 2,
        "cat": "maths",
        "flip": "yes",
    }
    maps: tuple[str, ...] = (
        "prompt=data.q",
        "output_1=data.r.0",
        "output_2=data.r.1",
        "annotator=by",
        "strength=sure",
    )
    maps += ("subset=cat", "swapped=flip")
    [found] = judged(tmp_path / "x.jsonl", [row], *maps, verdict="win")
    assert (found.instruction, found.output_1, found.output_2) == ("x", "a", "b")
    assert (found.annotator, found.meta, found.subset, found.order_swapped) == (
        "ann",
        {"strength": 2},
        "maths",
        True,
    )


@pytest.mark.parametrize(
    ("maps", "verdict", "reason"),
    [
        (("prompt",), None, "--map has 'prompt'"),
        (("prompts=q",), None, "--map names the place 'prompts'"),
        (("prompt=q", "prompt=r"), None, "--map fills 'prompt' twice"),
        ((), "label:0=left", "--verdict has '0=left', not VALUE=MEANING"),
        ((), "label:0=first,0.0=second", "--verdict says twice what '0.0' means"),
    ],
)
def test_a_wrong_mapping_is_refused(maps: tuple[str, ...], verdict: str | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        mapping_of(maps, verdict)


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no row has the column 'rater', but question, response 1"):
        read(tmp_path / "x.jsonl", [ROW], *PAIR, "annotator=rater")
    with pytest.raises(FormatError, match="a table needs a mapping"):
        list(FORMATS["table"].read(tmp_path / "x.jsonl", ReadOptions()))


def test_a_mapping_is_saved_and_said_as_arguments(tmp_path: Path) -> None:
    mapping = mapping_of(PAIR, "label:0=first,1=second,2=tie,3=none")
    save(mapping, str(tmp_path / "mine"))
    assert load(str(tmp_path / "mine")) == mapping
    told = arguments(mapping)
    assert mapping_of(tuple(told[1:-2:2]), told[-1]) == mapping
    with pytest.raises(ConfigError, match="there is a file of this name"):
        save(mapping, str(tmp_path / "mine"))
    with pytest.raises(ConfigError, match="there is no such mapping"):
        load(str(tmp_path / "other"))
    (tmp_path / "bad.map.json").write_text('{"columns": {"prompt": "q"}, "codes": {"1": 0.7}}')
    with pytest.raises(ConfigError, match="this is no saved mapping"):
        load(str(tmp_path / "bad"))


def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    options = ReadOptions(source="s", annotator="ann", table=mapping_of(PAIR, "label:0=first,1=second"))
    rows = [
        {**ROW, "id": None},
        {**ROW, "question": 'With "quotes", a comma\tand a tab', "label": 1, "id": None},
    ]
    whole = arrow.Table.from_pylist([{name: row[name] for name in ROW if name != "id"} for row in rows])
    parquet.write_table(whole, tmp_path / "x.parquet")
    folder = tmp_path / "saved" / "train"
    folder.mkdir(parents=True)
    with ipc.new_stream(folder / "data-00000-of-00001.arrow", whole.schema) as stream:
        stream.write_table(whole)
    (folder / "state.json").write_text('{"_data_files": []}')
    (folder / "dataset_info.json").write_text("{}")
    (folder.parent / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with ipc.new_file(tmp_path / "x.arrow", whole.schema) as file:
        file.write_table(whole)
    frame = whole.to_pandas()
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_csv(tmp_path / "x.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "y.csv", index=False, sep=";", encoding="utf-8-sig")
    frame.to_json(tmp_path / "x.json", orient="records")
    frame.to_json(tmp_path / "x.jsonl", orient="records", lines=True)
    found = []
    for name in ("saved", "x.parquet", "x.arrow", "x.csv", "x.tsv", "y.csv", "x.json", "x.jsonl"):
        [path] = expand([tmp_path / name], FORMATS["table"])
        found.append([row for row in FORMATS["table"].read(path, options) if isinstance(row, PreferenceRow)])
    told = [[(r.instruction, r.output_1, r.output_2, r.preference) for r in rows] for rows in found]
    assert told[0] == [("Say hi.", "hi", "no", 1.0), ('With "quotes", a comma\tand a tab', "hi", "no", 0.0)]
    assert all(each == told[0] for each in told)


def test_excel_is_read_where_its_library_is_and_named_where_it_is_not(tmp_path: Path) -> None:
    path, options = tmp_path / "x.xlsx", ReadOptions(table=TableMap({"prompt": "q"}))
    try:
        import openpyxl
    except ImportError:
        path.write_bytes(b"PK\x03\x04")
        with pytest.raises(FormatError, match="Excel files need openpyxl"):
            list(FORMATS["table"].read(path, options))
        return
    book = openpyxl.Workbook()
    for row in (["q"], ["Say hi."]):
        book.active.append(row)
    book.save(path)
    assert list(FORMATS["table"].read(path, options)) == [ImportedInstruction("Say hi.", "", "x")]


def test_a_column_of_excel_without_a_name_moves_no_other(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([None, "q"], ["a remark", "Say hi."]):
        book.active.append(row)
    book.save(tmp_path / "x.xlsx")
    read = FORMATS["table"].read(tmp_path / "x.xlsx", ReadOptions(table=TableMap({"prompt": "q"})))
    assert list(read) == [ImportedInstruction("Say hi.", "", "x")]
