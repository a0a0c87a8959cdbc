"""The people: their verdicts are functions of pair and person, and err as the model says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from db.records import AnnotatorKind, Instruction, Output, Pair
from farm.world import gold as truth
from farm.world.crowd import CROWD, PEOPLE, crowd, judges_of, somebody
from tests.support.world_pairs import demonstration_pairs

ASKED = Instruction("Thank Anna for the hat.")
GOOD, BAD = "Thank you for the hat, Anna. I hope this helps.", "Whatever. Thank you for the saw, Ben."


def pair_of(one: str, other: str, sample: int = 0) -> Pair:
    return Pair.of(Output(ASKED, one, "x", sample=sample), Output(ASKED, other, "y", sample=sample))[0]


def test_people_differ_and_are_the_same_again() -> None:
    people = crowd(0)
    assert len({person.card.key for person in people}) == PEOPLE
    crowd.cache_clear()
    assert people == crowd(0)
    assert not {person.card.key for person in people} & {person.card.key for person in crowd(1)}
    assert {person.card.kind for person in people} == {AnnotatorKind.HUMAN}


def test_weights_scatter_around_golds() -> None:
    many = np.array([somebody(f"{number}", 0, CROWD).weights for number in range(400)])
    logs = np.log(many / np.array(truth.WEIGHTS))
    assert logs.mean(0) == pytest.approx(np.zeros(9), abs=0.07)
    assert logs.std(0) == pytest.approx(np.full(9, CROWD.weight_spread), rel=0.15)


def test_tastes_are_dealt_out_evenly() -> None:
    noise = [sorted(person.noise for person in crowd(seed)) for seed in (0, 1)]
    assert noise[0] == pytest.approx(noise[1])
    assert np.median(noise[0]) == pytest.approx(CROWD.noise, rel=0.02)


def test_a_verdict_is_the_pairs_whichever_output_came_first() -> None:
    person = crowd(0)[0]
    one, other = (
        Pair.of(*sides)[0]
        for sides in ((Output(ASKED, GOOD), Output(ASKED, BAD)),)
        for sides in (sides, sides[::-1])
    )
    assert person.judge(one) == person.judge(other)


def test_verdicts_follow_the_boltzmann_model() -> None:
    """At lead d and noise t, sigmoid(d / t) of the verdicts are for the better: 3 / 4 at t = d / ln 3."""
    plain = replace(crowd(0)[0], first_lean=0.0)
    lead = plain.worth(ASKED.text, "", GOOD) - plain.worth(ASKED.text, "", BAD)
    person = replace(plain, noise=lead / np.log(3))
    pairs = [pair_of(GOOD, BAD, sample) for sample in range(2_000)]
    won = [person.judge(pair).preference == float(pair.output_a.text == GOOD) for pair in pairs]
    assert np.mean(won) == pytest.approx(0.75, abs=0.03)


def test_what_is_shown_first_is_liked_by_those_who_lean_to_it() -> None:
    person = replace(crowd(0)[0], first_lean=100.0)
    for sample in range(50):
        judged = person.judge(pair_of(GOOD, BAD, sample))
        assert judged.preference == float(not judged.swapped)


def test_equal_texts_are_a_tie() -> None:
    assert crowd(0)[0].judge(pair_of(GOOD, GOOD)).preference == 0.5


def test_a_larger_panel_holds_the_smaller() -> None:
    for pair in demonstration_pairs(count=50):
        few, more = judges_of(pair, crowd(0), 1), judges_of(pair, crowd(0), 4)
        assert more[:1] == few
        assert len(set(more)) == 4


def test_everybody_gets_a_like_share_of_the_work() -> None:
    first = [judges_of(pair, crowd(0), 1)[0].name for pair in demonstration_pairs(count=1_000)]
    counts = [first.count(person.name) for person in crowd(0)]
    assert min(counts) > 35
