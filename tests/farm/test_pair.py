"""Pairs of outputs: AlpacaFarm's derangement, all pairs, and pairs against a baseline."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.queries.outputs import Source
from db.records import Instruction, Membership, Output
from farm.pair import WAYS, PairReport, PairTask, pair
from tests.support.command_line import farm_arguments


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Six draws of `sft` to each of 20 instructions, two of `ppo` to 15 of them."""
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        asked = [Instruction(f"Name {i} birds.") for i in range(20)]
        writer.memberships([Membership(each, "birds") for each in asked])
        for producer, n, some in (("sft", 6, asked), ("ppo", 2, asked[:15])):
            writer.outputs([Output(a, f"{producer} {k}", producer, sample=k) for a in some for k in range(n)])
    return path


def made(path: Path, **task: object) -> tuple[PairReport, list[set[str]]]:
    chosen = PairTask(**{"name": "p", "sources": (Source("sft"),), **task})  # type: ignore[arg-type]
    with Ledger.open(path) as opened:
        report = pair(opened, chosen)
        found = opened.pairs(PairFilter(source=chosen.name))
        return report, [{each.output_a.text, each.output_b.text} for each in found]


@settings(deadline=None, max_examples=60)
@given(size=st.integers(0, 9), wanted=st.integers(1, 12), seed=st.integers(0, 5))
def test_a_derangement_pairs_nothing_with_itself_and_nothing_twice(size: int, wanted: int, seed: int) -> None:
    asked = Instruction("Sing.")
    group = [Output(asked, f"text {k}", "m", sample=k) for k in range(size)]
    task = PairTask("p", (Source("m"),), per_instruction=wanted, seed=seed)
    pairs = [frozenset((a.text, b.text)) for a, b in WAYS["derangement"](group, task)]
    assert all(len(each) == 2 for each in pairs)
    assert len(set(pairs)) == len(pairs) == min(wanted, {0: 0, 1: 0, 2: 1}.get(size, size))
    seen = Counter(text for each in pairs for text in each)
    assert max(seen.values(), default=0) <= 2
    if wanted <= size // 2:
        assert max(seen.values(), default=0) <= 1  # outputs are not shared before they must be


def test_a_derangement_does_not_depend_on_the_order_in_which_outputs_came() -> None:
    asked = Instruction("Sing.")
    group = [Output(asked, f"text {k}", "m", sample=k) for k in range(5)]
    task = PairTask("p", (Source("m"),), per_instruction=3)
    ways = WAYS["derangement"]
    assert list(ways(group, task)) == list(ways(group[::-1], task))


def test_outputs_of_one_text_are_no_pair_but_against_a_baseline() -> None:
    asked = Instruction("Sing.")
    group = [Output(asked, text, "m", sample=k) for k, text in enumerate(("la", "la", "lo"))]
    for seed in range(5):
        task = PairTask("p", (Source("m"),), per_instruction=3, seed=seed)
        for way in WAYS.values():
            assert [{a.text, b.text} for a, b in way(group, task)] == [{"la", "lo"}] * 2
    [first] = WAYS["derangement"](group, replace(task, per_instruction=1))
    assert {each.text for each in first} == {"la", "lo"}  # the next of the cycle stands in
    assert not list(WAYS["derangement"](group[:2], task))


def test_one_pair_an_instruction_and_again_is_harmless(ledger: Path) -> None:
    report, pairs = made(ledger)
    assert (report.pairs, report.new, report.alone, len(pairs)) == (20, 20, 0, 20)
    again, same = made(ledger)
    assert (again.pairs, again.new, same) == (20, 0, pairs)
    other, _ = made(ledger, name="q", seed=1)
    assert 0 < other.new <= 20


def test_all_pairs_of_several_producers(ledger: Path) -> None:
    report, _ = made(ledger, sources=(Source("sft"), Source("ppo")), how="all")
    assert report.pairs == 15 * 28 + 5 * 15  # 8 outputs, 6 where ppo gave none


def test_against_a_baseline_each_output_meets_one_and_who_has_no_rival_is_counted(ledger: Path) -> None:
    report, pairs = made(ledger, sources=(Source("sft"),), against=Source("ppo"))
    assert (report.instructions, report.pairs, report.alone) == (20, 15 * 6, 5)
    echoed, same = made(ledger, name="echo", against=Source("sft"))
    assert (echoed.pairs, all(len(each) == 1 for each in same)) == (20 * 6, True)
    assert all(len([text for text in each if text.startswith("ppo")]) == 1 for each in pairs)
    with Ledger.open(ledger) as opened:
        assert len(list(opened.pairs(PairFilter(source="p", subset="sft")))) == 90


def test_a_producer_without_outputs_and_an_unknown_way_are_said(ledger: Path) -> None:
    with pytest.raises(ConfigError, match="no outputs of 'dpo'"):
        made(ledger, sources=(Source("dpo"),))
    with pytest.raises(ConfigError, match="--how is 'some'"):
        made(ledger, how="some")


def test_the_command_line_makes_pairs_that_a_judge_can_be_told_of(ledger: Path) -> None:
    farm = farm_arguments(ledger)
    shown = subprocess.run(
        [*farm, "pair", "duel", "--of", "sft", "--against", "ppo", "--set", "birds", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stdout)["pairs"] == 90
    judged = subprocess.run(
        [*farm, "annotate", "longest", "--source", "duel", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(judged.stdout)["pairs"] == 90
