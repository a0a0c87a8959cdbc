"""Rounds of drawing, judging and learning on a real small model: rows, budgets, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError, Paused
from db.ledger import Ledger, PairFilter
from db.queries import history, training
from db.records import Membership, Use
from farm.annotate import annotate
from farm.config import Decoding
from farm.judging.provider import Task
from farm.pair import PairTask, pair
from farm.progress import silent
from farm.rounds.instructions import eligible, informativeness
from farm.sample import SampleTask, sample
from farm.snapshot import Choice, snapshot
from farm.trace import trace
from farm.tracing.node import Node
from farm.train import TrainTask, train
from tests.support.command_line import farm, refused, told
from tests.support.online_runs import ledger_of_sums, paid, same_bits
from tests.support.rounds_runs import OPTIONS, ROUNDS, learnt, task

PAIRS = 24  # of a round: 8 instructions, 3 draws


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length", noise=0.2))) as running:
        yield running


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sums") / "farm.db"
    ledger_of_sums(path)
    return path.read_bytes()


@pytest.fixture
def path(sums: bytes, tmp_path: Path) -> Path:
    (tmp_path / "farm.db").write_bytes(sums)
    return tmp_path / "farm.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as opened:
        yield opened


def names(node: Node) -> list[str]:
    return [node.name, *(name for each in node.basis for name in names(each))]


def test_a_round_is_what_the_commands_do_one_after_another(
    ledger: Ledger, sums: bytes, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    """The second round by hand: sample from the first one's policy, pair, annotate, snapshot, train."""
    report = learnt(ledger, task(model_dir, tmp_path / "out", provider))
    first, second = report.rounds
    assert [each.judgements for each in report.rounds] == [PAIRS, PAIRS]
    assert provider.stats().hits == 2 * PAIRS
    (tmp_path / "hand.db").write_bytes(sums)
    with Ledger.open(tmp_path / "hand.db") as hand:
        with hand.writing() as writer:
            asked = training.instructed(ledger, second.name)
            writer.memberships([Membership(each, second.name) for each in asked])
        model, name = f"{first.trained.checkpoint}/model", second.name
        drawn = SampleTask(name, name, n=3, decoding=Decoding(max_new_tokens=6))
        source = sample(hand, model, drawn, silent).source
        pair(hand, PairTask(name, (source,), how="all"))
        provided = task(model_dir, tmp_path, provider).provider
        annotate(hand, "plain", Task(PairFilter(name)), silent, provided)
        snapshot(hand, name, Choice(source=name))
        alone = TrainTask(model, tmp_path / "hand", name, held_out=0.0)
        train(hand, "dpo", alone, None, OPTIONS)
    assert same_bits(tmp_path / "out" / "round-2", tmp_path / "hand")
    assert provider.stats().hits == 3 * PAIRS


