"""Usual forms of verdicts and ratings: boxes, tags, brackets, tables, JSON."""

from __future__ import annotations

import pytest

from annotators.parsers import ReplyText, parser_of, read_verdicts
from annotators.spec import AnnotatorSpec, ParserSpec
from db.records import AnnotatorKind

START, END = ParserSpec("verdict", {"start": True}), ParserSpec("verdict")
RATING, JSON = ParserSpec("rating"), ParserSpec("json")


def verdict(parser: ParserSpec, text: str) -> float | None:
    annotator = AnnotatorSpec("x", AnnotatorKind.LLM, parser=parser)
    return read_verdicts(parser_of(annotator), ReplyText(text), 1)[0].first


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{B}",
        "$\\boxed{\\text{B}}$",
        "I compared both. The answer is \\boxed{B}.",
        "Verdict: \\boxed{\\mathbf{Output B}}",
        "<verdict>B</verdict>",
        "Reasons: A is long.\n<answer>\nOutput B\n</answer>",
        "Feedback: A is worse. [RESULT] B",
        "[VERDICT]: B",
        "Verdict: B (Output B)",
        "Verdict: B [B]",
        "Verdict: $B$",
        "Verdict: {B}",
        "Verdict: <B>",
        "<b>Verdict: B</b>",
        "Verdict: ✅ B",
        "Better: B",
        "判定：B",
        "Urteil: B",
    ],
)
def test_usual_forms_of_a_verdict(text: str) -> None:
    assert verdict(START, text) == verdict(END, text) == 0


@pytest.mark.parametrize(
    "text", ["Verdict: <b>A</b> or B?", "\\boxed{42}", "<answer>42</answer>", "[RESULT] 3"]
)
def test_other_things_in_such_forms_are_no_verdict(text: str) -> None:
    assert verdict(START, text) is verdict(END, text) is None


@pytest.mark.parametrize(
    "text",
    [
        "A: 7, B: 4",
        "A=7 B=4",
        "A: 7/10; B: 4/10",
        "A (7), B (4)",
        "Output A gets 7 and Output B gets 4.",
        '{"A": 7, "B": 4}',
        '{"score_A": 7, "score_B": 4}',
        '{"A": {"score": 7}, "B": {"score": 4}}',
        "| A | 7 |\n| B | 4 |",
        "| | Output A | Output B |\n|---|---|---|\n| Score | 7 | 4 |",
        "| | B | A |\n|---|---|---|\n| Tone | 9 | 1 |\n| Overall | 4 | 7 |",
    ],
)
def test_usual_forms_of_ratings(text: str) -> None:
    assert verdict(RATING, text) == 1


def test_a_table_of_several_rows_without_a_whole_is_no_rating() -> None:
    assert verdict(RATING, "| | A | B |\n|---|---|---|\n| Tone | 9 | 1 |\n| Style | 4 | 7 |") is None


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('{"Better": "B"}', 0),
        ('{"better": ["B"]}', 0),
        ('{"better": "Output B is better."}', 0),
        ('{"better": "tie"}', 0.5),
        ('{"better": null}', None),
        ('{"better": [1]}', None),
    ],
)
def test_usual_forms_of_json_verdicts(text: str, first: float | None) -> None:
    assert verdict(JSON, text) == first
