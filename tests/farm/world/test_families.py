"""Instructions: every one is read back as it was drawn, and what answers it is among what could."""

from __future__ import annotations

import pytest

from farm.world.families import FAMILIES, NotOfThisWorld, Wish, draw, read

TASKS = [draw(f"test/{number}") for number in range(3_000)]


def test_an_instruction_is_read_back_as_it_was_drawn() -> None:
    for task in TASKS:
        found = read(task.instruction.text, task.instruction.input)
        assert (found.family, dict(found.arguments), found.template, found.wish) == (
            task.family,
            dict(task.arguments),
            task.template,
            task.wish,
        )


def test_every_family_template_and_wish_is_drawn() -> None:
    assert {task.family.name for task in TASKS} == {family.name for family in FAMILIES}
    assert {task.template for task in TASKS} == {each for family in FAMILIES for each in family.templates}
    assert {task.wish for task in TASKS} == set(Wish)


def test_a_goal_can_be_reached_and_missed() -> None:
    for task in TASKS:
        goal = task.goal
        assert goal.right < goal.domain
        assert len(goal.right) >= goal.count
        assert len(goal.wrong) >= 1
        assert not goal.mentions & goal.right


def test_there_are_far_more_than_fifty_thousand_instructions() -> None:
    """Of n draws, d are different; with N alike, d = N (1 - exp(-n / N)), so this many is a lower bound."""
    assert len({draw(f"many/{number}").instruction for number in range(56_000)}) > 48_000


def test_the_same_seed_draws_the_same() -> None:
    assert draw("x").instruction == draw("x").instruction
    assert len({draw(f"{number}").instruction for number in range(20)}) > 15


@pytest.mark.parametrize(
    ("instruction", "input"),
    [("Write a poem.", ""), ("", ""), ("Count the words.", ""), ("Count the words.", "cat\ndog")],
)
def test_another_text_is_not_of_this_world(instruction: str, input: str) -> None:
    with pytest.raises(NotOfThisWorld, match="embedded world"):
        read(instruction, input)


def test_a_hand_made_instruction_is_understood() -> None:
    goal = read("Name three animals but not cat or dog. Use a list.").goal
    assert goal.count == 3
    assert "horse" in goal.right
    assert {"cat", "dog", "hammer"} <= goal.wrong
    assert read("Which is bigger, asks Anna, the mouse or the cow?").goal.right == {"cow"}
    assert read("Which is smaller, asks Anna, the mouse or the cow?").goal.right == {"mouse"}
    assert read("Count the words.", "cat dog pear").goal.right == {"three"}
    assert read("What is the last word?", "cat dog pear").goal.right == {"pear"}
    assert read("Which is not a kind of fruit: fig, saw or plum?").goal.right == {"saw"}
