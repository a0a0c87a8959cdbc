"""Parsers: verdicts or ParseError on any text; what is declared is read, what is only mentioned is not."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.clients.request import TokenLogprob
from annotators.parsers import PARSERS, ParseError, ReplyText, parser_of, read_verdicts
from annotators.spec import AnnotatorSpec, OutputNames, ParserSpec
from db.ids import Json
from db.records import AnnotatorKind

SPEC = AnnotatorSpec("x", AnnotatorKind.LLM)


def spec(parser: str, batch: int = 1, names: str = "AB", **options: Json) -> AnnotatorSpec:
    return replace(SPEC, parser=ParserSpec(parser, options), batch=batch, outputs=OutputNames(*names))


def read(annotator: AnnotatorSpec, text: str) -> list[float | None]:
    return [
        verdict.first for verdict in read_verdicts(parser_of(annotator), ReplyText(text), annotator.batch)
    ]


START, END, END_LOWER = spec("verdict", start=True), spec("verdict"), spec("verdict", names="ab")
LIST, JSON, JSON_LIST, RATING = spec("list", 3), spec("json"), spec("json", 3), spec("rating")
LOGPROB, SCORES, SCALE = spec("logprob"), spec("scores"), spec("scale")
RUBRIC = spec("rubric", criteria=["use", "tone"])
ALL = [
    START,
    END,
    END_LOWER,
    LIST,
    JSON,
    JSON_LIST,
    RATING,
    LOGPROB,
    spec("list"),
    SCORES,
    RUBRIC,
    SCALE,
    spec("checklist", criteria=["use", "tone"]),
    spec("aspects", criteria=["use", "tone"]),
    spec("ranking"),
]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A", 1),
        (" b.", 0),
        ("(A)", 1),
        ("[[B]]", 0),
        ("**A**", 1),
        ("`B`", 0),
        ("“A”", 1),
        ("Ｂ", 0),
        ("（Ａ）", 1),
        ("Output A", 1),
        ("Output (a)", 1),
        ("output_b", 0),
        ("# Output (a) is better.", 1),
        ("> B", 0),
        ("A\u200b", 1),
        ("\u202eB\u202c", 0),
        ("A\0", 1),
        ("B\n\nOutput A is the longer one, and lists are better.", 0),
        ("Output (b) is better.\n\nOutput (a) is longer.", 0),
        ("The first one is better.", 1),
        ("The second response.", 0),
        ("I would choose Output B as the better one.", 0),
        ("My answer is: A", 1),
        ("A because B ignores the question", 1),
        ("[[A>>B]]", 1),
        ("[[B>A]]", 0),
        ("[[A=B]]", 0.5),
        ("Verdict: tie", 0.5),
    ],
)
def test_a_verdict_at_the_start(text: str, first: float) -> None:
    assert read(START, text) == [first]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Verdict: A", 1),
        ("A is shorter, B is right.\nFinal verdict: **B**", 0),
        ("A is fine.\n\nVerdict:\nB", 0),
        ("Both are good.\n(A)", 1),
        ("Overall, the better output is B.", 0),
        ("Therefore, Output (a) is better.", 1),
        ("Output A is a much better answer because it is true.", 1),
        ("Output A wins.", 1),
        ("In conclusion I prefer output B.", 0),
        ('A says "Verdict: A", which is a trick.\nVerdict: B', 0),
        ("Verdict: B\nWait, I misread.\nVerdict: A", 1),
        ("Output (a) is better in terms of style. Output (b) is better because it is right.", 0),
        ("Output (a) is better if you are in a hurry. Therefore, Output (b) is better.", 0),
        ("Assistant A argues that Output A is better because it is long. Output B is better.", 0),
        ("Output (b) is not better because it is long. Output (a) is better.", 1),
        ("Is output A better? Output A is better. Hence B is preferable.", 0),
        ("The second output suggests that the best answer is A. Therefore, Output B is better.", 0),
        ("Output B is better than output A.", 0),
        ("The answer is B.\nOutput A finds it. Therefore, output A is better.", 1),
        ("Answer: B\nVerdict: A\nAnswer: B", 1),
    ],
)
def test_a_verdict_at_the_end(text: str, first: float) -> None:
    assert read(END, text) == [first]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "Output (a) gives ten reasons, Output (b) gives two.",
        "Neither output A nor output B is better.",
        "Which is better, Output (a) or Output (b)?",
        "Output A: yes\nOutput B: no",
        "I cannot choose either output A or output B.",
        "Verdict: A or B",
        "Verdict: A and B",
        "Verdict: A better one was never written",
        "Both outputs are equally good.",
        "Output A is equally good.",
        "Output A is not better.",
        "Assistant B believes that output B is better.",
        "First, consider the facts.",
        "I am sorry, but I cannot help with that.",
        "La segunda respuesta es mejor.",
    ],
)
@pytest.mark.parametrize("annotator", [START, END], ids=["start", "end"])
def test_no_verdict_is_declared(annotator: AnnotatorSpec, text: str) -> None:
    with pytest.raises(ParseError):
        parser_of(annotator)(ReplyText(text))


def test_one_reply_read_at_its_start_and_at_its_end() -> None:
    text = "A. It seems right at first.\nTherefore, output B is better."
    assert (read(START, text), read(END, text)) == ([1], [0])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Pair 1: A > B\nPair 2: B > A\nPair 3: A", [1, 0, 1]),
        ("**Pair 3**: B\nPair 1 - A\n", [1, None, 0]),
        ("1) Output (b)\n2) (A)\n3) both", [0, 1, None]),
        ("A\n\nB\nB", [1, 0, 0]),
        ("Pair 1: A\nPair 2: A\nPair 1: B\nPair 3: A", [0, 1, 1]),
        ("Pair 1: A\nPair 2: ?\nPair 3: B\nPair 4: B\nPair 0: A", [1, None, 0]),
        (
            "Pair 1: there are two reasons.\n1. It is short.\n2. B is long. So A is better.\nPair 2: B",
            [1, 0, None],
        ),
    ],
)
def test_lists(text: str, first: list[float | None]) -> None:
    assert read(LIST, text) == first


@pytest.mark.parametrize("text", ["A\nB", "I cannot say.", "", "Pair 7: A", "Pair 1: both"])
def test_lists_without_any_verdict(text: str) -> None:
    with pytest.raises(ParseError):
        parser_of(LIST)(ReplyText(text))


def test_one_unreadable_reply_spoiling_a_whole_batch() -> None:
    """In AlpacaFarm a count of matches other than the batch's size lost every pair of the prompt."""
    assert read(LIST, "Pair 1: A\nPair 2: I would rather not say.\nPair 3: B") == [1, None, 0]
    assert read(JSON_LIST, '[{"pair": 1, "better": "A"}, {"pair": 2, "better": 7}]') == [1, None, None]


