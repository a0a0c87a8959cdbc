"""`farm world`: the embedded world in a ledger, and the judgements of those who live in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.ledger import Ledger
from farm.world.build import Sizes
from tests.support.command_line import farm, refused, told
from tests.support.world_pairs import demonstration_pairs

TINY = Sizes(sft=20, preference=10, unlabelled=10, validation=5, evaluation=5)
PAIRS = 40


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of forty pairs, where the smallest world has fifty instructions."""
    monkeypatch.setattr("farm.world.build.SCALES", {"small": TINY})
    with Ledger.open(tmp_path / "world.db", create=True) as ledger, ledger.writing() as writer:
        writer.pairs(demonstration_pairs(count=PAIRS))
    return tmp_path / "world.db"


def test_the_command_makes_the_world_and_lets_people_judge(path: Path) -> None:
    made = told(path, "world", "--untrained", path.parent / "model")
    assert made["instructions"]["world-sft"] == made["new_demonstrations"] == 20
    assert made["model"] == str(path.parent / "model")
    assert (path.parent / "model" / "tokenizer.json").is_file()
    judged = farm(path, "world", "people", "--persons", 2, "--limit", 5).out
    assert judged.strip() == "16 people: 10 new judgements of 5 pairs, 0 were there"
    assert "0 instructions and 0 demonstrations are new" in farm(path, "world").out


def test_a_seed_is_a_world_and_its_sets_are_told_by_status(tmp_path: Path, path: Path) -> None:
    first = told(tmp_path / "one.db", "world")
    assert told(tmp_path / "one.db", "world") == first | {"new_instructions": 0, "new_demonstrations": 0}
    sets = {each["name"]: each for each in told(tmp_path / "one.db", "status")["sets"]}
    assert {name: each["instructions"] for name, each in sets.items()} == first["instructions"]
    assert (sets["world-evaluation"]["use"], sets["world-sft"]["use"]) == ("eval", "train")
    other = told(tmp_path / "one.db", "world", "--seed", 1)
    assert other["new_instructions"] > 25  # some short ones are in both
    assert sum(other["instructions"].values()) == 50


def test_the_truth_judges_each_pair_once(path: Path) -> None:
    first, again = (told(path, "world", "gold") for _ in range(2))
    assert (first["pairs"], first["annotators"], first["new"], first["known"]) == (40, ["world-gold"], 40, 0)
    assert (again["new"], again["known"]) == (0, 40)
    [gold] = told(path, "audit", "--reference", "gold", "--annotator", "world-gold", "--draws", 0)[
        "annotators"
    ]
    assert (gold["kind"], gold["n"]) == ("gold", 40)


def test_what_the_world_does_not_have_is_said_in_a_line(path: Path, tmp_path: Path) -> None:
    assert "nobody here is called 'neighbours'" in refused(path, "world", "neighbours")
    assert "one of small" in refused(path, "world", "--scale", "vast")
    assert "there is no ledger here" in refused(tmp_path / "no.db", "world", "people")
    assert farm(path, "world", "people", "--persons", 0).code == 2
