"""Demonstrations: right where nothing is amiss, and amiss at the rates that were asked for."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from farm.world.answers import Features, features, form
from farm.world.demonstrations import USUAL, Rates, demonstrate
from farm.world.families import Wish, WorldTask, draw

TASKS = [draw(f"shown/{number}") for number in range(1_500)]
FAULTLESS = Rates(**{each.name: 0.0 for each in fields(Rates)})


def qualities(rates: Rates) -> list[Features]:
    return [
        features(task.instruction.text, task.instruction.input, demonstrate(task, "0", rates))
        for task in TASKS
        if task.wish is Wish.NONE
    ]


def _shown(task: WorldTask) -> tuple[str, str, str]:
    return task.instruction.text, task.instruction.input, demonstrate(task, "0")


def means(rates: Rates) -> Features:
    return Features(*np.mean(qualities(rates), axis=0))


def test_without_faults_every_answer_is_as_good_as_a_plain_one_can_be() -> None:
    assert set(qualities(FAULTLESS)) == {Features(1, 1, 1, 1, 1, 0, 0, 0, 0)}


@pytest.mark.parametrize(
    ("rate", "feature", "worst"),
    [
        ("wrong", "right", 0.0),
        ("vague", "relevant", 0.5),
        ("evasive", "complete", 0.0),
        ("incomplete", "complete", 0.9),
        ("cut", "well_formed", 0.2),
        ("courteous", "courteous", 1.0),
        ("rude", "rude", 1.0),
        ("rambling", "rambling", 0.5),
        ("repeating", "repetitive", 0.5),
    ],
)
def test_a_habit_shows_in_its_feature(rate: str, feature: str, worst: float) -> None:
    plain = getattr(means(FAULTLESS), feature)
    given = getattr(means(replace(FAULTLESS, **{rate: 1.0})), feature)
    assert min(plain, worst) <= given <= max(plain, worst) or given == pytest.approx(worst, abs=0.35)
    assert given != plain


def test_a_wish_is_often_followed_and_often_not() -> None:
    shares = {}
    for wish in (Wish.LIST, Wish.LINE, Wish.SHORT, Wish.POLITE):
        asked = [task for task in TASKS if task.wish is wish]
        shares[wish] = np.mean([features(*_shown(task)).follows for task in asked])
    assert all(0.4 < share < 0.98 for share in shares.values()), shares


def test_a_list_is_written_more_often_where_it_is_asked_for() -> None:
    listing = [task for task in TASKS if task.family.lists]
    share = {
        wish: np.mean([form(_shown(task)[2]).lists for task in listing if task.wish is wish])
        for wish in (Wish.LIST, Wish.NONE, Wish.LINE)
    }
    assert share[Wish.LIST] > share[Wish.NONE] > share[Wish.LINE]


def test_people_write_lists_where_there_is_something_to_list() -> None:
    lists = {task.family.lists for task in TASKS if form(demonstrate(task, "0")).lists}
    assert lists == {True}


def test_a_demonstration_is_a_function_of_task_and_seed() -> None:
    again = [demonstrate(task, "1", USUAL) for task in TASKS[:50]]
    assert again == [demonstrate(task, "1", USUAL) for task in TASKS[:50]]
    assert again != [demonstrate(task, "2", USUAL) for task in TASKS[:50]]