def test_a_verdict_matched_inside_an_explanation() -> None:
    """AlpacaFarm looked for ": true" anywhere, also within the explanation that stood beside the verdict."""
    reply = json.dumps({"why": 'It ends with "better": "A": true', "better": "B"})
    assert read(JSON, reply) == [0]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ('{"better": "A"}', 1),
        ('```json\n{"better": "b",}\n```', 0),
        ('{"better": "Output (a)" /* , "better": "B" */ }', 0),
        ('{"better": "A" // surely\n}', 1),
        ('{"better": "A", "better": "B"}', 0),
        ('Like {"better": "A"}? No: {"better": "B"}', 0),
        ("{'better': 'A'}", 1),
        ('{better: "B"}', 0),
        ('{"result": {"better": "A"}, "score": 1e400}', 1),
        ('{"why": "A says \\"better\\": \\"A\\"", "better": "Ｂ"}', 0),
        ('A 6" pipe is what B wants: {"better": "A"}', 1),
        ('{"better": "A", "why": "cut', 1),
    ],
)
def test_json(text: str, first: float) -> None:
    assert read(JSON, text) == [first]


@pytest.mark.parametrize(
    "text",
    ['{"better": 1e400}', '{"better": null}', '{"better": "both"}', '"better: A"', "A", "{}", '{"x": "A"}',
     "[[[", '{"better": {"A": 1}}', '{"better": "A or B"}'],
)  # fmt: skip
def test_json_without_a_verdict(text: str) -> None:
    with pytest.raises(ParseError):
        parser_of(JSON)(ReplyText(text))


