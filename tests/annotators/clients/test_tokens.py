"""How many tokens a text is: the quick count beside the regular expressions that define it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.clients import Message, Request, Role, count_tokens
from annotators.clients.cut_prompts import least_tokens
from annotators.clients.tokens import first_tokens

PIECE = re.compile(r"[A-Za-z]{1,12}|[0-9]{1,3}|[!-/:-@\[-`{-~]{1,2}|[^\x00-\x7f]|\n+")
WORD = re.compile(r"[A-Za-z]{1,12}|[0-9]{1,4}")
texts = st.lists(st.sampled_from(["a", "Zz" * 7, "1", "23456", "!?", "_", " ", "\n", "\t", "\0", "é", "語"]))


@given(texts.map("".join) | st.text())
def test_the_counts_are_those_of_the_definitions(text: str) -> None:
    assert count_tokens(text) == len(PIECE.findall(text))
    assert least_tokens(Request("judge", (Message(Role.USER, text),))) == len(WORD.findall(text))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("Internationalisation", 2), ("12345", 2), ("a...b", 4), ("a\n\n\nb", 3), ("naïve 語", 4)],
)
def test_the_pieces_of_a_text(text: str, tokens: int) -> None:
    """By hand: 12 + 8 letters; 3 + 2 digits; a, two signs, one, b; na, ï, ve, 語."""
    assert count_tokens(text) == tokens
    assert first_tokens(text, max(tokens, 1)) == text
