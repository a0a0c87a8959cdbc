"""Pools: who judges, in which order, is a function of the pair and of nothing around it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotators import catalogue
from annotators.draws import Occasion, Orders
from annotators.noise import LabelNoise
from annotators.pool import Member, Pool
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotatorKind, Instruction, Output, Pair

N = 20_000
SPECS = [AnnotatorSpec(name, AnnotatorKind.LLM, model=name) for name in ("one", "two", "three")]
POOL = Pool("trio", tuple(Member(spec, weight) for spec, weight in zip(SPECS, (1, 2, 5), strict=True)))


def occasions(pool: Pool, count: int = N) -> list[Occasion]:
    return [Occasion(f"pair-{i}", pool.draw_key) for i in range(count)]


def near(count: int, expected: float) -> bool:
    return abs(count / N - expected) < 5 * math.sqrt(expected * (1 - expected) / N)


def test_members_judge_by_their_weights() -> None:
    counts = Counter(POOL.member(occasion).name for occasion in occasions(POOL))
    assert all(near(counts[name], weight / 8) for name, weight in (("one", 1), ("two", 2), ("three", 5)))


def test_order_is_a_fair_coin_and_independent_of_the_member() -> None:
    table = Counter((POOL.member(each).name, each.swapped()) for each in occasions(POOL))
    for name, share in (("one", 1 / 8), ("two", 2 / 8), ("three", 5 / 8)):
        assert near(table[name, True], share / 2)
        assert near(table[name, False], share / 2)


def pairs_of_one_instruction(count: int) -> list[Pair]:
    asked = Instruction("Say hi.")
    return [Pair.of(Output(asked, "hi", "m"), Output(asked, f"hello {i}", "n"))[0] for i in range(count)]


def test_order_and_member_decided_by_instruction_instead_of_pair() -> None:
    """In AlpacaFarm all pairs of one instruction met one annotator in one order, for every model."""
    met = [Occasion(pair.key, POOL.draw_key) for pair in pairs_of_one_instruction(60)]
    assert {POOL.member(each).name for each in met} == {"one", "two", "three"}
    assert {each.swapped() for each in met} == {True, False}


def test_order_fixed_per_instruction_for_all_models() -> None:
    """AlpacaEval showed an instruction's outputs in one order for all models, so that order biased each."""
    turned = sum(Occasion(pair.key, POOL.draw_key).swapped() for pair in pairs_of_one_instruction(400))
    assert 140 < turned < 260  # six standard errors around the half


PROBE = """
import json
from annotators import catalogue
from annotators.draws import Occasion
pool = catalogue.load("crowd")
met = [Occasion(f"pair-{i}", pool.draw_key) for i in range(20)]
print(json.dumps([[pool.member(e).name, e.swapped(), pool.noise.label(1.0, e)] for e in met]))
"""


def test_member_order_and_noise_decided_by_pythons_hash() -> None:
    """AlpacaFarm seeded with hash(str), which is salted: each process drew other judges and noise."""
    answers = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
        )
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1]


def test_a_label_that_depends_on_batch_mates_or_row_order() -> None:
    """In AlpacaFarm the rows were shuffled and grouped, and the draws followed their places."""
    met = occasions(POOL, 40)
    alone = {each.pair_key: (POOL.member(each).name, each.swapped()) for each in met}
    assert all(alone[each.pair_key] == (POOL.member(each).name, each.swapped()) for each in reversed(met))


def test_replicates_are_drawn_anew() -> None:
    met = [Occasion("pair", POOL.draw_key, replicate) for replicate in range(60)]
    assert {POOL.member(each).name for each in met} == {"one", "two", "three"}
    assert {each.swapped() for each in met} == {True, False}


def test_orders_name_what_is_asked() -> None:
    occasion = Occasion("pair", "judge")
    assert occasion.shown(Orders.BOTH) == (False, True)
    assert occasion.shown(Orders.STORED, flipped=True) == (True,)
    assert occasion.shown(Orders.RANDOM) == (occasion.swapped(),)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"members": POOL.members[:2]},
        {"members": (*POOL.members[:2], replace(POOL.members[2], weight=1.0))},
    ],
    ids=["seed", "members", "weights"],
)
def test_another_crowd_draws_otherwise(change: dict[str, Any]) -> None:
    other = replace(POOL, **change)
    assert other.draw_key != POOL.draw_key
    assert other.fingerprint != POOL.fingerprint


def test_noise_alone_makes_another_annotator_of_the_same_requests() -> None:
    noisy = replace(POOL, noise=LabelNoise(0.25))
    assert noisy.fingerprint != POOL.fingerprint
    assert noisy.draw_key == POOL.draw_key


def test_the_quiet_crowd_asks_what_the_crowd_asked() -> None:
    crowd, quiet = catalogue.load("crowd"), catalogue.load("crowd-quiet")
    assert isinstance(crowd, Pool)
    assert isinstance(quiet, Pool)
    assert quiet.members == crowd.members
    assert quiet.draw_key == crowd.draw_key
    assert (crowd.noise.flip, quiet.noise.flip) == (0.25, 0)


def test_a_pool_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ntemperature: 3\nmembers:\n"
        "- {annotator: plan}\n- {annotator: plain, wieght: 2}\n- {annotator: plain, noise: {flip: 0.1}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        catalogue.load(str(path))
    for part in (
        "temperature: expected a number from 0 to 2",
        "members[0].annotator: no annotator 'plan', did you mean 'plain'?",
        "members[1].wieght: a member does not change this",
        "members[2].noise: a member does not change this",
    ):
        assert part in caught.value.what


def test_a_pool_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nseed: 3\ntemperature: 0.5\nmembers:\n"
        "- {annotator: plain, model: some-model, weight: 2}\n- {annotator: ranked-list, batch: 2}\n"
    )
    pool = catalogue.load(str(path))
    assert isinstance(pool, Pool)
    assert [(m.weight, m.spec.batch, m.spec.model) for m in pool.members] == [
        (2, 1, "some-model"),
        (1, 2, catalogue.default_slots()["small"]),
    ]
    assert {m.spec.decoding.temperature for m in pool.members} == {0.5}
    assert {m.spec.seed for m in pool.members} == {3}


def test_a_pool_without_members_is_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\n")
    with pytest.raises(ConfigError, match="a pool has members"):
        catalogue.load(str(path))
    with pytest.raises(ValueError, match="a pool has members"):
        Pool("none", ())
