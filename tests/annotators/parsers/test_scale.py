"""Verdicts that say how much better: in signs, in words, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.parsers import ReplyText, read_verdicts
from annotators.parsers.scale import ScaleParser
from annotators.spec import OutputNames
from db.records import Degree

FIVE, SEVEN = (ScaleParser(OutputNames(), levels) for levels in (2, 3))


def read(parser: ScaleParser, text: str) -> tuple[float | None, int | None]:
    [found] = read_verdicts(parser, ReplyText(text), 1)
    return found.first, found.degree and found.degree.steps


@pytest.mark.parametrize(
    ("text", "five", "seven"),
    [
        ("[[A>>B]]", (1.0, 2), (1.0, 2)),
        ("[[A>B]]", (1.0, 1), (1.0, 1)),
        ("[[A=B]]", (0.5, 0), (0.5, 0)),
        ("[[B>A]]", (0.0, 1), (0.0, 1)),
        ("[[A<<B]]", (0.0, 2), (0.0, 2)),
        ("[[A>>>B]]", (None, None), (1.0, 3)),
        ("A is much better.", (1.0, 2), (1.0, 3)),
        ("B is better than A.", (0.0, 2), (0.0, 2)),
        ("Output (b) is slightly better.", (0.0, 1), (0.0, 1)),
        ("I slightly prefer A.", (1.0, 1), (1.0, 1)),
        ("They are about the same.", (0.5, 0), (0.5, 0)),
        ("[[B>>A]], though at first A > B seemed right.", (0.0, 2), (0.0, 2)),
        ("Verdict: A", (1.0, None), (1.0, None)),
        ("A is not better.", (None, None), (None, None)),
        ("Whether A is better I cannot say.", (None, None), (None, None)),
        ("A > A", (1.0, None), (1.0, None)),
        ("", (None, None), (None, None)),
    ],
)
def test_a_reply_is_read(
    text: str, five: tuple[float | None, int | None], seven: tuple[float | None, int | None]
) -> None:
    assert (read(FIVE, text), read(SEVEN, text)) == (five, seven)


@given(st.text(alphabet="AB[]<>=≈ isbetrmuchlgy.\n", max_size=60))
def test_any_text_gives_a_verdict_or_none_and_a_degree_on_the_scale(text: str) -> None:
    [found] = read_verdicts(FIVE, ReplyText(text), 1)
    assert found.first in (None, 0.0, 0.5, 1.0)
    if found.degree is not None:
        assert found.degree in {Degree(steps, 2) for steps in range(3)}
        assert (found.degree.steps == 0) == (found.first == 0.5)
