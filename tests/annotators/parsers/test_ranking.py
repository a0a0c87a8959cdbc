"""Rankings: every output once, in every usual form, or the reply is unreadable."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.parsers import ReplyText, parser_of, parser_problems, read_verdicts
from annotators.parsers.ranking import NOT_BEST
from annotators.spec import AnnotatorSpec, OutputNames, ParserSpec, outputs_of
from db.records import AnnotatorKind

THREE = AnnotatorSpec("x", AnnotatorKind.LLM, more=("C",), parser=ParserSpec("ranking"))
BEST = replace(THREE, parser=ParserSpec("ranking", {"best": True}))


def read(text: str, spec: AnnotatorSpec = THREE) -> list[float | None]:
    """The verdicts on A and B, A and C, B and C."""
    return [verdict.first for verdict in read_verdicts(parser_of(spec), ReplyText(text), 3)]


@pytest.mark.parametrize(
    "text",
    [
        "C > A > B",
        "Ranking: C > A > B",
        "**Ranking:** Output C > Output A > Output B",
        "Output (C) > Output (A) > Output (B)",
        "[[C > A > B]]",
        "Ranking: C, A, B",
        "C, A, B",
        '["C", "A", "B"]',
        '{"ranking": ["C", "A", "B"]}',
        "1. C\n2. A\n3. B",
        "1) Output C - it is right\n2) Output A - nearly\n3) Output B - wrong",
        "I first thought A > B > C, but C is right.\nRanking: C > A > B",
        "Ranking: C > A > B\n\nNote that B > A > C would hold for length.",
        "c ≻ a ≻ b",
        "C>A>B.",
        "<think>Ranking: A > B > C</think>C > A > B",
        "1. A\n2. B\nNo, again:\n1. C\n2. A\n3. B",
    ],
)
def test_all_outputs_from_best_to_worst(text: str) -> None:
    assert read(text) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("A = B > C", [0.5, 1.0, 1.0]),
        ("C > A = B", [0.5, 0.0, 0.0]),
        ("A = B = C", [0.5, 0.5, 0.5]),
        ("A ~ C > B", [1.0, 0.5, 0.0]),
    ],
)
def test_equal_outputs_are_ties(text: str, verdicts: list[float]) -> None:
    assert read(text) == verdicts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A > B",
        "A > B > A",
        "A > B > D",
        "I compared A, B, C and found no winner.",
        "A is the best.",
        "1. A\n2. B",
    ],
)
def test_what_does_not_rank_each_output_once_is_unreadable(text: str) -> None:
    assert read(text) == [None, None, None]


@pytest.mark.parametrize(
    "text",
    [
        "Best: B",
        "B",
        "Output B.",
        "**Best:** Output (B)",
        "[[B]]",
        "A is good, C is short. The best output is B, which is right.",
        "The winner is B",
        "Best: A? No.\nBest: B",
        "B > C > A",
    ],
)
def test_the_best_alone_will_do_where_it_is_asked_for(text: str) -> None:
    said = read_verdicts(parser_of(BEST), ReplyText(text), 3)
    assert (said[0].first, said[2].first) == (0.0, 1.0)
    if ">" not in text:
        assert (said[1].first, said[1].reason, said[1].is_open) == (None, NOT_BEST, True)


@pytest.mark.parametrize("text", ["", "All are good.", "Best: D", "the best is A or B"])
def test_a_reply_without_a_best_is_unreadable_and_not_open(text: str) -> None:
    said = read_verdicts(parser_of(BEST), ReplyText(text), 3)
    assert [(each.first, each.is_open) for each in said] == [(None, False)] * 3


def test_a_reply_about_fewer_outputs_is_read_by_their_names() -> None:
    four = replace(THREE, more=("C", "D"))
    assert four.about(6) is four
    assert four.about(3).names == ("A", "B", "C")
    assert four.about(1).names == ("A", "B")
    assert read("C > A > B", four.about(3)) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("outputs", range(2, 11))
def test_the_number_of_outputs_follows_from_that_of_pairs(outputs: int) -> None:
    assert outputs_of(outputs * (outputs - 1) // 2) == outputs


def test_other_parsers_read_no_ranking_and_names_are_told_apart() -> None:
    problems = parser_problems(replace(THREE, parser=ParserSpec("verdict")))
    assert any("use ranking" in each for each in problems)
    assert any("tell apart" in each for each in parser_problems(replace(THREE, more=("a",))))


@given(st.text(alphabet="ABC>=,[]. \n1230", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    names = replace(THREE, outputs=OutputNames("A", "B"))
    found = read(text, names)
    assert len(found) == 3
    assert (None in found) == (found == [None, None, None])