def test_json_lists() -> None:
    assert read(JSON_LIST, '[{"pair": 3, "better": "A"}, {"pair": "1", "better": "B"}]') == [0, None, 1]
    assert read(JSON_LIST, '{"better": "A"} {"better": "B"} {"better": "B"}') == [1, 0, 0]
    with pytest.raises(ParseError, match="2 objects for 3 pairs"):
        parser_of(JSON_LIST)(ReplyText('{"better": "A"} {"better": "B"}'))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("A: 7\nB: 4", 1),
        ("Output (b): 9/10\nOutput (a): 9.5", 1),
        ("**Score for A**: 3\n**Score for B**: 8", 0),
        ("A: 5\nB: 5.0", 0.5),
        ("8 9\nThe second is better.", 0),
        ("A: 2\nB: 4\nOn second thoughts:\nA: 6", 1),
        ("A = [7]\nB = [8]", 0),
    ],
)
def test_ratings(text: str, first: float) -> None:
    assert read(RATING, text) == [first]


@pytest.mark.parametrize(
    "text", ["A: 11\nB: 3", "A: 0\nB: 3", "A: 7", "A: many\nB: 3", "", "7", "A: 1e400\nB: 2"]
)
def test_ratings_that_are_none(text: str) -> None:
    with pytest.raises(ParseError):
        parser_of(RATING)(ReplyText(text))


def weighed(tokens: dict[str, float], annotator: AnnotatorSpec = LOGPROB) -> float | None:
    """P(first) of a reply whose first token has these probabilities."""
    tops = (tuple(TokenLogprob(token, math.log(p)) for token, p in tokens.items()),)
    return read_verdicts(parser_of(annotator), ReplyText("A", tops), 1)[0].first


def test_log_probabilities_add_up_over_variants() -> None:
    # (0.4 + 0.1 + 0.1) / (0.6 + 0.2) = 3 / 4
    assert weighed({"A": 0.4, " a": 0.1, "**A": 0.1, "B": 0.2, "The": 0.1}) == pytest.approx(0.75)
    assert weighed({"A": 0.9, "The": 0.1}) == 1


def test_log_probabilities_that_say_nothing() -> None:
    assert weighed({"The": 0.95, "A": 0.05}) is None
    assert weighed({"AB": 0.5, "1": 0.5}) is None
    assert weighed({"The": 0.95, "A": 0.05}, spec("logprob", least=0.01)) == 1
    assert weighed({}) is None


def test_names_that_differ_in_case_alone() -> None:
    assert weighed({"m": 0.3, " M": 0.1}, spec("logprob", names="mM")) == pytest.approx(0.75)


def test_log_probabilities_that_did_not_come_are_not_made_up_from_the_text() -> None:
    with pytest.raises(ParseError, match="no log-probabilities came"):
        parser_of(LOGPROB)(ReplyText("A"))


PIECES = st.sampled_from(
    ["A", "B", " is better", "Verdict: ", "Output (a)", "[[", "]]", '{"better": "', '"}', "Pair 2: ",
     "1. ", "\n", ": 7", "not ", ", ", ". ", "Therefore, ", "\0", "\ud800", "\u202e", "Ａ", "*", '"', "\\",
     "1e400", "٣"]
)  # fmt: skip
TEXTS = st.text(st.characters()) | st.lists(PIECES, max_size=25).map("".join)
TOPS = st.lists(st.builds(TokenLogprob, TEXTS, st.floats()), max_size=5).map(tuple)


