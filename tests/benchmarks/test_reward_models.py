"""Reward models compared: the page has what was measured, words follow intervals, shares of a gap, votes."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.reward_models import over
from benchmarks.reward_models_places import Place
from benchmarks.reward_models_votes import ARMS, as_classes, as_judged, as_rated, voted
from benchmarks.reward_models_weak import STUDENTS, over_plain, recovered, share_of
from db.queries.training import Labelled
from farm.config import build
from farm.methods import load
from farm.methods.p2c import P2C, P2CConfig
from farm.methods.principle_model import PrincipleModel, PrincipleModelConfig
from farm.training.data import Data
from farm.training.run_models import LoadedModels
from farm.world.families import draw
from farm.world.language import base_model

MADE = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "site" / "reward_models.py"))


def test_the_page_has_what_was_measured() -> None:
    assert MADE["text"](MADE["results"]()) == MADE["PAGE"].read_text(), "run docs/site/reward_models.py"


def seeds_of(names: dict[str, float], sizes: tuple[str, ...], measures: tuple[str, ...]) -> list[Any]:
    """Figures of three seeds: each name's own, and .01 more or less by seed and name."""
    return [
        {
            name: {size: dict.fromkeys(measures, value + 0.01 * ((seed + i) % 3)) for size in sizes}
            for i, (name, value) in enumerate(names.items())
        }
        for seed in range(3)
    ]


def test_a_full_file_fills_every_block_and_words_follow_intervals() -> None:
    four = ("accuracy", "gold_accuracy", "ece", "log_loss")
    kinds = seeds_of(
        {"reward_model": 0.6, "genrm": 0.9, "pair_model": 0.3, "ensemble": 0.6}, ("50", "2400"), four
    )
    curves = [
        {name: {"1": 0.1, "4": 0.2 + seed} for name in ("one reward model", "gold")} for seed in range(3)
    ]
    ballots = seeds_of({"soft labels": 0.8, "p2c": 0.5}, ("200",), four[1:])
    weak = [{"weak": 0.6, "people's labels": 0.8 + s, **dict.fromkeys(STUDENTS, 0.7 + s)} for s in (0, 0.001)]
    world = {
        "seeds": [0, 1, 2],
        "held_out": 762,
        "kinds": over(kinds),
        "over_reward_model": over(kinds, "reward_model"),
        "best_of_n": over(curves),
        "best_of_n_over_one": over(curves, "one reward model"),
        "localisation": over([{"implicit_prm": 0.3 + s, "chance": 0.1, "n": 99.0} for s in (0, 0.1)]),
        "principles": over([{"learnt": 0.9 - s} for s in (0, 0.1)]),
        "votes": over(ballots),
        "votes_over_soft_labels": over(ballots, "soft labels"),
        "weak_to_strong": over(weak),
        "weak_to_strong_over_plain": over([over_plain(each) for each in weak]),
        "recovered": recovered(weak),
    }
    page = MADE["text"]({"world": world})
    assert page.count(MADE["NOT_YET"]) == 1, "real people"
    assert "| [genrm](methods/genrm.md) | 91.0 [88.5, 93.5] | 91.0 [88.5, 93.5] |" in page
    assert (
        "Better than reward_model: genrm (50, 2,400). Worse than reward_model: pair_model (50, 2,400)."
        in page
    )
    assert "Better than reward_model: pair_model (50, 2,400)." in page, "less log loss is better"
    assert "Worse than soft labels: p2c (200). The others" in page
    assert page.count(f" | {MADE['cell'](recovered(weak)['reward_model'], 100)} |") == len(STUDENTS)
    assert MADE["text"]({"world": world, "real": world}).count(MADE["NOT_YET"]) == 0


def test_one_seed_tells_nothing_apart() -> None:
    [one, *_] = seeds_of({"reward_model": 0.6, "genrm": 0.9}, ("50",), ("ece",))
    assert MADE["apart"](over([one], "reward_model"), "ece", -1, "reward_model").startswith(
        "None is told apart"
    )


def test_the_interval_of_a_share_is_fiellers() -> None:
    """At each of its ends ρ, the mean of part − ρ whole is as far from 0 as Student's test allows."""
    parts, wholes = [0.10, 0.14, 0.09, 0.13, 0.11], [0.20, 0.22, 0.19, 0.24, 0.21]
    found = share_of(parts, wholes)
    assert found["mean"] == pytest.approx(0.57 / 1.06)
    for end in (found["low"], found["high"]):
        assert end is not None
        rest = np.array(parts) - end * np.array(wholes)
        assert stats.ttest_1samp(rest, 0).pvalue == pytest.approx(0.05)
    for wide in (share_of([0.1, 0.2], [0.3, -0.3]), share_of([0.1], [0.2])):
        assert (wide["mean"], wide["low"], wide["high"]) == (None, None, None)


def test_the_interval_of_a_share_covers_it() -> None:
    """2,000 draws of 5 seeds, half of a gap of .2 is recovered: .95, with 3.5 standard errors."""
    drawn = np.random.default_rng(3).normal([0.1, 0.2], 0.04, (2000, 5, 2))
    found = [share_of(each[:, 0].tolist(), each[:, 1].tolist()) for each in drawn]
    held = [each["low"] is None or each["low"] <= 0.5 <= (each["high"] or 0) for each in found]
    assert np.mean(held) == pytest.approx(0.95, abs=0.017)


def test_arms_have_the_same_votes_on_the_same_rows(tmp_path: Path) -> None:
    model = str(base_model())
    asked = [draw(f"votes/{i}").instruction for i in range(30)]
    rows = [Labelled(each, f"The answer is {i}.", "Whatever.", 1.0, 0.0) for i, each in enumerate(asked)]
    learnt, held_out = voted(Place(rows[:20], rows[20:], model, tmp_path), seed=0)
    assert (len(learnt), len(held_out)) == (20, 20)
    assert voted(Place(rows[:20], rows[20:], model, tmp_path), seed=0) == (learnt, held_out)
    assert {round(3 * each.votes, 6) for each in learnt + held_out} <= {0, 1, 2, 3}
    assert [r.ratings[""] for r in as_classes(learnt)] == [float(each.votes > 0.5) for each in learnt]
    plain = PrincipleModelConfig(wording="{principle}", max_length=2000)
    principle = PrincipleModel(plain, Data(as_rated(learnt)), LoadedModels(model, plain))
    config = P2CConfig(preference=0, consistency=0, max_length=2000)
    p2c = P2C(config, Data(as_judged(learnt)), LoadedModels(model, config))
    assert [each.row for each in principle.rows(as_rated(learnt))] == [each.row for each in p2c.outputs.rows]
    for arm in ARMS.values():
        build(load(arm.method).Config, dict(arm.options))
