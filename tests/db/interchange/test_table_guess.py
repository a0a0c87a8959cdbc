"""A guessed mapping is right, or it asks: it never takes a side that a table may not mean."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import FormatError
from db.interchange import FORMATS
from db.interchange.rows import Entry, PreferenceRow, ReadOptions, Refusal
from db.interchange.table_guess import GuessedMap, folded, guess_table


def guessed(path: Path, *rows: dict[str, Any]) -> GuessedMap:
    path.write_text("\n".join(map(json.dumps, rows)))
    return guess_table(path)


def columns(path: Path, names: str, **values: Any) -> dict[str, str]:
    row = dict.fromkeys(names.split(","), "some text") | values
    return dict(guessed(path / "x.jsonl", row, row).mapping.columns)


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        ("prompt,response_a,response_b", "response_a", "response_b"),
        ("prompt,response 1,response 2", "response 1", "response 2"),
        ("prompt,Answer B,Answer A", "Answer A", "Answer B"),
        ("prompt,output1,output2", "output1", "output2"),
        ("prompt,outputA,outputB", "outputA", "outputB"),
        ("prompt,right_answer,left_answer", "left_answer", "right_answer"),
        ("prompt,response_1,response_0", "response_0", "response_1"),
        ("prompt,human_ref_A,human_ref_B", "human_ref_A", "human_ref_B"),
        ("prompt,first_response,second_response", "first_response", "second_response"),
        ("prompt,model_a_response,model_b_response", "model_a_response", "model_b_response"),
    ],
)
def test_two_outputs_are_known_by_their_names(tmp_path: Path, names: str, first: str, second: str) -> None:
    found = columns(tmp_path, names)
    assert (found["prompt"], found["output_1"], found["output_2"]) == ("prompt", first, second)


def test_battles_name_two_models(tmp_path: Path) -> None:
    row = {"id": 0, "prompt": 8, "model_x": 97, "model_y": 98, "worker": 5, "left": "A", "right": "B"}
    found = guessed(tmp_path / "x.jsonl", *(row | {"winner": each} for each in ("left", "right", "tie")))
    assert (found.open, dict(found.mapping.columns)) == (
        (),
        {
            "annotator": "worker",
            "model_1": "left",
            "model_2": "right",
            "instruction_id": "prompt",
            "verdict": "winner",
        },
    )


def test_a_column_of_numbers_is_no_prompt(tmp_path: Path) -> None:
    found = columns(tmp_path, "prompt,text,result_x,result_y", prompt=8)
    assert (found["prompt"], found["output_1"], found["output_2"]) == ("text", "result_x", "result_y")


@pytest.mark.parametrize(
    "names",
    [
        "Prompt,Response A,Response B,Which response is better?,Worker ID",
        "Input.prompt,Input.response_a,Input.response_b,Answer.choice,WorkerId",
        "user question,completion_a,completion_b,preferred_completion,rater",
        "q,answer1,answer2,preference_label,participantId",
    ],
)
def test_the_names_of_labelling_tools_are_known(tmp_path: Path, names: str) -> None:
    asked, first, second, label, person = names.split(",")
    row = {asked: "x", first: "one", second: "two", "why_better": "it is", label: "A", person: "p1"}
    assert dict(guessed(tmp_path / "x.jsonl", row).mapping.columns) == {
        "prompt": asked, "annotator": person, "output_1": first, "output_2": second, "verdict": label,
    }  # fmt: skip


def test_what_stands_beside_two_outputs_is_known(tmp_path: Path) -> None:
    names = "Question,context,response_a,response_b,model_a,model_b,rater_id,confidence,domain,when"
    assert columns(tmp_path, names, score_a=1, score_b=2) == {
        "prompt": "Question", "input": "context", "annotator": "rater_id", "strength": "confidence",
        "subset": "domain", "output_1": "response_a", "output_2": "response_b", "model_1": "model_a",
        "model_2": "model_b", "score_1": "score_a", "score_2": "score_b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("q_id,question,accepted,rejected", "accepted"),
        ("question,preferred_output,non_preferred_output", "preferred_output"),
    ],
)
def test_chosen_and_rejected_are_known_by_their_names(tmp_path: Path, names: str, chosen: str) -> None:
    found = columns(tmp_path, names)
    assert (found["prompt"], found["chosen"]) == ("question", chosen)


def test_one_output_with_a_score_a_rank_or_a_label(tmp_path: Path) -> None:
    assert columns(tmp_path, "prompt,response,model,rating", rating=3)["score"] == "rating"
    assert columns(tmp_path, "prompt,response,rank,score", rank=3, score=1)["rank"] == "rank"
    assert columns(tmp_path, "prompt,completion,label", label=True)["good"] == "label"


BASE = {"prompt": "x", "response_a": "one", "response_b": "two"}


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        (("a", "b", "tie"), {}),
        (("response_a", "response_b"), {"response_a": 1.0, "response_b": 0.0}),
        ((1, 2), {"1": 1.0, "2": 0.0}),
        (("1", "2.0"), {"1": 1.0, "2": 0.0}),
        (("one", "two"), {}),
        (("A is better", "B is better"), {}),
    ],
)  # fmt: skip
def test_clear_verdicts_are_taken(
    tmp_path: Path, values: tuple[object, ...], codes: dict[str, float]
) -> None:
    found = guessed(tmp_path / "x.jsonl", *(BASE | {"label": value} for value in values))
    assert (found.open, dict(found.mapping.codes), found.mapping.columns["verdict"]) == ((), codes, "label")


@pytest.mark.parametrize(
    "values",
    [(0, 1), (0, 1, 2), (True, False), (1, 2, 3), (-1, 0, 1), (0.3, 0.8), ("yes", "no"), ("m1", "m2")],
)
def test_verdicts_that_may_mean_either_side_are_asked_for(tmp_path: Path, values: tuple[object, ...]) -> None:
    found = guessed(tmp_path / "x.jsonl", *(BASE | {"label": value} for value in values))
    assert len(found.open) == len(values)


def test_numbers_that_are_the_outputs_themselves_are_asked_for(tmp_path: Path) -> None:
    rows = [{"prompt": "1+1", "response_a": "2", "response_b": "1", "label": label} for label in ("2", "1")]
    assert guessed(tmp_path / "x.jsonl", *rows).open == ("2", "1")


def test_a_table_of_nothing_known_names_its_columns(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no columns look like two outputs.* among colour, size"):
        guessed(tmp_path / "x.jsonl", {"colour": "red", "size": 3})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Response A", "response_a"), ("responseA", "response_a"), ("x-1 ", "x_1"), ("out1", "out_1")],
)
def test_names_are_folded(name: str, expected: str) -> None:
    assert folded(name) == expected


FULL = bool(os.environ.get("FARM_FULL"))
SIDES = [("a", "b"), ("1", "2"), ("first", "second"), ("left", "right"), ("A", "B")]
WORDS = {
    0: ("a", "A", "first", "left", "response_a", "[[A]]", "A>B"),
    1: ("b", "B is better", "second", "B>A"),
}
CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=8).filter(
    str.strip
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[float | None], tuple[str, str]]:
    """A made-up table, P(first) of each row as it was meant (None: in numbers), and its two columns."""
    stem, sides = (
        draw(st.sampled_from(["response", "answer", "output", "text"])),
        draw(st.sampled_from(SIDES)),
    )
    joint = draw(st.sampled_from(["_", " ", "-"]))
    names = (f"{stem}{joint}{sides[0]}", f"{stem}{joint}{sides[1]}")
    style = draw(st.sampled_from(["words", "columns", "models", "texts", "numbers", "noise"]))
    numbers = draw(st.sampled_from([(1, 2, 0), (0, 1, 2), (1, 0, 2), (2, 1, 0), (-1, 1, 0)]))
    rows, meant = [], []
    for i in range(draw(st.integers(1, 5))):
        first, second = (f"{kind}{i} {draw(CELL)}" for kind in "fs")
        winner = draw(st.sampled_from([0, 1, 2]))
        said: Any = "tie"
        if style == "numbers":
            said = numbers[winner]
        elif style == "noise":
            said = draw(CELL | st.integers() | st.floats() | st.booleans() | st.none())
        elif winner < 2:
            words = draw(st.sampled_from(WORDS[winner]))
            said = {
                "words": words,
                "columns": names[winner],
                "models": "xy"[winner],
                "texts": (first, second)[winner],
            }[style]
        row = {
            "prompt": draw(CELL),
            names[0]: first,
            names[1]: second,
            draw(st.sampled_from(["label", "winner"])): said,
        }
        row |= {"model_a": "x", "model_b": "y"} if style == "models" else {}
        rows.append(dict(draw(st.permutations(list(row.items())))))
        known = style != "noise" and (style != "numbers" or numbers == (1, 2, 0))
        meant.append((1.0, 0.0, 0.5)[winner] if known else None)
    return rows, meant, names


@given(table=tables())
@settings(deadline=None, max_examples=10_000 if FULL else 60)
def test_any_table_ends_in_rows_on_the_right_side_or_in_one_line(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[dict[str, Any]], list[float | None], tuple[str, str]],
) -> None:
    rows, meant, names = table
    path = tmp_path_factory.getbasetemp() / "fuzzed.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    read: list[Entry | Refusal] = []
    try:
        found = guess_table(path)
        if found.open:
            return
        read += list(FORMATS["table"].read(path, ReadOptions(table=found.mapping)))
    except FormatError as error:
        told = str(error)
    else:
        told = ""
    assert "\n" not in told
    if told:
        return
    assert len(read) == len(rows)
    for row, entry, expected in zip(rows, read, meant, strict=True):
        if isinstance(entry, PreferenceRow):
            assert (entry.output_1, entry.output_2) == (row[names[0]], row[names[1]])
            if expected is not None:
                assert entry.preference == expected
