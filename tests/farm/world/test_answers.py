"""Features of answers, worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.world.answers import Features, features, form, weighed

PICK = "Name three animals but not cat or dog."
BEST = Features(1, 1, 1, 1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("instruction", "input", "output", "expected"),
    [
        (PICK, "", "I would say horse, cow and lion.", {}),
        (PICK, "", "I would say horse, cow and cat.", {"right": 2 / 3}),
        (PICK, "", "I would say horse, saw and cat.", {"right": 1 / 3}),
        (PICK, "", "I would say horse and cow.", {"complete": 2 / 3}),
        (PICK, "", "I would say horse, cow, lion and goat.", {"complete": 2 / 3}),
        (PICK, "", "I would say horse, cow, lion and lion.", {"repetitive": 1 / 2}),
        (PICK, "", "I would say horse, cow and", {"complete": 2 / 3, "well_formed": 0}),
        (PICK, "", "- horse\n- cow\n- lion", {}),
        (PICK, "", "- horse\n- cow\n- the", {"complete": 2 / 3, "well_formed": 0}),
        (PICK, "", "", {"right": 0, "complete": 0, "relevant": 0, "well_formed": 0}),
        (PICK, "", "I do not know.", {"right": 0, "complete": 0, "relevant": 0}),
        (PICK, "", "Of course, happy to help. I would say horse, cow and lion.", {"courteous": 1}),
        (PICK, "", "Whatever. I would say horse, cow and lion.", {"rude": 1}),
        (PICK, "", "As people often say, it depends. I would say horse, cow and lion.", {"rambling": 1 / 2}),
        (f"{PICK} Use a list.", "", "- horse\n- cow\n- lion", {}),
        (f"{PICK} Use a list.", "", "I would say horse, cow and lion.", {"follows": 0}),
        (f"{PICK} Answer in one line.", "", "- horse\n- cow\n- lion", {"follows": 0}),
        (f"{PICK} Be polite.", "", "I would say horse, cow and lion.", {"follows": 0}),
        (f"{PICK} Be polite.", "", "I would say horse, cow and lion. I hope this helps.", {"courteous": 1}),
        (f"{PICK} Keep it short.", "",
         "Well, much could be said about this. My picks are horse, cow and lion.",
         {"follows": 0, "rambling": 1 / 2}),
        ("Thank Anna for the hat.", "", "Thank you for the hat, Anna.", {}),
        ("Thank Anna for the hat.", "", "Thank you for the hat, Ben.", {"relevant": 0}),
        ("Thank Anna for the hat.", "", "Thank you for the cat, Anna.", {"right": 0}),
        ("Invite Anna to the party on Monday in the park.", "",
         "Come to the park for the party on Sunday, Anna.", {"right": 1 / 2}),
        ("Invite Anna to the party on Monday in the park.", "", "Come to the party, Anna.",
         {"complete": 1 / 2, "relevant": 1 / 2}),
        ("Count the words.", "cat dog", "There are two words.", {}),
        ("Count the words.", "cat dog", "There are three words.", {"right": 0}),
    ],
)  # fmt: skip
def test_features(instruction: str, input: str, output: str, expected: dict[str, float]) -> None:
    assert features(instruction, input, output) == pytest.approx(BEST._replace(**expected))


@given(st.text(alphabet="abcdr .,-\nIW", max_size=60))
def test_any_answer_has_features_from_nought_to_one(output: str) -> None:
    assert all(0 <= value <= 1 for value in features(PICK, "", output))


def test_form() -> None:
    assert form("- horse\n- cow") == (4, True)
    assert form("- horse") == (2, False)
    assert form("one-way street - good") == (4, False)


def test_weighed_is_a_dot_product() -> None:
    assert weighed((1.0, -2.0), (0.5, 0.25)) == 0.0
