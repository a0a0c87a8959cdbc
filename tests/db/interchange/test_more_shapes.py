"""Further sets in their public shapes, on rows made here: counts, verdicts, models, subsets, prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import FormatError
from db.interchange import FORMATS, guess
from db.interchange.files import readable_objects
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
)
from db.records import AnnotatorKind, ProducerKind
from tests.support.shapes import judged, shaped

HUMAN, LLM, GOLD = AnnotatorKind.HUMAN, AnnotatorKind.LLM, AnnotatorKind.GOLD


def guessed(path: Path, name: str) -> list[Entry | Refusal]:
    """A file's entries; its first row is known as this format."""
    assert guess(next(readable_objects(path))[1]) == name
    return list(FORMATS[name].read(path, ReadOptions()))


def verdicts(rows: list[PreferenceRow]) -> list[tuple[str, str, float | None]]:
    return [(row.output_1, row.output_2, row.preference) for row in rows]


@pytest.mark.parametrize(
    ("winner", "expected"), [("model_a", 1.0), ("model_b", 0.0), ("tie", 0.5), ("tie (bothbad)", 0.5)]
)
def test_ppe(tmp_path: Path, winner: str, expected: float) -> None:
    given = {"question_id": "q", "model_a": "m1", "model_b": "m2", "winner": winner, "prompt": "Say hi."}
    given |= {"response_1": "hi", "response_2": "no", "language": "English"}
    [row] = judged(tmp_path / "x.jsonl", "ppe", [given | {"hard_prompt": True}])
    assert verdicts([row]) == [("hi", "no", expected)]
    assert (row.output_1_model, row.output_2_model, row.subset) == ("m1", "m2", "English")
    assert (row.annotator, row.annotator_kind, row.meta) == ("arena-voters", HUMAN, {"hard_prompt": True})


def answer(turn: int, content: str, model: str, score: int, chosen: bool) -> dict[str, Any]:
    said = {"turn": turn, "role": "model", "content": content, "model_name": model}
    return said | {"score": score, "if_chosen": chosen}


TALK: dict[str, Any] = {"conversation_id": "c0", "user_id": "user0", "conversation_type": "unguided"}
HISTORY = [
    {"turn": 0, "role": "user", "content": "Say hi."},
    answer(0, "hi", "m1", 90, chosen=True),
    answer(0, "no", "m2", 20, chosen=False),
    answer(0, "hey", "m3", 90, chosen=False),
    {"turn": 1, "role": "user", "content": "Again."},
    answer(1, "hi hi", "m1", 40, chosen=False),
    answer(1, "hi!", "m1", 60, chosen=True),
]


def utterances() -> list[dict[str, Any]]:
    """The same conversation with one answer a row."""
    asked, rows = "", []
    for item in HISTORY:
        if item["role"] == "user":
            asked = item["content"]
            continue
        beside = {name: item[name] for name in ("turn", "model_name", "score", "if_chosen")}
        rows.append(TALK | beside | {"user_prompt": asked, "model_response": item["content"]})
    return rows


