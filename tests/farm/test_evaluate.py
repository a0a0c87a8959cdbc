"""Evaluation through a real HTTP judge: counts that add up, nothing asked twice, nothing of others asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from annotators.draws import Orders
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from db.ledger import Ledger
from db.records import Instruction, Membership, Output
from farm.evaluate import EvaluateTask, Evaluation, evaluate
from farm.judging.provider import Provider, Task
from farm.leaderboard import LeaderboardOptions
from farm.sample import SampleTask
from tests.support.command_line import farm, refused, told
from tests.support.judging_runs import silent

N = 20


def asked(i: int) -> Instruction:
    return Instruction(f"Count to {i}.")


def good(instruction: str, input: str, output: str) -> float:
    return float(output.startswith("good"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """`sft` is good on the first 12 of 20 instructions, `base` never, `other` on the last 8; `short` has
    answered but 15."""
    found = tmp_path / "farm.db"
    with Ledger.open(found, create=True) as ledger, ledger.writing() as writer:
        writer.memberships(
            [Membership(asked(i), "counts", category="odd" if i % 2 else "even") for i in range(N)]
        )
        for name, quality in (
            ("sft", lambda i: i < 12), ("base", lambda i: False), ("other", lambda i: i >= 12),
        ):  # fmt: skip
            texts = [f"{'good' if quality(i) else 'bad'} {name} {'and so on ' * (i % 5)}" for i in range(N)]
            writer.outputs([Output(asked(i), text, name) for i, text in enumerate(texts)])
        writer.outputs([Output(asked(i), f"good short {i}", "short") for i in range(15)])
    return found


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A judge that is right wherever one output is better, and tosses where none is."""
    with Simulator(SimulatorConfig(judge=Judge(utility=good, noise=0.1))) as running:
        yield running


def run(path: Path, simulator: Simulator, model: str, against: str, **options: Any) -> Evaluation:
    task = EvaluateTask(model, against, "plain", SampleTask("counts"), **options)
    task = replace(task, board=replace(task.board, draws=20))
    with Ledger.open(path) as ledger:
        return evaluate(ledger, task, Provider(base_url=simulator.base_url), silent)


def command(path: Path, simulator: Simulator, model: str, against: str, *options: object) -> Any:
    flags = ["--against", against, "--annotator", "plain", "--set", "counts", "--draws", 20]
    return told(path, "evaluate", model, *flags, "--base-url", simulator.base_url, *options)


def test_the_whole_set_is_counted_and_a_second_call_costs_nothing(path: Path, simulator: Simulator) -> None:
    found = command(path, simulator, "sft", "base")
    assert found["n"] + found["n_failed"] == N
    assert found["n_wins"] + found["n_losses"] + found["n_draws"] == found["n"] == N
    assert found["n_wins"] >= 12
    assert found["judged"]["requests"] == N
    assert found["judged"]["cost"] > 0
    assert found["sampled"] == 0
    assert (found["failures"], found["reference"], found["set"]) == ({}, "base", "counts")
    assert "50 judged instructions or more" in found["lc_missing"]
    again = command(path, simulator, "sft", "base")
    assert (again["judged"]["requests"], again["judged"]["already"], again["judged"]["cost"]) == (0, N, None)
    figures = [name for name in found if name != "judged"]
    assert {name: again[name] for name in figures} == {name: found[name] for name in figures}
    assert simulator.stats().requests == N


def test_categories_are_the_set_in_parts(path: Path, simulator: Simulator) -> None:
    found = run(path, simulator, "short", "base")
    assert list(found.categories) == ["even", "odd"]
    parts = found.categories.values()
    assert [each.n + each.n_failed for each in parts] == [10, 10]
    assert sum(each.n for each in parts) == found.place.rate.n == 15
    assert sum(each.n_wins for each in parts) == found.place.rate.n_wins == 15
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        writer.memberships([Membership(asked(N), "counts")])  # of no category
    again = run(path, simulator, "short", "base")
    assert (again.categories["none"].n, again.categories["none"].n_failed) == (0, 1)


def test_instructions_without_an_output_have_failed(path: Path, simulator: Simulator) -> None:
    found = run(path, simulator, "short", "base")
    assert (found.place.rate.n, found.place.rate.n_failed) == (15, 5)
    assert found.failures == {"no output": 5}
    assert (found.judged.pairs, found.place.rate.value) == (15, 1.0)
    flags = ("--against", "base", "--annotator", "plain", "--set", "counts", "--draws", 20)
    shown = farm(path, "evaluate", "short", *flags, "--base-url", simulator.base_url)
    assert "n 15, failed 5 (5 no output)" in shown.out


