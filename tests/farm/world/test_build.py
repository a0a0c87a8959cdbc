"""The world in a ledger: its sets, that they share nothing, and that building again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.training import demonstrated, instructed
from db.records import Use
from farm.world.build import PAPER, SHARES, Sizes, WorldSpec, build, set_name, sizes_of, split_of, splits
from farm.world.families import draw

SIZES = Sizes(sft=300, preference=200, unlabelled=200, validation=100, evaluation=100)
SPEC = WorldSpec(seed=3, sizes=SIZES)


def test_no_instruction_is_in_two_sets_of_any_worlds() -> None:
    worlds = [splits(WorldSpec(seed=seed, sizes=SIZES)) for seed in (0, 1)]
    sets = [{task.instruction.key for world in worlds for task in world[split]} for split in worlds[0]]
    assert sum(map(len, sets)) == len(set.union(*sets))
    for split in worlds[0]:
        assert {split_of(task.instruction) for task in worlds[0][split]} == {split}


def test_shares_of_the_sets_are_kept() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)
    found = [split_of(draw(f"share/{number}").instruction) for number in range(5_000)]
    for split, share in SHARES.items():
        assert found.count(split) / len(found) == pytest.approx(share, abs=0.03)


def test_building_twice_is_building_once(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "world.db", create=True) as ledger:
        first = build(ledger, SPEC)
        counts = ledger.counts()
        again = build(ledger, SPEC)
        assert ledger.counts() == counts
        assert (first.new_instructions, first.new_demonstrations) == (900, 300)
        assert (again.new_instructions, again.new_demonstrations) == (0, 0)
        assert len(list(demonstrated(ledger, set_name("sft")))) == 300
        assert len(list(instructed(ledger, "world-evaluation"))) == 100
        uses = {each.set_name: each.use for each in ledger.memberships()}
    assert uses == {
        "world-sft": Use.TRAIN,
        "world-preference": Use.TRAIN,
        "world-unlabelled": Use.TRAIN,
        "world-validation": Use.VALIDATION,
        "world-evaluation": Use.EVAL,
    }


def test_another_seed_is_another_world() -> None:
    one, same, other = (splits(WorldSpec(seed=seed, sizes=SIZES)) for seed in (0, 0, 1))
    texts = [[task.instruction for task in each["sft"]] for each in (one, same, other)]
    assert texts[0] == texts[1] != texts[2]


def test_more_than_there_is_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.world.build.PATIENCE", 2)
    with pytest.raises(ConfigError, match="instructions for evaluation"):
        splits(WorldSpec(sizes=Sizes(sft=1, preference=1, unlabelled=1, validation=1, evaluation=1_000)))


def test_a_scale_has_a_name() -> None:
    assert sizes_of("paper") == PAPER
    with pytest.raises(ConfigError, match="small, paper"):
        sizes_of("huge")
