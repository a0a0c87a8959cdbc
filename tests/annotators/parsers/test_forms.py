"""Usual forms of verdicts and ratings: boxes, tags, brackets, tables, JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.parsers import ReplyText, parser_of, read_verdicts
from annotators.spec import AnnotatorSpec, OutputNames, ParserSpec
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
        "Verdict: 2",
        "The better answer is 2.",
        "Winner: Response 2",
        "Final verdict: Response #2",
        "A names three reasons.\nHence, B.",
        "Both are short. Therefore: Output B.",
        "Urteil: B",
        "Response 2",
        "**Response #2**.",
        "The second output",
        "Verdict: \u0412",  # Cyrillic
        "\u0412\u0435\u0440\u0434\u0438\u043a\u0442: B",
        "Output \u0392 is better.",  # Greek
        "A is longer.\nVerdict: \u0412, because \u0410 repeats itself.",
    ],
)
def test_usual_forms_of_a_verdict(text: str) -> None:
    assert verdict(START, text) == verdict(END, text) == 0


@pytest.mark.parametrize(
    "text",
    [
        "Verdict: <b>A</b> or B?",
        "\\boxed{42}",
        "<answer>42</answer>",
        "[RESULT] 3",
        "Verdict: 3",
        "Verdict: 2/10",
        "Response 2 is a poem. Response 1 is none.",
        "Response 1\nhi\nResponse 2",
        "Verdict: 2.5",
        "Verdict: 1 and 2",
        "Verdict: 1 or 2?",
        "The answer is 2.",
        "Preference: 2",
        "Both are short. Therefore, Output B",
        "Hence, A and B.",
        "Hence, A or B.",
        "Hence, neither A nor B.",
        "Hence, a reader learns nothing.",
        "[[D]]",
        "Tie your shoes first.",
    ],
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


@pytest.mark.parametrize(
    "text", ["[[C]]", "Both do.\n[[C]]", "Tie", "Tie.\n\n### Reason: both are short", "[[Tie]]"]
)
def test_usual_forms_of_a_tie(text: str) -> None:
    assert verdict(START, text) == 0.5


def test_c_in_brackets_and_numbers_are_names_where_outputs_are_called_so() -> None:
    named = AnnotatorSpec("x", AnnotatorKind.LLM, parser=END, outputs=OutputNames("B", "C"))
    assert read_verdicts(parser_of(named), ReplyText("[[C]]"), 1)[0].first == 0
    turned = AnnotatorSpec("x", AnnotatorKind.LLM, parser=END, outputs=OutputNames("2", "1"))
    assert read_verdicts(parser_of(turned), ReplyText("Verdict: 2"), 1)[0].first == 1


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A: seven\nB: nine", 0),
        ("Output A: Nine out of ten\nOutput B: eight/10", 1),
        ("A: five, B: five", 0.5),
        ("A: ten.\nB: 3", 1),
        ("A: seven and a half\nB: eight", None),
        ("A: one of the best\nB: two thirds right", None),
        ("A: one, two, three steps\nB: four", None),
        ("A: eleven\nB: four", None),
    ],
)
def test_ratings_in_words(text: str, first: float | None) -> None:
    assert verdict(RATING, text) == first


OTHER = str.maketrans("AB12", "BA21")
PIECES = st.sampled_from(
    ["Verdict: 1", "Verdict: 2", "Hence, A.", "Hence, B.", "[[A]]", "[[B]]", "[[C]]", "Tie", "A is better",
     "B wins",
     "\n", ". ", " and ", " or ", " not ", "Winner: Response 1", "?"]
)  # fmt: skip
RATED = st.sampled_from(
    [
        "A: ",
        "B: ",
        "seven",
        "nine",
        "3",
        "\n",
        ", ",
        " out of ten",
        "/10",
        " and ",
        "Output A - ",
        "Output B - ",
    ]
)


@pytest.mark.parametrize("parser", [START, END], ids=["start", "end"])
@given(parts=st.lists(PIECES, max_size=8))
def test_exchanging_names_and_numbers_exchanges_the_verdict(parser: ParserSpec, parts: list[str]) -> None:
    found = verdict(parser, "".join(parts))
    mirrored = verdict(parser, "".join(part.translate(OTHER) for part in parts))
    assert mirrored == (None if found is None else 1 - found)


@given(parts=st.lists(RATED, max_size=10))
def test_exchanging_names_exchanges_the_rating(parts: list[str]) -> None:
    found = verdict(RATING, "".join(parts))
    swapped = (part.replace("A", "#").replace("B", "A").replace("#", "B") for part in parts)
    mirrored = verdict(RATING, "".join(swapped))
    assert mirrored == (None if found is None else 1 - found)


@pytest.mark.parametrize(
    "text", ["\u0420\u0435\u0448\u0435\u043d\u0438\u0435\n\u0412", "[[\u0412]] \u0434\u0430"]
)
def test_a_letter_that_may_be_a_word_of_its_language_is_told(text: str) -> None:
    """The letter alone is "in" in Russian, and the third of its alphabet."""
    parser = parser_of(AnnotatorSpec("x", AnnotatorKind.LLM, parser=END))
    [read] = read_verdicts(parser, ReplyText(text), 1)
    assert read.first is None
    assert read.reason is not None
    assert "'\u0412' is CYRILLIC CAPITAL LETTER VE, and is drawn as B" in read.reason
    assert verdict(END, f"{text}\n[[A]]") == 1


def test_letters_drawn_alike_name_outputs_in_ratings_and_json_too() -> None:
    assert verdict(RATING, "\u0410: 7, \u0412: 4") == verdict(RATING, "A: 7, B: 4") == 1
    assert verdict(JSON, '{"better": "\u0412"}') == 0
