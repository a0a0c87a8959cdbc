"""A model's results of RewardBench, as its own scripts write them, joined with the set beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import FormatError
from db.interchange import FORMATS, guess
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal
from db.interchange.writing import write_objects
from db.records import AnnotatorKind
from tests.support.command_line import told

ITEMS = [
    {"prompt": f"{number}+1?", "chosen": f"{number + 1}", "rejected": "no", "chosen_model": "m",
     "rejected_model": "n", "subset": subset, "id": number}
    for number, subset in ((1, "math"), (2, "math"), (1, "code"))
]  # fmt: skip
RESULTS: dict[str, Any] = {
    "text_chosen": [f"<|user|>\n{each['prompt']}\n<|assistant|>\n{each['chosen']}" for each in ITEMS],
    "text_rejected": [f"<|user|>\n{each['prompt']}\n<|assistant|>\nno" for each in ITEMS],
    "results": [1, 0, 0],
    "subset": ["math", "math", "code"],
    "id": [1, 2, 1],
    "scores_chosen": [2.5, -1.0, [0.5]],
    "scores_rejected": [0.5, 3.0, [0.5]],
    "model": "org/scorer",
    "model_type": "Seq. Classifier",
    "chat_template": "tulu",
}
LISTED = {
    "prompt": "Name a colour.",
    "chosen": ["red", "blue"],
    "rejected": ["cat", "dog"],
    "models": ["a", "b", "c", "d"],
}


def rows(folder: Path, results: dict[str, Any]) -> list[PreferenceRow]:
    path = folder / "eval-set-scores" / "scorer.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results))
    assert guess(results) == "rewardbench-results"
    found = list(FORMATS["rewardbench-results"].read(path, ReadOptions()))
    assert all(isinstance(each, PreferenceRow) for each in found), found
    return [each for each in found if isinstance(each, PreferenceRow)]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_reward_models_scores_decide_and_equal_ones_are_a_tie(tmp_path: Path, ending: str) -> None:
    write_objects(ITEMS, tmp_path / f"filtered{ending}")
    found = rows(tmp_path, RESULTS)
    assert [each.preference for each in found] == [1.0, 0.0, 0.5]
    assert [each.scores for each in found] == [(2.5, 0.5), (-1.0, 3.0), (0.5, 0.5)]
    assert {(each.annotator, each.annotator_kind) for each in found} == {
        ("org/scorer", AnnotatorKind.REWARD_MODEL)
    }
    gold = list(FORMATS["rewardbench"].read(tmp_path / f"filtered{ending}", ReadOptions()))
    same = ("source", "subset", "instruction", "output_1", "output_2", "output_1_model", "instruction_id")
    for said, right in zip(found, gold, strict=True):
        assert [getattr(said, name) for name in same] == [getattr(right, name) for name in same]


def test_a_judge_without_scores_is_believed_by_its_results(tmp_path: Path) -> None:
    write_objects(ITEMS, tmp_path / "set.jsonl")
    asked = {name: value for name, value in RESULTS.items() if not name.startswith("scores")}
    found = rows(tmp_path, asked | {"model_type": "Generative RM", "results": [1, 0.5, 0]})
    assert [(each.preference, each.scores) for each in found] == [(1.0, None), (0.5, None), (0.0, None)]
    assert {each.annotator_kind for each in found} == {AnnotatorKind.LLM}


def test_each_chosen_text_of_reward_bench_2_is_compared_with_each_rejected_one(tmp_path: Path) -> None:
    write_objects([LISTED | {"subset": "Ties", "id": "7", "num_correct": 2}], tmp_path / "rb2.jsonl")
    scores = {"text": [["..."] * 4], "scores": [[4.0, 1.0, 2.0, 1.0]], "results": [0.5], "num_correct": [2]}
    found = rows(
        tmp_path,
        scores | {"subset": ["Ties"], "id": ["7"], "model": "scorer", "model_type": "Seq. Classifier"},
    )
    assert [(each.output_1, each.output_2, each.preference) for each in found] == [
        ("red", "cat", 1.0),
        ("red", "dog", 1.0),
        ("blue", "cat", 0.0),
        ("blue", "dog", 0.5),
    ]
    assert [(each.output_1_model, each.output_2_model) for each in found] == [
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
    ]
    assert {each.source for each in found} == {"rb2"}


def test_the_set_is_found_beside_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    write_objects(ITEMS, tmp_path / "set.jsonl")
    (tmp_path / "results" / "scorer.json").write_text(json.dumps(RESULTS))
    report = told(tmp_path / "farm.db", "import", "rewardbench-results", tmp_path / "results" / "scorer.json")
    assert (report["kept"], report["refused"]) == (3, 0)


def test_what_the_set_does_not_hold_once_is_refused(tmp_path: Path) -> None:
    write_objects([*ITEMS[:2], ITEMS[1]], tmp_path / "set.jsonl")
    path = tmp_path / "scorer.json"
    path.write_text(json.dumps(RESULTS))
    first, twice, missing = FORMATS["rewardbench-results"].read(path, ReadOptions())
    assert isinstance(first, PreferenceRow)
    assert twice == Refusal(2, "the set has 2 items of the subset 'math' and the id 2")
    assert missing == Refusal(3, "the set has 0 items of the subset 'code' and the id 1")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({}, "have no texts apart from their prompts"), ({"results": [1]}, "not lists of one length")],
)
def test_results_that_are_of_no_set_are_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    (folder / "scorer.json").write_text(json.dumps(RESULTS | change))
    with pytest.raises(FormatError, match=reason):
        list(FORMATS["rewardbench-results"].read(folder / "scorer.json", ReadOptions()))
