"""A rubric: every criterion of both outputs is read, in every usual form, or the reply is unreadable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from annotators.judgement import Verdict
from annotators.parsers import ReplyText, parser_of, parser_problems, read_verdicts
from annotators.spec import AnnotatorSpec, ParserSpec
from db.ids import Json
from db.records import AnnotatorKind, AspectVerdict


def spec(parser: str = "rubric", prompt: str = "", **options: Json) -> AnnotatorSpec:
    return replace(AnnotatorSpec("x", AnnotatorKind.LLM, prompt=prompt), parser=ParserSpec(parser, options))


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
    by_each = (AspectVerdict("helpfulness", 1.0, 7.0, 4.0), AspectVerdict("honesty", 0.0, 5.0, 6.0))
    assert read(text) == Verdict(1.0, used, aspects=by_each)


def test_soft_says_how_much_of_the_weight_is_won() -> None:
    text = "Helpfulness: A 7, B 4\nHonesty: A 5, B 6"
    assert read(text, spec(criteria={"helpfulness": 3, "honesty": 1}, soft=True)).first == 0.75
    assert (
        read(
            "Helpfulness: A 7, B 7\nHonesty: A 5, B 6", spec(criteria=["helpfulness", "honesty"], soft=True)
        ).first
        == 0.25
    )


LISTED = spec("checklist", criteria=["right_form", "true to it"])


@pytest.mark.parametrize(
    "text",
    [
        "right_form: A yes, B yes\ntrue to it: A no, B yes",
        "**Right form**: A: Yes, B: Yes.\n**True to it**: A: No, B: Yes.",
        "## Output A\n- right form: yes\n- true to it: no\n## Output B\n- right form: yes\n- true to it: yes",
        '{"A": {"right_form": true, "true to it": false}, "B": {"right_form": true, "true to it": true}}',
        "| item | A | B |\n|---|---|---|\n| right form | yes | yes |\n| true to it | no | yes |",
        "1. right form - Output A: yes, Output B: yes\n2. true to it - Output A: no, Output B: yes",
    ],
)
def test_a_checklist_is_a_rubric_of_yes_and_no(text: str) -> None:
    said = read(text, LISTED)
    assert (said.first, said.reason) == (
        0.0,
        "right_form 1 to 1, true to it 0 to 1; weighted mean 0.5 to 1",
    )
    assert [(each.name, each.preference) for each in said.aspects] == [
        ("right_form", 0.5),
        ("true to it", 0.0),
    ]


@pytest.mark.parametrize("text", ["right_form: A yes, B yes", "right form: A 1, B 0\ntrue to it: A 1, B 1"])
def test_a_checklist_with_an_item_unanswered_is_unreadable(text: str) -> None:
    said = read(text, LISTED)
    assert said.first is None
    assert said.reason is not None
    assert said.reason.startswith("no answer for")


BY_EACH = spec("aspects", criteria={"helpfulness": 2, "honesty": 1})


@pytest.mark.parametrize(
    "text",
    [
        "helpfulness: A\nhonesty: tie",
        "1. **Helpfulness**: Output A\n2. **Honesty**: Tie",
        "- Helpfulness - A is better, because it answers.\n- Honesty - equal",
        '{"helpfulness": "A", "honesty": "tie"}',
        "| criterion | better |\n|---|---|\n| helpfulness | A |\n| honesty | tie |",
        "helpfulness: B\nOn second thought:\nhelpfulness: [[A]]\nhonesty: both",
        "HELPFULNESS = (A)\nHONESTY = draw",
    ],
)
def test_a_verdict_for_each_criterion(text: str) -> None:
    """By hand: A has 2 of 3 and half of 1 of 3, which is 0.833."""
    said = read(text, BY_EACH)
    assert (said.first, said.reason) == (
        1.0,
        "helpfulness 1 to 0, honesty 0.5 to 0.5; weighted mean 0.8333 to 0.1667",
    )
    assert said.aspects == (AspectVerdict("helpfulness", 1.0), AspectVerdict("honesty", 0.5))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A", "no verdict on helpfulness"),
        ("helpfulness: A", "no verdict on honesty"),
        ("helpfulness: A\nhonesty: I cannot say", "no verdict on honesty"),
        ("helpfulness: A or B\nhonesty: B", "no verdict on helpfulness"),
    ],
)
def test_a_criterion_without_a_verdict_makes_the_reply_unreadable(text: str, reason: str) -> None:
    assert read(text, BY_EACH) == Verdict(None, reason)


def test_the_prompt_names_every_criterion() -> None:
    named = spec(prompt="Rate Right-Form and HONESTY.", criteria=["right_form", "honesty"])
    assert parser_problems(named) == []
    other = spec(prompt="Rate honesty.", criteria=["right form", "honesty"])
    assert any("the prompt does not name 'right form'" in each for each in parser_problems(other))
    assert any(
        "two criteria" in each for each in parser_problems(spec(criteria=["right form", "Right_form"]))
    )


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
