"""A rubric: every criterion of both outputs is read, in every usual form, or the reply is unreadable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotators.judgement import Verdict
from annotators.parsers import ReplyText, parser_of, parser_problems, read_verdicts
from annotators.spec import AnnotatorSpec, ParserSpec
from db.ids import Json
from db.records import AnnotatorKind


def spec(**options: Json) -> AnnotatorSpec:
    return replace(AnnotatorSpec("x", AnnotatorKind.LLM), parser=ParserSpec("rubric", options))


WEIGHTED = spec(criteria={"helpfulness": 2, "honesty": 1})


def read(text: str, annotator: AnnotatorSpec = WEIGHTED) -> Verdict:
    return read_verdicts(parser_of(annotator), ReplyText(text), 1)[0]


@pytest.mark.parametrize(
    "text",
    [
        "A helpfulness: 7\nA honesty: 5\nB helpfulness: 4\nB honesty: 6",
        "Helpfulness: A 7, B 4\nHonesty: A 5, B 6",
        "Helpfulness - A: 7/10, B: 4/10\nHonesty - A: 5/10, B: 6/10",
        "## Output A\n- Helpfulness: 7\n- Honesty: 5\n## Output B\n- Helpfulness: 4\n- Honesty: 6",
        "**Helpfulness**\n- A: 7\n- B: 4\n**Honesty**\n- A: 5\n- B: 6",
        '{"A": {"helpfulness": 7, "honesty": 5}, "B": {"helpfulness": 4, "honesty": 6}}',
        '{"helpfulness": {"A": 7, "B": 4}, "honesty": {"A": 5, "B": 6}}',
        "| criterion | A | B |\n|---|---|---|\n| Helpfulness | 7 | 4 |\n| Honesty | 5 | 6 |",
        "| criterion | B | A |\n|---|---|---|\n| Helpfulness | 4 | 7 |\n| Honesty | 6 | 5 |",
        "1. Helpfulness (a measure of use): A: 7 out of 10, B: 4 out of 10\n2. Honesty: A: 5, B: 6",
        "<think>Helpfulness: A 1, B 9</think>Helpfulness: A 7, B 4\nHonesty: A 5, B 6",
    ],
)
def test_one_score_for_each_criterion_and_output(text: str) -> None:
    """By hand: (2 * 7 + 5) / 3 = 6.333 and (2 * 4 + 6) / 3 = 4.667."""
    used = "helpfulness 7 to 4, honesty 5 to 6; weighted mean 6.333 to 4.667"
    assert read(text) == Verdict(1.0, used)


def test_weights_decide() -> None:
    text = "Helpfulness: A 7, B 4\nHonesty: A 2, B 8"
    assert read(text, spec(criteria=["helpfulness", "honesty"])).first == 0.0  # 4.5 to 6
    assert (
        read(text, spec(criteria={"helpfulness": 2, "honesty": 1})).first == 0.5
    )  # 5.33 to 5.33: (14 + 2) and (8 + 8), each by 3
    assert read(text, spec(criteria={"helpfulness": 5, "honesty": 1})).first == 1.0  # 6.17 to 4.67


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A: 7\nB: 4", "no score for helpfulness of A"),
        ("Helpfulness: A 7, B 4", "no score for honesty of A"),
        ("Helpfulness: A 17, B 4\nHonesty: A 5, B 6", "helpfulness of A: 17 is not in 1 to 10"),
        ("Output A\nHelpfulness: 7\nHonesty: 5\nOutput B\nHelpfulness: 4", "no score for honesty of B"),
    ],
)
def test_a_rubric_with_a_score_missing_is_unreadable(text: str, reason: str) -> None:
    assert read(text) == Verdict(None, reason)


@pytest.mark.parametrize("criteria", [None, [], {}, {"x": 0}, {"x": "much"}, [3], "x"])
def test_criteria_are_names_with_weights(criteria: Json) -> None:
    assert any("criteria" in each for each in parser_problems(spec(criteria=criteria)))