@pytest.mark.parametrize("rows", [[TALK | {"conversation_history": HISTORY}], utterances()])
def test_prism_compares_the_answers_of_each_turn_by_score(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    found = judged(tmp_path / "x.jsonl", "prism", rows)
    assert verdicts(found) == [
        ("hi", "no", 1.0),
        ("hi", "hey", 0.5),
        ("no", "hey", 0.0),
        ("hi hi", "hi!", 0.0),
    ]
    assert [row.scores for row in found] == [(90, 20), (90, 90), (20, 90), (40, 60)]
    assert {row.instruction for row in found[:3]} == {"Say hi."}
    assert found[3].instruction == "User: Say hi.\n\nAssistant: hi\n\nUser: Again."
    assert (found[1].output_2_model, found[3].output_2_model) == ("m3", "m1")
    assert {(row.annotator, row.annotator_kind, row.subset) for row in found} == {
        ("user0", HUMAN, "unguided")
    }
    assert [row.instruction_id for row in found] == ["c0/0"] * 3 + ["c0/1"]


def test_prism_refuses_a_conversation_that_went_on_from_no_answer(tmp_path: Path) -> None:
    history = [item | {"if_chosen": False} if item["role"] == "model" else item for item in HISTORY]
    [refused] = shaped(tmp_path / "x.jsonl", "prism", [TALK | {"conversation_history": history}])
    assert refused == Refusal(1, "no answer of turn 0 was chosen, and it went on")


def test_sparse_feedback_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "rankings.csv"
    path.write_text(
        'Say hi.,nan,hi,no,(a)\n"Say hi, twice.",,hi hi,no,(b)\nGreet.,Bo,hi,hello,equal\nx,y,(a)\n'
    )
    *rows, refused = guessed(path, "sparse-feedback")
    found = [row for row in rows if isinstance(row, PreferenceRow)]
    assert verdicts(found) == [("hi", "no", 1.0), ("hi hi", "no", 0.0), ("hi", "hello", 0.5)]
    assert [(row.instruction, row.input) for row in found][1:] == [("Say hi, twice.", ""), ("Greet.", "Bo")]
    assert (found[0].input, found[0].annotator_kind) == ("", LLM)
    assert refused == Refusal(4, "this row has 3 cells, and the header 5")
    path = tmp_path / "ratings.csv"
    path.write_text("Say hi.,nan,hi,7\nSay hi.,nan,no,4\n")
    rated = [row for row in guessed(path, "sparse-feedback") if isinstance(row, RatedOutput)]
    assert [(row.output, row.label, row.raw) for row in rated] == [("hi", 1.0, 7.0), ("no", 0.5, 4.0)]


BIGGEN: dict[str, Any] = {
    "id": "planning_trip_0", "capability": "planning", "task": "trip", "instance_idx": 0,
    "input": "Plan a trip.", "system_prompt": "Be brief.", "reference_answer": "Walk.",
    "score_rubric": {"criteria": "short?"}, "response": "Fly.", "response_model_name": "m1",
    "feedback": "Fine.", "score": 4, "eval_model_name": "judge",
}  # fmt: skip


def test_biggen_scores_are_ratings(tmp_path: Path) -> None:
    bad = BIGGEN | {"id": "planning_trip_1", "score": None}
    (tmp_path / "x.json").write_text(
        json.dumps({"planning_trip_0": BIGGEN, "planning_trip_1": bad, "z": 1}, indent=1)
    )
    rated, asked, reference, *refused = guessed(tmp_path / "x.json", "biggen")
    assert isinstance(rated, RatedOutput)
    assert rated.instruction == "System: Be brief.\n\nUser: Plan a trip."
    assert (rated.output, rated.model, rated.label, rated.raw) == ("Fly.", "m1", 0.75, 4.0)
    assert (rated.annotator, rated.annotator_kind, rated.subset) == ("judge", LLM, "planning")
    assert (rated.name, rated.meta) == ("planning_trip_0", {"task": "trip", "feedback": "Fine."})
    assert isinstance(asked, ImportedInstruction)
    assert isinstance(reference, ImportedOutput)
    assert (asked.set_name, reference.output, reference.kind) == ("biggen", "Walk.", ProducerKind.REFERENCE)
    assert refused == [Refusal(2, "score is None, not 1 to 5"), Refusal(3, "z is 1, not a row")]
    assert shaped(tmp_path / "y.jsonl", "biggen", [BIGGEN]) == [rated, asked, reference]


def test_prometheus_hhh_is_chosen_by_construction(tmp_path: Path) -> None:
    rubric = "###Task Description:\n\n###The instruction to evaluate:\nSay\nhi.\n\n"
    rubric += "###Response to evaluate:\n{}\n\n###Score Rubrics:\n[Kind?]\n\n###Feedback: "
    given = {"source": "honest"} | {
        f"{s}_instruction": rubric.format(t) for s, t in (("chosen", "hi"), ("rejected", "no"))
    }
    [row] = judged(tmp_path / "hhh.jsonl", "prometheus", [given])
    assert verdicts([row]) == [("hi", "no", 1.0)]
    assert (row.instruction, row.subset, row.annotator_kind) == ("Say\nhi.", "honest", GOLD)


def test_auto_j_labels_of_a_judge_are_joined_with_the_test_set(tmp_path: Path) -> None:
    texts = [
        {"scenario": "chat", "label": 2, "prompt": prompt, "response 1": "hi", "response 2": "no"}
        for prompt in ("Say hi.", "Greet.", "Wave.")
    ]
    for folder in ("test", "outputs"):
        (tmp_path / folder).mkdir()
    for name in ("pairwise_judge", "pairwise_exchange_judge"):
        labels = [{"output": label} for label in (0, 1, 2)]
        (tmp_path / "outputs" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, labels)))
    with pytest.raises(FormatError, match="these labels have no texts"):
        guessed(tmp_path / "outputs" / "pairwise_judge.jsonl", "auto-j")
    test_set = tmp_path / "test" / "testdata_pairwise.jsonl"
    test_set.write_text("\n".join(map(json.dumps, texts)))
    found = guessed(tmp_path / "outputs" / "pairwise_judge.jsonl", "auto-j")
    found += guessed(tmp_path / "outputs" / "pairwise_exchange_judge.jsonl", "auto-j")
    rows = [row for row in found if isinstance(row, PreferenceRow)]
    assert [(row.preference, row.order_swapped) for row in rows] == [
        (1.0, False), (0.0, False), (0.5, False), (0.0, True), (1.0, True), (0.5, True),
    ]  # fmt: skip
    assert {(row.annotator, row.annotator_kind, row.subset) for row in rows} == {
        ("pairwise_judge", LLM, "chat")
    }
    assert (rows[1].instruction, rows[1].output_1) == ("Greet.", "hi")
    test_set.write_text(json.dumps(texts[0]))
    with pytest.raises(FormatError, match="3 labels are not of the 1 rows of"):
        guessed(tmp_path / "outputs" / "pairwise_judge.jsonl", "auto-j")


