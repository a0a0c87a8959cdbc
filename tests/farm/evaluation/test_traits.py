"""Traits of texts: what counts as a list, a hedge, an apology, and what only looks like one."""

from __future__ import annotations

import math

import pytest

from farm.evaluation.traits import TRAITS, traits_of


@pytest.mark.parametrize(
    ("trait", "having", "lacking"),
    [
        ("list", "Do this:\n- one\n- two", "One - and two."),
        ("markdown", "It is **bold**.", "2 * 3 * 4 = 24"),
        ("markdown", "# Title\ntext", "#1 in the charts"),
        ("markdown", "Use `len`.", "It's `odd."),
        ("apology", "I'm sorry, that was wrong.", "A sorry sight? No: glorious."[8:]),
        ("apology", "We apologise for it.", "An apologue is a fable."),
        ("refusal", "As an AI language model I have no body.", "The AI said it can't."),
        ("refusal", "I can’t help with that.", "You can't go wrong."),
        ("emoji", "Well done 🎉", "Well done!"),
        ("emoji", "Sure :)", "a:b; c(d)"),
        ("quotes", 'He said "no way".', "It's 5\" wide."),
        ("quotes", "“Quoted” text", "It's mine"),
    ],
)
def test_what_a_text_has(trait: str, having: str, lacking: str) -> None:
    assert TRAITS[trait](having) == 1
    assert TRAITS[trait](lacking) == 0


def test_rates_are_for_each_hundred_words() -> None:
    """Of 9 words and numbers two are hedges, one is the first person and one a number."""
    text = "Perhaps I saw 12 birds, but it might vary."
    words = ["Perhaps", "I", "saw", "12", "birds", "but", "it", "might", "vary"]
    assert TRAITS["hedges"](text) == pytest.approx(100 * 2 / len(words))
    assert TRAITS["first person"](text) == pytest.approx(100 / len(words))
    assert TRAITS["numbers"](text) == pytest.approx(100 / len(words))
    assert TRAITS["numbers"]("Version v2 has 1,234.5 parts") == pytest.approx(100 / 5)  # v2 is no number
    assert TRAITS["numbers"]("12, 13, 14") == 100


def test_length_is_a_ratio_and_an_empty_text_has_nothing() -> None:
    assert TRAITS["length"]("x" * 99) - TRAITS["length"]("x" * 9) == pytest.approx(math.log(10))
    assert traits_of("") == [0.0] * len(TRAITS)