def test_an_instruction_without_an_output_fails_as_often_as_others_are_judged(
    path: Path, simulator: Simulator
) -> None:
    found = run(path, simulator, "short", "base", judging=Task(orders=Orders.BOTH, replicates=3))
    assert (found.place.rate.n, found.place.rate.n_failed) == (6 * 15, 6 * 5)
    assert found.failures == {"no output": 6 * 5}
    parts = found.categories.values()
    assert sum(each.n_failed for each in parts) == 6 * 5


def test_when_nothing_can_be_judged_it_says_so_and_keeps_the_rows(path: Path) -> None:
    plan = FaultPlan(rate=1.0, names=("400_filter",))
    config = SimulatorConfig(judge=Judge(utility=good), faults=plan)
    with Simulator(config) as running, pytest.raises(ConfigError, match="no judgement succeeded: 20 failed"):
        run(path, running, "sft", "base")
    with Ledger.open(path) as ledger:
        assert ledger.counts()["annotation"] == N


def test_some_unreadable_replies_are_counted_as_such(path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=good, noise=0.1, off_format=0.3))) as running:
        found = run(path, running, "sft", "base")
    rate = found.place.rate
    assert rate.n + rate.n_failed == N
    assert 0 < rate.n_failed < N
    assert found.failures == {"unreadable": rate.n_failed}


def test_a_judge_that_cannot_be_read_says_why_with_a_reply(path: Path, tmp_path: Path) -> None:
    """Some replies of `plain`; all of a judge whose letters are read as JSON."""
    flags = ("--against", "base", "--annotator", "plain", "--set", "counts", "--draws", 20)
    with Simulator(SimulatorConfig(judge=Judge(utility=good, noise=0.1, off_format=0.7))) as running:
        shown = farm(path, "evaluate", "sft", *flags, "--base-url", running.base_url).out
    assert re.search(r"^\d+ unreadable: .+; one reply: .+$", shown, re.M)
    plain = files("annotators") / "catalog" / "plain"
    text = (plain / "annotator.yaml").read_text().partition("examples:")[0]
    (tmp_path / "prompt.jinja").write_text((plain / "prompt.jinja").read_text())
    wrong = text.replace("{name: verdict, start: true}", "{name: json}")
    (tmp_path / "annotator.yaml").write_text(wrong.replace("name: plain", "name: misread"))
    with Simulator(SimulatorConfig(judge=Judge(utility=good))) as running:
        where = ("--annotator", tmp_path / "annotator.yaml", "--base-url", running.base_url)
        said = refused(path, "evaluate", "sft", "--against", "base", "--set", "counts", *where)
    assert re.search(r"no judgement succeeded: 20 unreadable \(20 unreadable: .+; one reply: '.+'\)", said)


def test_a_limit_leaves_the_first_instructions_of_the_set(path: Path, simulator: Simulator) -> None:
    """The first 16: `short` has answered 15 of them."""
    found = command(path, simulator, "short", "base", "--limit", 16)
    assert (found["n"], found["n_failed"], found["failures"]) == (15, 1, {"no output": 1})
    assert sum(each["n"] + each["n_failed"] for each in found["categories"].values()) == 16
    assert simulator.stats().requests == 15
    few = command(path, simulator, "sft", "base", "--limit", 4)
    assert (few["n"], few["n_failed"], few["judged"]["requests"]) == (4, 0, 4)
    whole = command(path, simulator, "sft", "base")
    assert (whole["n"], whole["judged"]["already"], whole["judged"]["requests"]) == (20, 4, 16)
    options = ("--against", "base", "--annotator", "plain", "--set", "counts")
    said = refused(path, "evaluate", "sft", *options, "--limit", 4, "--difficulty", "table.csv")
    assert "difficulties are those of the whole set" in said


def test_another_reference_is_another_evaluation(path: Path, simulator: Simulator) -> None:
    first = run(path, simulator, "sft", "base")
    second = run(path, simulator, "sft", "other")
    assert second.judged.requests == N
    assert (first.reference, second.reference) == ("base", "other")
    assert second.place.rate.value == pytest.approx(0.6)  # good on 12, where the other is not, bad on 8
    # another judge is asked of these pairs alone, not of those with the other reference
    flags = ("--judge-model", "another-model")
    assert command(path, simulator, "sft", "base", *flags)["judged"]["pairs"] == N


