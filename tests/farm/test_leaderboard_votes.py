"""One annotator has one vote on a pair: judging again moves counts, and what it says of the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from db.records import AnnotatorCard, AnnotatorKind
from tests.support.command_line import told
from tests.support.judged_models import BETTER, WORSE, N, judge

QUICK = ("--annotator", "judge", "--draws", 40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "farm.db"


def board(path: Path, *options: object) -> dict[str, Any]:
    return {each["model"]: each for each in told(path, "leaderboard", *QUICK, *options)["models"]}


def test_judging_again_has_an_error_of_its_own(path: Path) -> None:
    judge(path, {"a": [1.0, 1.0], "b": [0.0, 0.0]})
    judge(path, {"a": [0.0, 1.0]}, replicate=1)
    found = board(path)["a"]
    assert (found["n"], found["win_rate"]) == (4, 75)
    # by instruction: sums of deviations -.5 and .5, sqrt(2 (.25 + .25)) / 4
    assert found["standard_error"] == pytest.approx(25)
    # variances of the two draws .5 and 0: sqrt(2 * .5) / 4
    assert found["annotator_error"] == pytest.approx(25)


def test_what_a_judge_says_twice_counts_once(path: Path, tmp_path: Path) -> None:
    """Of every third instruction it is asked again and says the same. Counts move, and nothing else."""
    third = {name: dict(list(own.items())[::3]) for name, own in {"a": WORSE, "b": BETTER}.items()}
    once, twice = tmp_path / "once.db", tmp_path / "twice.db"
    for one in (once, twice):
        judge(one, {"a": WORSE, "b": BETTER})
    for replicate in (1, 2):
        judge(twice, third, replicate=replicate)
    counts = ("n", "n_wins", "n_losses", "n_draws", "annotator_error")
    before, after = board(once), board(twice)
    for name in ("a", "b"):
        assert after[name]["n"] == N + 2 * len(third[name])
        for figure, value in before[name].items():
            same = value if isinstance(value, str | None) else pytest.approx(value, rel=1e-9)
            assert figure in counts or after[name][figure] == same, figure
    fits = [told(one, "leaderboard", *QUICK, "--bradley-terry") for one in (once, twice)]
    for one, other in zip(*(each["models"] for each in fits), strict=True):
        assert other["model"] == one["model"]
        assert other["strength"] == pytest.approx(one["strength"], abs=1e-9)
        assert other["interval"] == pytest.approx(one["interval"], abs=1e-9)
    assert fits[1]["n"] == fits[0]["n"] + 4 * len(third["a"])


def test_several_people_are_no_draws_of_one(path: Path) -> None:
    for name in ("ann", "ben"):
        own = {"a": [1.0, float(name == "ann"), 0.0], "b": [0.0] * 3}
        judge(path, own, AnnotatorCard(name, AnnotatorKind.HUMAN))
    assert board(path, "--annotator", "human")["a"]["annotator_error"] is None