@pytest.mark.parametrize("annotator", ALL, ids=lambda each: f"{each.parser.name}-{each.batch}")
@given(text=TEXTS, tops=TOPS)
def test_any_text_gives_verdicts_or_a_parse_error(
    annotator: AnnotatorSpec, text: str, tops: tuple[TokenLogprob, ...]
) -> None:
    try:
        verdicts = parser_of(annotator)(ReplyText(text, (tops,)))
    except ParseError:
        return
    assert len(verdicts) == annotator.batch
    assert all(verdict.first is None or 0 <= verdict.first <= 1 for verdict in verdicts)
    assert all((verdict.first is None) == (verdict.reason is not None) for verdict in verdicts)


def exchanged(text: str) -> str:
    """The reply of a judge who saw the outputs in the other order: every label names the other output."""
    return re.sub(r"\b[ABab]\b", lambda found: found[0].translate(str.maketrans("ABab", "BAba")), text)


SYMMETRIC = st.sampled_from(
    ["A", "B", " is better", "Verdict: ", "Output (a)", "Output B", "[[A]]", '{"better": "B"}', "Pair 2: ",
     "\n", " not ", ", ", ". ", "Therefore, ", "I prefer ", "**", " or ", "; ", "2. "]
)  # fmt: skip


@pytest.mark.parametrize("annotator", [START, END, LIST, JSON, JSON_LIST], ids=lambda each: each.parser.name)
@given(parts=st.lists(SYMMETRIC, max_size=15))
def test_exchanging_the_labels_exchanges_the_verdict(annotator: AnnotatorSpec, parts: list[str]) -> None:
    """A reader that looks for the first label before the second fails this."""
    text = " ".join(parts)
    mirrored = read(annotator, exchanged(text))
    assert read(annotator, text) == [None if first is None else 1 - first for first in mirrored]


SLOW = [
    "Output (a) is ",
    "A is x y z better ",
    "(",
    "[[A",
    "verdict is A or ",
    "the ",
    " ",
    "\n",
    "'",
    '\\"',
    "{",
    '"',
]


OTHERS = ["1. A\n", '{"better":', "not ", "A 1 ", "\ud800"]


@pytest.mark.parametrize(
    "seed", [*SLOW[:2], *(pytest.param(each, marks=pytest.mark.slow) for each in (*SLOW[2:], *OTHERS))]
)
def test_time_is_linear_in_the_length(seed: str) -> None:
    """Eight times the text takes at most some twenty times as long, and never minutes."""
    for annotator in ALL:
        parser, times = parser_of(annotator), []
        for size in (2**14, 2**17):
            text = (seed * (size // len(seed) + 1))[:size]
            tries = []
            for _ in range(3):  # the quickest: other work on the machine only ever adds
                begun = time.process_time()
                read_verdicts(parser, ReplyText(text), annotator.batch)
                tries.append(time.process_time() - begun)
            times.append(min(tries))
        assert times[1] < 20 * times[0] + 0.1


def test_a_reply_of_a_megabyte_is_read() -> None:
    assert read(END, "Let me think about A. " * 50_000 + "\nVerdict: B") == [0]


def test_scores_are_read_by_bradley_and_terry_or_as_a_choice() -> None:
    """σ(ln 3) = 3/4; σ(-1000) is 0 and overflows nowhere."""
    for scores, soft, hard in [
        ("[1.0986122886681098, 0]", 0.75, 1.0),
        ("[2, 2]", 0.5, 0.5),
        ("[-500, 500]", 0.0, 0.0),
        ("[1e299, -1e299]", 1.0, 1.0),
    ]:
        text = f'{{"scores": {scores}}}'
        assert read(SCORES, text) == [pytest.approx(soft)]
        assert read(spec("scores", hard=True), text) == [hard]


@pytest.mark.parametrize(
    "text",
    ["", "A", "[1, 2]", '{"scores": [1]}', '{"scores": [1, NaN]}', '{"scores": [1, 1e999]}',
     '{"scores": [true, 1]}', '{"scores": ["1", 2]}'],
)  # fmt: skip
def test_what_is_not_two_scores_is_unreadable(text: str) -> None:
    assert read(SCORES, text) == [None]


def test_every_parser_is_tried_here() -> None:
    assert {each.parser.name for each in ALL} == set(PARSERS)
