"""Bradley-Terry strengths through the command, ranks, and options that do not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import farm, refused, told
from tests.support.judged_models import REFERENCE, judge, name_set

QUICK = ("--annotator", "judge")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "farm.db"


def test_two_models_have_the_log_odds_of_their_wins(path: Path) -> None:
    judge(path, {"a": [1.0, 1.0, 1.0, 0.0, 0.5, None]})
    found = told(path, "leaderboard", *QUICK, "--bradley-terry")
    strength = {each["model"]: each["strength"] for each in found["models"]}
    # 3.5 of 5 games: log(3.5 / 1.5), half to each side of 0
    assert strength["a"] - strength[REFERENCE] == pytest.approx(np.log(3.5 / 1.5))
    assert (found["n"], found["n_failed"]) == (5, 1)
    assert [each["n_failed"] for each in found["models"]] == [1, 1]


def test_strengths_within_a_set(path: Path) -> None:
    name_set(path, 2)
    judge(path, {"a": [1.0, 0.5, 1.0, 1.0]})
    whole = told(path, "leaderboard", *QUICK, "--bradley-terry")
    inside = told(path, "leaderboard", *QUICK, "--bradley-terry", "--set", "set")
    assert (whole["n"], inside["n"]) == (4, 2)
    # 1.5 of 2 games
    assert inside["models"][0]["strength"] == pytest.approx(np.log(3) / 2)


def test_models_that_never_met_cannot_be_ranked(path: Path) -> None:
    judge(path, {"a": [1.0, 0.0]})
    judge(path, {"c": [1.0, 0.0]}, reference="d")
    assert "2 groups of models never meet" in refused(path, "leaderboard", *QUICK, "--bradley-terry")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--bradley-terry",),
        ("--annotator", "judge", "--published", "x.csv"),
        ("--annotator", "judge", "--against", "Elo"),
        ("--annotator", "judge", "--bradley-terry", "--published", "x.csv", "--against", "Elo"),
        ("--annotator", "judge", "--bradley-terry", "--reference", "a"),
        ("--annotator", "judge", "--bradley-terry", "--control", "length"),
    ],
)
def test_options_that_make_no_sense_together(path: Path, options: tuple[str, ...]) -> None:
    judge(path, {"a": [1.0, 0.0]})
    assert farm(path, "leaderboard", *options).code == 2


def test_places_and_ranks_are_of_one_mean(path: Path) -> None:
    """A was judged 60 times on 3 instructions and wins there alone: one vote each. B wins 22 of 30."""
    judge(path, {"b": {i: float(i % 4 > 0) for i in range(30)}, "a": {i: float(i < 3) for i in range(30)}})
    for replicate in range(1, 60):
        judge(path, {"a": dict.fromkeys(range(3), 1.0)}, replicate=replicate)
    first, second = told(path, "leaderboard", *QUICK, "--draws", 0)["models"]
    assert (first["model"], second["model"], first["best_rank"]) == ("b", "a", 1)
    assert (first["win_rate"], second["win_rate"]) == (pytest.approx(100 * 22 / 30), pytest.approx(10.0))