def test_again_nothing_is_asked_and_more_rounds_go_on(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    wanted = task(model_dir, tmp_path / "out", provider)
    first = learnt(ledger, wanted)
    again = learnt(ledger, wanted)
    assert [each.name for each in again.rounds] == [each.name for each in first.rounds]
    assert provider.stats().hits == 2 * PAIRS
    assert len(history.runs(ledger)) == 2
    more = learnt(ledger, replace(wanted, rounds=replace(ROUNDS, count=3)))
    assert more.rounds[:2] != ()
    assert provider.stats().hits == 3 * PAIRS
    runs = history.runs(ledger)
    assert [Path(each.run.model).parent.name for each in runs[1:]] == ["step-00000002"] * 2
    assert [each.snapshot for each in runs] == [each.name for each in more.rounds]
    other = learnt(ledger, replace(wanted, folder=tmp_path / "other"), beta="0.3")
    assert other.rounds[0].name != first.rounds[0].name


def test_the_trace_of_the_last_checkpoint_goes_back_through_the_rounds(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    report = learnt(ledger, task(model_dir, tmp_path / "out", provider))
    found = names(trace(ledger, report.rounds[-1].trained.checkpoint, limit=1))
    way = ["checkpoint:2", "run:2", f"snapshot:{report.rounds[1].name}", "checkpoint:1", "run:1"]
    assert [each for each in found if each in way] == way
    assert f"snapshot:{report.rounds[0].name}" in found
    assert sum(each.startswith("completion:") for each in found) == 2


def test_out_of_budget_a_run_stops_in_a_round_and_goes_on_to_the_same_weights(
    ledger: Ledger, sums: bytes, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    whole = task(model_dir, tmp_path / "whole", provider)
    learnt(ledger, whole)
    bill = paid(ledger)
    (tmp_path / "other.db").write_bytes(sums)
    with Ledger.open(tmp_path / "other.db") as other:
        cut = task(model_dir, tmp_path / "cut", provider, max_judgements=PAIRS + 10)
        with pytest.raises(Paused, match="24 of 34 judgements, and this round needs 24") as paused:
            learnt(other, cut)
        assert str(paused.value).startswith("round 2: ")
        assert "raise --max-judgements and run the same command again" in str(paused.value)
        assert paid(other).requests == PAIRS
        provided = replace(cut.provider, max_cost=0.75 * bill.cost, concurrency=1)
        dear = replace(cut, max_judgements=None, provider=provided)
        with pytest.raises(Paused, match=r"the budget is used up: \$0\.0\d+ of \$0\.0\d+ spent"):
            learnt(other, dear)
        spent = paid(other)
        assert PAIRS < spent.requests < 2 * PAIRS
        assert spent.cost <= 0.75 * bill.cost
        with pytest.raises(Paused):
            learnt(other, dear)
        assert paid(other) == spent, "the cap holds for the run, not for each process"
        learnt(other, replace(dear, provider=whole.provider))
        assert paid(other)[:2] == bill[:2]
    assert provider.stats().hits == 2 * bill.requests
    assert same_bits(tmp_path / "whole" / "round-2", tmp_path / "cut" / "round-2")


def test_the_reference_is_the_model_that_a_round_begins_with_or_the_one_that_is_named(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    """At the first step of round 2 the policy is its reference, so the loss is log 2; else it is not."""
    moved = {"learning_rate": "1e-2"}
    own = learnt(ledger, task(model_dir, tmp_path / "own", provider), max_steps="1", **moved)
    fixed = task(model_dir, tmp_path / "fixed", provider, reference=model_dir)
    named = learnt(ledger, fixed, max_steps="1", **moved)
    assert own.rounds[1].trained.metrics["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert abs(named.rounds[1].trained.metrics["loss"] - 0.6931) > 1e-3


def test_a_creator_keeps_a_share_of_the_last_round_and_never_what_is_set_apart(
    ledger: Ledger, model_dir: str, tmp_path: Path
) -> None:
    """The judge is noisy and asked twice, so that instructions differ in how informative they are."""
    rounds = replace(ROUNDS, creator="choose")
    with Simulator(SimulatorConfig(judge=Judge(utility="length", noise=3.0))) as server:
        wanted = task(model_dir, tmp_path / "out", server, rounds=rounds, judging=Task(replicates=2))
        first, second = learnt(ledger, wanted).rounds
    members = [each for each in ledger.memberships() if each.set_name == second.name]
    metas = [json.loads(each.meta or "") for each in members]
    kept = {each.instruction.key: meta for each, meta in zip(members, metas, strict=True) if len(meta) > 1}
    values = informativeness(ledger, first.name, "gap")
    before = {each.key for each in training.instructed(ledger, first.name)}
    assert len(members) == 8
    assert len(kept) == 2  # a quarter
    assert kept.keys() <= before
    assert {key: meta["informativeness"] for key, meta in kept.items()} == {key: values[key] for key in kept}
    assert min(values[key] for key in kept) > min(values.values())  # the least informative has weight 0
    assert not before & {each.instruction.key for each in members if each.instruction.key not in kept}
    apart = next(iter(training.instructed(ledger, first.name)))
    with ledger.writing() as writer:
        writer.memberships([Membership(apart, "exam", Use.EVAL)])
    assert eligible(ledger, first.name, 0.0).keys() == before - {apart.key}
    assert eligible(ledger, first.name, 1.0) == {}


def test_the_win_rates_of_draws_make_their_informativeness(judged: Path) -> None:
    """One pair that the right answer wins: win rates 1 and 0."""
    with Ledger.open(judged) as ledger:
        snapshot(ledger, "people", Choice())
        assert set(informativeness(ledger, "people", "gap").values()) == {1.0}
        assert set(informativeness(ledger, "people", "advantage").values()) == {0.5}


def test_what_is_refused_and_nothing_is_written(path: Path, model_dir: str, tmp_path: Path) -> None:
    before = path.read_bytes()
    base = ["--model", model_dir, "--out", tmp_path / "out", "--set", "sums"]
    rounds = [*base, "--annotator", "plain", "--rounds", 2]
    assert "xpo draws and is judged while it trains" in refused(path, "train", "xpo", *rounds)
    assert "sft learns from no judged pairs" in refused(path, "train", "sft", *rounds)
    assert "reward_model learns from no judged pairs" in refused(path, "train", "reward_model", *rounds)
    assert "nobody judges the rounds" in refused(path, "train", "dpo", *base, "--rounds", 2)
    people = [*base, "--annotator", "ada", "--rounds", 2]
    assert "ada" in refused(path, "train", "dpo", *people)
    assert "name a --set, and no --snapshot" in refused(path, "train", "dpo", *rounds, "--snapshot", "all")
    assert "unknown option" in refused(path, "train", "dpo", *rounds, "--betta", "1")
    assert "give --rounds" in refused(path, "train", "dpo", *base, "--round-draws", 4)
    assert "name a --creator" in refused(path, "train", "dpo", *rounds, "--creator-share", 0.5)
    assert "give --round-prompts" in refused(path, "train", "dpo", *rounds, "--creator", "choose")
    evaluated = ["--evaluate-every", 1, "--evaluate-annotator", "plain"]
    assert "--evaluate-every" in refused(path, "train", "dpo", *rounds, *evaluated)
    nowhere = [part if part != "sums" else "summs" for part in rounds]
    assert "no instructions in this set" in refused(path, "train", "dpo", *nowhere)
    none = farm(path, "train", "dpo", *base, "--annotator", "plain", "--rounds", 0)
    assert none.code != 0
    assert "--rounds" in none.error
    assert path.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_each_round_would_ask(path: Path, model_dir: str, tmp_path: Path) -> None:
    """8 instructions of 4 draws are 48 pairs; in both orders 96 judgements."""
    before = path.read_bytes()
    options = ["train", "dpo", "--model", model_dir, "--out", tmp_path / "out", "--set", "sums", "--dry-run"]
    options += ["--annotator", "plain", "--rounds", 3, "--round-prompts", 8, "--round-draws", 4]
    plan = told(path, *options, "--orders", "both")
    assert plan == {
        "rounds": 3,
        "instructions": 8,
        "outputs": 32,
        "judgements": 96,
        "judgements_in_all": 288,
    }
    assert "in 3 rounds: 144 judgements at most" in farm(path, *options).out
    assert path.read_bytes() == before


def test_without_instructions_there_is_no_round(ledger: Ledger, model_dir: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no instructions in this set"):
        learnt(ledger, task(model_dir, tmp_path / "out", None, set_name="nothing"))