def test_flat_open_assistant_messages_are_put_together(tmp_path: Path) -> None:
    def message(name: str, parent: str | None, role: str, text: str, **more: Any) -> dict[str, Any]:
        given = {"message_id": name, "parent_id": parent, "role": role, "text": text, "lang": "en"}
        return given | {"message_tree_id": "a", "rank": None, "deleted": False} | more

    rows = [
        message("a", None, "prompter", "Say hi."),
        message("e", "d", "assistant", "nope", rank=0),
        message("b", "a", "assistant", "hi", rank=0),
        message("c", "a", "assistant", "!", rank=1, model_name="m"),
        message("x", "a", "assistant", "gone", rank=2, deleted=True),
        message("d", "b", "prompter", "And no?"),
        message("f", "d", "assistant", "no", rank=1),
        message("g", "lost", "assistant", "?", rank=0),
        message("h", "g", "prompter", "Why?"),
    ]
    refused, below, *found = shaped(tmp_path / "x.jsonl", "oasst", rows)
    assert refused == Refusal(8, "the message 'lost' that this one replies to is in no tree of the file")
    assert below == Refusal(9, "the message 'g' that this one replies to is in no tree of the file")
    judged_rows = [row for row in found if isinstance(row, PreferenceRow)]
    assert verdicts(judged_rows) == [("hi", "!", 1.0), ("nope", "no", 1.0)]
    assert [row.instruction for row in judged_rows] == [
        "Say hi.",
        "User: Say hi.\n\nAssistant: hi\n\nUser: And no?",
    ]
    assert (judged_rows[0].output_2_model, judged_rows[0].subset) == ("m", "en")
