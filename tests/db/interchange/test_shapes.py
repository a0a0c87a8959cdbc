"""The field's benchmarks and sets by their marks: the right counts, sides, models and subsets."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import FormatError
from db.interchange import FORMATS, guess
from db.interchange.files import objects
from db.interchange.rows import ImportedInstruction, ImportedPair, PreferenceRow, ReadOptions, Refusal
from db.records import AnnotatorKind, AspectVerdict, Degree
from tests.support.shapes import judged, shaped

GOLD, HUMAN, LLM, RM = AnnotatorKind.GOLD, AnnotatorKind.HUMAN, AnnotatorKind.LLM, AnnotatorKind.REWARD_MODEL


def sides(rows: list[PreferenceRow]) -> list[tuple[str, str, float | None]]:
    return [(row.output_1, row.output_2, row.preference) for row in rows]


@pytest.mark.parametrize(("label", "expected"), [(0, 1.0), (1, 0.0), (2, 0.5)])
def test_auto_j(tmp_path: Path, label: int, expected: float) -> None:
    given = {"scenario": "chat", "prompt": "Say hi.", "response 1": "hi", "response 2": "no", "label": label}
    [row] = judged(tmp_path / "x.jsonl", "auto-j", [given])
    assert (row.output_1, row.preference, row.subset, row.annotator_kind) == ("hi", expected, "chat", HUMAN)
    assert row.preference_raw == label


def test_llm_bar(tmp_path: Path) -> None:
    given = {"input": "Say hi.", "output_1": "no", "output_2": "hi", "label": 2}
    path = tmp_path / "Dataset" / "LLMBar" / "Adversarial" / "Neighbor" / "dataset.jsonl"
    [row] = judged(path, "llmbar", [given])
    assert (row.instruction, row.preference, row.subset) == ("Say hi.", 0.0, "Adversarial/Neighbor")
    assert (row.annotator, row.annotator_kind) == ("llmbar-gold", GOLD)


def test_llm_bar_has_a_judges_winner_in_both_orders(tmp_path: Path) -> None:
    given: dict[str, Any] = {"input": "Say hi.", "output_1": "no", "output_2": "hi", "label": 2}
    said = {"completion": ["Output (a)", "stop"], "winner": "1"}
    games = {"swap = False": said, "swap = True": {"winner": None}}
    scores = {"score_1": ["0", "stop"], "score_2": ["6", "stop"]}
    folder = tmp_path / "Dataset" / "LLMBar" / "Natural" / "evaluators" / "GPT-4" / "Rating"
    gold, first, turned = judged(folder / "result.jsonl", "llmbar", [given | {"results": [games | scores]}])
    assert (gold.annotator, gold.preference, gold.subset) == ("llmbar-gold", 0.0, "Natural")
    assert (first.annotator, first.preference, first.annotator_kind) == ("GPT-4/Rating", 1.0, LLM)
    assert (first.order_swapped, first.raw_completion, first.scores) == (False, "Output (a)", (0, 6))
    assert (turned.order_swapped, turned.preference, turned.subset) == (True, None, "Natural")


def test_judge_bench_has_a_label_and_the_decisions_of_a_judge_in_both_orders(tmp_path: Path) -> None:
    given = {"pair_id": "p", "source": "maths", "question": "1+1?", "response_model": "gpt", "label": "B>A"}
    given |= {"response_A": "3", "response_B": "2"}
    said = {"judge_model": "haiku", "response": "My verdict"}
    games = [{"judgment": said, "decision": decision} for decision in ("B>A", "B>A", None)]
    scored = [{"judgment": {"judge_model": "grm", "scores": [1.5, -2]}, "decision": "A>B"}]
    told: dict[str, Any] = {"judge_name": "arena_hard", "judgments": games[:2]}
    by_model: dict[str, Any] = {"judge_name": "reward_model", "judgments": scored * 2}
    given_rows = [given, given | told, given | {"judgments": games[2:]}, given | by_model]
    rows = judged(tmp_path / "x.jsonl", "judgebench", given_rows)
    assert sides(rows) == [("3", "2", p) for p in (0.0, 0.0, 0.0, 1.0, 0.0, None, 0.0, 1.0)]
    assert [row.order_swapped for row in rows] == [None, None, False, True, None, False, None, None]
    assert [row.annotator for row in rows[2:4]] == ["haiku/arena_hard"] * 2
    assert (rows[-1].annotator, rows[-1].annotator_kind, rows[-1].scores) == (
        "grm/reward_model",
        RM,
        (1.5, -2),
    )
    assert rows[2].raw_completion == "My verdict"
    assert (rows[2].annotator_kind, rows[0].annotator_kind, rows[0].subset) == (LLM, GOLD, "maths")
    assert rows[0].output_1_model == rows[0].output_2_model == "gpt"


@pytest.mark.parametrize(("label", "expected"), [(1, 1.0), (0, 0.0)])
def test_shp_labels_are_1_for_a(tmp_path: Path, label: int, expected: float) -> None:
    given = {"post_id": "p", "domain": "askbakers", "history": "Why?", "human_ref_A": "a", "human_ref_B": "b"}
    given_scores: dict[str, Any] = {"labels": label, "score_A": 9, "score_B": 4, "score_ratio": 2.25}
    [row] = judged(tmp_path / "x.jsonl", "shp", [given | given_scores])
    assert (row.output_1, row.preference, row.scores, row.subset) == ("a", expected, (9, 4), "askbakers")
    assert row.meta == {"score_ratio": 2.25}


@pytest.mark.parametrize(("number", "expected"), [(-3, 1.0), (-1, 1.0), (0, 0.5), (2, 0.0)])
def test_help_steer_is_negative_for_the_first(tmp_path: Path, number: int, expected: float) -> None:
    context = [{"role": "user", "content": "Say hi."}]
    given: dict[str, Any] = {"domain": "code", "context": context, "response1": "hi", "response2": "no"}
    [row] = judged(tmp_path / "3.jsonl", "helpsteer3", [given | {"overall_preference": number}])
    assert (row.instruction, row.output_1, row.preference, row.subset) == ("Say hi.", "hi", expected, "code")
    given = {"prompt": "Say hi.", "response_1": "hi", "response_2": "no", "preference_strength": number}
    [row] = judged(tmp_path / "2.jsonl", "helpsteer2", [given])
    assert (row.output_1, row.preference, row.preference_raw) == ("hi", expected, number)
    assert row.degree == Degree(abs(number), 3)


def test_a_strength_beyond_the_scale_is_none(tmp_path: Path) -> None:
    given = {"prompt": "Say hi.", "response_1": "hi", "response_2": "no", "preference_strength": 8}
    [row] = judged(tmp_path / "2.jsonl", "helpsteer2", [given])
    assert (row.preference, row.degree) == (0.0, None)


def test_help_steer_2_scores_compare_responses_to_one_prompt(tmp_path: Path) -> None:
    rows = [
        {"prompt": prompt, "response": response, "helpfulness": score, "correctness": 1}
        for prompt, response, score in (("x", "a", 2), ("x", "b", 4), ("y", "c", 3), ("y", "d", 3))
    ]
    found = judged(tmp_path / "x.jsonl", "helpsteer2", rows)
    assert sides(found) == [("a", "b", 0.0), ("c", "d", 0.5)]
    assert (found[0].scores, found[0].meta) == ((2, 4), {"correctness": [1, 1]})
    both = (AspectVerdict("helpfulness", 0.0, 2, 4), AspectVerdict("correctness", 0.5, 1, 1))
    assert found[0].aspects == both


def test_ultra_feedback_compares_each_two_completions(tmp_path: Path) -> None:
    aspects = {"truthfulness": {"Rating": "5"}, "honesty": {"Rating": "2"}, "helpfulness": {"Rating": "N/A"}}
    completions: list[dict[str, Any]] = [
        {"model": "m1", "response": "a", "fine-grained_score": 4.0, "overall_score": 10},
        {"model": "m2", "response": "b", "fine-grained_score": 4.5, "overall_score": 1},
        {"model": "m3", "response": "c", "annotations": aspects},
    ]
    other = {"honesty": {"Rating": "3"}, "truthfulness": {"Rating": "1"}, "helpfulness": {"Rating": "4"}}
    completions[1]["annotations"] = other
    given = {"source": "evol", "instruction": "Say hi.", "models": [], "completions": completions}
    rows = judged(tmp_path / "x.jsonl", "ultrafeedback", [given])
    assert [row.aspects for row in rows[:2]] == [(), ()]
    assert rows[2].aspects == (AspectVerdict("honesty", 1.0, 3, 2), AspectVerdict("truthfulness", 0.0, 1, 5))
    assert sides(rows) == [("a", "b", 0.0), ("a", "c", 1.0), ("b", "c", 1.0)]
    assert [row.scores for row in rows] == [(4.0, 4.5), (4.0, 3.5), (4.5, 3.5)]
    assert (rows[0].output_2_model, rows[0].subset, rows[0].annotator_kind) == ("m2", "evol", LLM)


def test_reward_bench_keeps_models_and_subset(tmp_path: Path) -> None:
    given = {"prompt": "x", "chosen": "a", "chosen_model": "m1", "rejected": "b", "rejected_model": "m2"}
    [row] = judged(tmp_path / "x.jsonl", "rewardbench", [given | {"subset": "donotanswer", "id": 5}])
    assert (row.output_1_model, row.output_2_model, row.subset) == ("m1", "m2", "donotanswer")
    assert (row.preference, row.annotator_kind, row.instruction_id) == (1.0, GOLD, "5")


def test_lists_of_chosen_and_rejected_are_compared_each_with_each(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "id": 1,
        "prompt": "x",
        "chosen": ["a", "b"],
        "rejected": ["c", "d"],
        "domain": "chat",
    }
    rows = judged(tmp_path / "rm.jsonl", "reward-lists", [given])
    assert sides(rows) == [(c, r, 1.0) for c in "ab" for r in "cd"]
    assert [(row.meta["chosen_place"], row.meta["rejected_place"]) for row in rows] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert {row.subset for row in rows} == {"chat"}
    given = {
        "prompt": "x",
        "chosen": ["a"],
        "rejected": ["c", "d"],
        "models": ["m1", "m2", "m3"],
        "subset": "Focus",
    }
    rows = judged(tmp_path / "rb2.jsonl", "reward-lists", [given])
    assert [(row.output_1_model, row.output_2_model) for row in rows] == [("m1", "m2"), ("m1", "m3")]
    assert {row.subset for row in rows} == {"Focus"}


def test_a_list_that_repeats_a_text_makes_one_pair_of_it_with_all_its_places(tmp_path: Path) -> None:
    given = {"id": 1, "prompt": "x", "chosen": ["a", "b", "b"], "rejected": ["c", "d"], "domain": "chat"}
    rows = judged(tmp_path / "rm.jsonl", "reward-lists", [given])
    assert sides(rows) == [(c, r, 1.0) for c in "ab" for r in "cd"]
    assert [row.meta.get("chosen_places") for row in rows] == [None, None, [1, 2], [1, 2]]
    assert [row.meta["chosen_place"] for row in rows] == [0, 0, 1, 1]


def test_orca_has_a_system_text_perhaps(tmp_path: Path) -> None:
    given = {"system": "", "question": "Say hi.", "chosen": "hi", "rejected": "no"}
    bare, led = judged(tmp_path / "x.jsonl", "orca", [given, given | {"system": "Be kind."}])
    assert (bare.instruction, bare.output_1, bare.preference) == ("Say hi.", "hi", 1.0)
    assert led.instruction == "System: Be kind.\n\nUser: Say hi."


def test_medical_gpt(tmp_path: Path) -> None:
    given: dict[str, Any] = {"system": "", "history": [["a", "b"]], "question": "c"}
    [row] = judged(
        tmp_path / "x.jsonl", "medical-gpt", [given | {"response_chosen": "d", "response_rejected": "e"}]
    )
    assert row.instruction == "User: a\n\nAssistant: b\n\nUser: c"
    assert sides([row]) == [("d", "e", 1.0)]


def test_argilla(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "source": "s",
        "instruction": "x",
        "chosen_response": "a",
        "rejected_response": "b",
    }
    given |= {
        "chosen_model": "m1",
        "rejected_model": "m2",
        "chosen_avg_rating": 5,
        "rejected_avg_rating": 3.5,
    }
    [row] = judged(tmp_path / "x.jsonl", "argilla", [given])
    assert (row.output_1_model, row.output_2_model, row.scores, row.subset) == ("m1", "m2", (5, 3.5), "s")
    given = {"input": "x", "generations": ["a", "b"], "rating": [3, 4], "generation_models": ["m1", "m2"]}
    [row] = judged(tmp_path / "y.jsonl", "argilla", [given | {"labelling_model": "gpt-4"}])
    assert sides([row]) == [("a", "b", 0.0)]
    assert (row.annotator, row.output_2_model) == ("gpt-4", "m2")


def test_prometheus(tmp_path: Path) -> None:
    given = {"orig_instruction": "x", "orig_response_A": "a", "orig_response_B": "b", "orig_preference": "B"}
    [row] = judged(tmp_path / "pairs.jsonl", "prometheus", [given])
    assert sides([row]) == [("a", "b", 0.0)]
    rubric = "###Task\n\n###The instruction to evaluate:\nx\n\n"
    rubric += "###Response to evaluate:\n{}\n\n###Reference Answer (Score 5):\nr"
    rows = [
        {
            "instruction": rubric.format(said),
            "gpt4_score": scores,
            "gpt4_feedback": [],
            "response_source": model,
        }
        for said, scores, model in (("a", [3, 2, 3], "m1"), ("b", [3, 3, 3], "m2"))
    ]
    [row] = judged(tmp_path / "scores.jsonl", "prometheus", rows)
    assert sides([row]) == [("a", "b", 0.0)]
    assert (row.instruction, row.output_1_model, row.annotator) == ("x", "m1", "gpt-4")


def test_open_assistant_compares_ranked_replies_at_every_turn(tmp_path: Path) -> None:
    def message(role: str, text: str, *replies: dict[str, Any], rank: int | None = None) -> dict[str, Any]:
        return {"role": role, "text": text, "rank": rank, "lang": "en", "replies": list(replies)}

    later = message(
        "prompter", "And no?", message("assistant", "no", rank=1), message("assistant", "nope", rank=0)
    )
    tree = message(
        "prompter", "Say hi.", message("assistant", "hi", later, rank=0), message("assistant", "!", rank=1)
    )
    first, second = judged(tmp_path / "x.jsonl", "oasst", [{"message_tree_id": "t", "prompt": tree}])
    assert (first.instruction, *sides([first])[0]) == ("Say hi.", "hi", "!", 1.0)
    assert second.instruction == "User: Say hi.\n\nAssistant: hi\n\nUser: And no?"
    assert sides([second]) == [("no", "nope", 0.0)]
    bare = shaped(
        tmp_path / "y.jsonl", "oasst", [{"message_tree_id": "t", "prompt": message("prompter", "Hi.")}]
    )
    assert [type(row) for row in bare] == [ImportedInstruction]


ONE = (
    "[User Question]\nSay hi.\n\n"
    "[The Start of Assistant A's Answer]\nhi\n[The End of Assistant A's Answer]\n\n"
    "[The Start of Assistant B's Answer]\nno\n[The End of Assistant B's Answer]"
)
TALK = (
    "<|The Start of Assistant {0}'s Conversation with User|>\n\n"
    "### User:\nSay hi.\n\n### Assistant {0}:\n{1}\n\n"
    "### User:\nAgain.\n\n### Assistant {0}:\n{2}\n\n"
    "<|The End of Assistant {0}'s Conversation with User|>"
)


def test_mt_bench_games_are_two_judgements_in_two_orders(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "question_id": 81,
        "model_1": "m1",
        "model_2": "m2",
        "judge": ["gpt-4", "pair-v2"],
        "turn": 1,
    }
    given |= {"g1_winner": "model_1", "g2_winner": "tie", "g1_user_prompt": ONE, "g2_user_prompt": ONE}
    two = f"{TALK.format('A', 'hi', 'hi hi')}\n\n\n{TALK.format('B', 'no', 'never')}"
    given_2 = given | {"g1_user_prompt": two, "turn": 2, "g1_winner": "model_2", "g2_winner": "error"}
    first, again, later, error = judged(tmp_path / "x.jsonl", "mt-bench", [given, given_2])
    assert sides([first, again]) == [("hi", "no", 1.0), ("hi", "no", 0.5)]
    assert [row.order_swapped for row in (first, again)] == [False, True]
    assert (first.annotator, first.annotator_kind, first.output_1_model) == ("gpt-4/pair-v2", LLM, "m1")
    assert (later.output_1, later.preference) == ("Assistant: hi\n\nUser: Again.\n\nAssistant: hi hi", 0.0)
    assert (error.preference, error.reason) == (None, "no verdict in the source")
    refused = shaped(tmp_path / "y.jsonl", "mt-bench", [given | {"g1_user_prompt": "hm"}])
    assert [type(row) for row in refused] == [Refusal]


def test_the_arena_csv_has_json_in_its_cells(tmp_path: Path) -> None:
    names = ["id", "model_a", "model_b", "prompt", "response_a", "response_b"]
    names += ["winner_model_a", "winner_model_b", "winner_tie"]
    cells = [7, "m1", "m2", '["Say hi."]', '["hi"]', "[null]"]
    with (tmp_path / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([names, [*cells, 0, 1, 0], [*cells, 0, 0, 1], [*cells, 1, 1, 0]])
    path = tmp_path / "train.csv"
    assert guess(next(objects(path))[1]) == "arena-csv"
    lost, tied, both = FORMATS["arena-csv"].read(path, ReadOptions())
    assert isinstance(lost, PreferenceRow)
    assert isinstance(tied, PreferenceRow)
    assert (lost.instruction, *sides([lost])[0]) == ("Say hi.", "hi", "", 0.0)
    assert (lost.output_1_model, lost.instruction_id, tied.preference) == ("m1", "7", 0.5)
    assert isinstance(both, Refusal)


def test_panda_lm_verdicts_are_joined_with_the_texts_beside_them(tmp_path: Path) -> None:
    texts = {
        "idx": 0,
        "instruction": "Say hi.",
        "input": "",
        "response1": "hi",
        "response2": "no",
        "annotator1": 1,
    }
    (tmp_path / "gpt.json").write_text(
        json.dumps([{"idx": 0, "gpt_result": "2", "gpt_reason": "r"}, {"idx": 9, "gpt_result": "Tie"}])
    )
    with pytest.raises(FormatError, match="these verdicts have no texts"):
        list(FORMATS["pandalm"].read(tmp_path / "gpt.json", ReadOptions()))
    (tmp_path / "testset.json").write_text(json.dumps([texts]))
    assert guess(next(objects(tmp_path / "gpt.json"))[1]) == "pandalm"
    row, refused = FORMATS["pandalm"].read(tmp_path / "gpt.json", ReadOptions())
    assert isinstance(row, PreferenceRow)
    assert (row.instruction, *sides([row])[0], row.annotator) == ("Say hi.", "hi", "no", 0.0, "gpt")
    assert isinstance(refused, Refusal)


def test_alpaca_farm_pairs_without_a_verdict_are_still_to_be_judged(tmp_path: Path) -> None:
    given = {"instruction": "Say hi.", "input": "", "output_1": "hi", "output_2": "no"}
    assert shaped(tmp_path / "x.jsonl", "alpaca-farm", [given]) == [
        ImportedPair("alpaca_farm", "Say hi.", "", "hi", "no")
    ]
