"""The people's and gold's judgements in the ledger, and the command that asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from farm.world.build import WorldSpec
from farm.world.gold import gold
from farm.world.people import let_judge, people
from tests.support.world_pairs import demonstration_pairs

Read = Callable[[Ledger], dict[str, dict[int, list[float]]]]
PAIRS = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path / "world.db", create=True) as ledger, ledger.writing() as writer:
        writer.pairs(demonstration_pairs(count=PAIRS))
    return tmp_path / "world.db"


def test_what_is_judged_is_not_judged_again(path: Path, verdicts: Read) -> None:
    with Ledger.open(path) as ledger:
        first = people(ledger, WorldSpec(), PairFilter(limit=10), 1)
        more = people(ledger, WorldSpec(), PairFilter(), 4)
        again = people(ledger, WorldSpec(), PairFilter(), 4)
        assert (first.pairs, first.new, first.known) == (10, 10, 0)
        assert (more.new, more.known) == (4 * PAIRS - 10, 10)
        assert (again.new, again.known) == (0, 4 * PAIRS)
        said = verdicts(ledger)
    assert {each for pairs in said.values() for given in pairs.values() for each in given} <= {0.0, 0.5, 1.0}
    assert sum(map(len, said.values())) == 4 * PAIRS


def test_gold_prefers_what_is_worth_more(path: Path, verdicts: Read) -> None:
    with Ledger.open(path) as ledger:
        let_judge(ledger, "gold", WorldSpec(), PairFilter(), 1)
        said = verdicts(ledger)["world-gold"]
        for pair in ledger.pairs():
            asked = pair.instruction
            a, b = (gold(asked.text, asked.input, each.text) for each in (pair.output_a, pair.output_b))
            assert said[pair.id] == [0.5 if a == pytest.approx(b) else float(a > b)]
        with pytest.raises(ConfigError, match="people or gold"):
            let_judge(ledger, "nobody", WorldSpec(), PairFilter(), 1)