def test_the_judge_is_known_by_all_that_can_change_it(path: Path, simulator: Simulator) -> None:
    ours = command(path, simulator, "sft", "base")
    theirs = command(path, simulator, "sft", "base", "--judge-model", "another-model")
    assert theirs["judged"]["fingerprint"] != ours["judged"]["fingerprint"]
    assert ours["n"] == theirs["n"] == N


def test_draws_of_the_annotator_have_an_error_of_their_own(path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=good, noise=2.0))) as noisy:
        once = run(path, noisy, "sft", "base")
        thrice = run(path, noisy, "sft", "base", judging=Task(replicates=3))
    assert once.to_json()["annotator_error"] is None  # type: ignore[index, call-overload]
    assert thrice.judged.known == N
    assert thrice.place.rate.n == 3 * N
    assert 0 < thrice.place.rate.annotator_error < thrice.place.rate.standard_error


def test_both_orders_count_as_one_where_that_is_asked(path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=good, noise=0.0, position_bias=0.5))) as leaning:
        orders = Task(orders=Orders.BOTH)
        board = LeaderboardOptions("", average_orders=True)
        found = run(path, leaning, "sft", "base", judging=orders, board=board)
        apart = run(path, leaning, "sft", "base", judging=orders)
    assert (found.place.rate.n, apart.place.rate.n) == (N, 2 * N)
    # better on 12; on the other 8 the first place decides, and both orders together say tie
    assert (found.place.rate.n_wins, found.place.rate.n_draws) == (12, 8)
    assert found.place.rate.value == apart.place.rate.value == pytest.approx(0.8)


def test_a_model_against_itself_is_at_one_half(path: Path, simulator: Simulator) -> None:
    found = run(path, simulator, "sft", "sft")
    assert (found.place.rate.value, found.place.rate.n_draws, found.judged.requests) == (0.5, N, 0)


def test_what_is_missing_is_sampled(path: Path, simulator: Simulator, model_dir: str) -> None:
    options = ("--producer", "tiny", "--max-new-tokens", 8)
    found = command(path, simulator, model_dir, "base", *options)
    assert (found["model"], found["sampled"], found["n"] + found["n_failed"]) == ("tiny", N, N)
    again = command(path, simulator, model_dir, "base", *options)
    assert (again["sampled"], again["judged"]["requests"]) == (0, 0)
    assert again["win_rate"] == found["win_rate"]
    by_name = command(path, simulator, "tiny", "base")
    assert by_name["win_rate"] == found["win_rate"]
    said = refused(
        path, "evaluate", model_dir, "--against", "tiny", "--annotator", "plain", "--set", "counts",
        "--producer", "tiny", "--max-new-tokens", 9, "--base-url", simulator.base_url,
    )  # fmt: skip
    assert "the model and the reference are both called 'tiny'" in said


def test_several_samples_are_clustered_by_instruction(path: Path, simulator: Simulator) -> None:
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        writer.outputs([Output(asked(i), f"bad again {i}", "sft", sample=1) for i in range(N)])
    rate = run(path, simulator, "sft", "base").place.rate
    assert (rate.n, rate.n_failed, rate.interval.n) == (2 * N, 0, N)
    assert command(path, simulator, "sft", "base")["n_instructions"] == N


@pytest.mark.parametrize(
    ("model", "against", "set_name", "annotator", "message"),
    [
        ("sft", "base", "counts", "plian", "no annotator 'plian'"),
        ("sft", "base", "nowhere", "plain", "'base' has no outputs to 'nowhere'"),
        ("sft", "./nobody", "counts", "plain", "./nobody: no producer of this ledger, and"),
        ("nobody", "./nobody", "nowhere", "plain", "no instructions in this set"),
    ],
)
def test_wrong_names_are_refused_before_any_work(
    path: Path, simulator: Simulator, model: str, against: str, set_name: str, annotator: str, message: str
) -> None:
    flags = ("--against", against, "--set", set_name, "--annotator", annotator)
    said = refused(path, "evaluate", model, *flags, "--base-url", simulator.base_url)
    assert message in said
    assert simulator.stats().requests == 0


def test_models_that_answered_other_instructions_are_refused(path: Path, simulator: Simulator) -> None:
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        writer.outputs([Output(asked(i), f"late {i}", "late") for i in range(15, N)])
    with pytest.raises(ConfigError, match="answered no instruction in common"):
        run(path, simulator, "short", "late")


def test_the_reports_options_are_the_leaderboards(path: Path, simulator: Simulator) -> None:
    found = run(path, simulator, "sft", "base", board=LeaderboardOptions("", controls=()))
    assert found.place.controlled.rate is None
    assert found.place.controlled.reason == "not asked for"
