"""How alike two outputs are: by hand, and the one-word rule against an edit distance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.evaluation.near_texts import Likeness, is_one_word, likeness, similarity

LONG = "The quick brown fox jumps over the lazy dog while the cat sleeps near the warm stove"


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("Yes.", "Yes.", Likeness.IDENTICAL),
        ("Yes.", " yes .", Likeness.BLANKS),
        ("It is red.", "It is blue.", Likeness.ONE_WORD),
        ("It is red.", "It is red", Likeness.ONE_WORD),
        ("It is very red.", "It is red.", Likeness.ONE_WORD),
        (LONG, LONG + " every day", Likeness.NEAR),
        (LONG, " ".join(reversed(LONG.split())), Likeness.APART),
        ("", "It is red.", Likeness.EMPTY),
        ("", "", Likeness.IDENTICAL),
    ],
)
def test_likeness(one: str, other: str, found: Likeness) -> None:
    assert likeness(one, other) is likeness(other, one) is found


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's distance, by its recurrence."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


WORDS = st.lists(st.sampled_from("abc"), max_size=6)


@given(WORDS, WORDS)
def test_one_word_is_a_distance_of_one(a: list[str], b: list[str]) -> None:
    if a != b:
        assert is_one_word(a, b) == (distance(a, b) == 1)


def test_similarity_by_hand() -> None:
    """`a b c d` has abc, bcd; `a b c e` has abc, bce: one of three is shared."""
    assert similarity(list("abcd"), list("abce")) == pytest.approx(1 / 3)
    assert similarity(["a"], ["a", "b"]) == 0
