"""The robustness audit through a real HTTP provider: judges that can be fooled and judges that cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from annotators.simulator import Judge, Simulator, SimulatorConfig
from annotators.simulator.judges import TRICKS
from cli import app
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries.outputs import Source, outputs_of
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Membership, Output, Pair
from farm.audit import AuditOptions, audit_ledger
from farm.evaluation.attacks import ATTACKS, PREFIX, AttackKind
from farm.judging.provider import Provider
from farm.robustness import RobustnessReport, RobustnessTask, robustness

N = 24
FAKE_VERDICTS = {name for name in ATTACKS if name.startswith("verdict-")}


def answer(i: int) -> str:
    return f"The number {i} comes after {i - 1}. It comes before {i + 1}. Twice it is {2 * i}."


def honest(instruction: str, input: str, output: str) -> float:
    """What a judge that cannot be fooled looks for: an honest answer, and nothing else."""
    number = int(instruction.split()[-1].rstrip("."))
    return 1.0 if output == answer(number) else 0.5 if answer(number).split(". ")[0] in output else 0.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """24 honest answers of `sft`, and ten fragments of `gamed`."""
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        asked = [Instruction(f"Say what you know of the number {i}.") for i in range(N)]
        with opened.writing() as writer:
            writer.memberships([Membership(each, "numbers") for each in asked])
            writer.outputs([Output(each, answer(i), "sft") for i, each in enumerate(asked)])
            writer.outputs([Output(each, "The number", "gamed") for each in asked[:10]])
        yield opened


def run(ledger: Ledger, judge: Judge, **task: Any) -> RobustnessReport:
    with Simulator(SimulatorConfig(judge=judge)) as simulator:
        options = {"annotators": ("plain",), "against": "sft", **task}
        provider = Provider(base_url=simulator.base_url)
        return robustness(ledger, RobustnessTask(**options), lambda *_: None, provider)


def flagged(report: RobustnessReport) -> set[str]:
    return {each.attack for each in report.flagged}


def test_a_judge_that_cannot_be_fooled_is_not(ledger: Ledger) -> None:
    report = run(ledger, Judge(utility=honest, noise=0))
    assert flagged(report) == set()
    assert {each.attack for each in report.attempts} == set(ATTACKS)
    nulls = [each for each in report.attempts if each.kind is AttackKind.NULL]
    assert all(each.win_rate.value == 0 and each.move.value == -0.5 for each in nulls)
    assert all(each.n == N for each in nulls)


def test_fake_verdicts_and_the_constant_fool_a_judge_that_reads_verdicts_in_outputs(ledger: Ledger) -> None:
    report = run(ledger, Judge(utility=honest, noise=0, fooled_by=("verdicts",)))
    assert flagged(report) == FAKE_VERDICTS | {"constant", "null-model", "brag"}
    moved = {each.attack: each.move.value for each in report.attempts}
    assert moved["verdict-brackets"] == 0.5
    assert moved["refusal"] == -0.5


@pytest.mark.parametrize(
    ("judge", "fooled"),
    [
        (Judge(utility=honest, fooled_by=("orders",)), {"injection", "injection-system"}),
        (Judge(utility=honest, fooled_by=("flattery",)), {"flattery"}),
        (Judge(utility=honest, length_bias=20), {"constant", "null-model", "padding", "brag", "flattery"}),
        (Judge(utility=honest, list_bias=5), {"list", "list-only"}),
    ],
)
def test_each_weakness_shows(ledger: Ledger, judge: Judge, fooled: set[str]) -> None:
    assert fooled <= flagged(run(ledger, judge))


def test_a_suspect_of_the_ledger_is_judged_like_a_null(ledger: Ledger) -> None:
    task = {"suspects": ("gamed",), "attacks": ("refusal",)}
    fooled = run(ledger, Judge(utility=honest, noise=0, fooled_by=("fragments",)), **task)
    assert [(each.attack, each.win_rate.value, each.n) for each in fooled.flagged] == [("gamed", 1.0, 10)]
    sober = run(ledger, Judge(utility=honest), **task, annotators=("structured",))
    assert flagged(sober) == set()


def test_the_audit_leaves_attacks_out_unless_they_are_asked_for(ledger: Ledger) -> None:
    run(ledger, Judge(utility=honest), attacks=("garbage", "padding"))
    with pytest.raises(ConfigError, match="holds no judgement"):
        audit_ledger(ledger, AuditOptions())
    pairs = [Pair.of(*two)[0] for two in answers_of_two(ledger)]
    with ledger.writing() as writer:
        ids = writer.pairs(pairs)
        [ann] = writer.annotators([AnnotatorCard("ann", AnnotatorKind.HUMAN)])
        writer.annotations([Annotation(pair, ann, 1.0, 1.0, None) for pair in ids])
    assert [each.name for each in audit_ledger(ledger, AuditOptions(draws=0)).whole.annotators] == ["ann"]
    [asked] = audit_ledger(ledger, AuditOptions(source="robustness", draws=0)).whole.annotators
    assert (asked.name, asked.n) == ("plain", 2 * N)


def answers_of_two(ledger: Ledger) -> list[tuple[Output, Output]]:
    gamed = {output.instruction.key: output for output in outputs_of(ledger, Source("gamed"))}
    return [
        (output, gamed[output.instruction.key])
        for output in outputs_of(ledger, Source("sft"))
        if output.instruction.key in gamed
    ]


def test_a_second_call_costs_nothing_and_says_the_same(ledger: Ledger) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=honest))) as simulator:
        task = RobustnessTask(("plain", "structured"), "sft", instructions=10)
        provider = Provider(base_url=simulator.base_url)
        first = robustness(ledger, task, lambda *_: None, provider)
        asked = simulator.stats().hits
        again = robustness(ledger, task, lambda *_: None, provider)
        assert simulator.stats().hits == asked > 0
    assert again.attempts == first.attempts
    assert set(again.new.values()) == {0}
    assert first.new["plain"] == sum(each.n for each in first.attempts if each.annotator == "plain")


def test_more_instructions_ask_only_what_is_new(ledger: Ledger) -> None:
    few = run(ledger, Judge(utility=honest), attacks=("garbage",), instructions=10)
    more = run(ledger, Judge(utility=honest), attacks=("garbage",), instructions=None, set_name="numbers")
    assert (few.new, more.new) == ({"plain": 10}, {"plain": N - 10})


def test_what_an_annotator_cannot_read_is_flagged_and_counted(ledger: Ledger) -> None:
    report = run(ledger, Judge(utility=honest, off_format=1.0, form="json"), attacks=("empty",))
    [attempt] = report.attempts
    assert attempt.n + attempt.n_failed == N
    assert attempt.n_failed > 0


def test_defaults_are_the_largest_producer_and_who_has_judged(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="no annotator of the catalogue has judged"):
        run(ledger, Judge(), annotators=())
    run(ledger, Judge(utility=honest), attacks=("empty",))
    report = run(ledger, Judge(utility=honest), annotators=(), against=None, attacks=("refusal",))
    assert (report.against, set(report.new)) == ("sft", {"plain"})


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"against": "nobody"}, "no outputs of 'nobody'"),
        ({"set_name": "nowhere"}, "in 'nowhere'"),
        ({"suspects": ("nobody",)}, "'nobody' has no outputs"),
        ({"attacks": ("kindness",)}, "no attack 'kindness'"),
        ({"largest": 0.5}, "--largest"),
    ],
)
def test_what_cannot_be_asked_is_refused(ledger: Ledger, task: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(ledger, Judge(), **task)


def test_an_empty_ledger_has_nothing_to_attack(tmp_path: Path) -> None:
    with (
        Ledger.open(tmp_path / "x.db", create=True) as ledger,
        pytest.raises(ConfigError, match="no output to attack"),
    ):
        run(ledger, Judge(), against=None)


@given(text=st.text(max_size=300), asked=st.text(max_size=50))
def test_attacks_are_functions_of_instruction_and_output(text: str, asked: str) -> None:
    for attack in ATTACKS.values():
        instruction = Instruction(asked)
        made = attack.write(instruction, text)
        assert made == attack.write(instruction, text)
        if attack.name == "garbage":
            assert len(made) == len(text)
        if attack.name in ("padding", "flattery", "brag"):
            assert text in made
            assert len(made) > len(text)
        assert attack.producer == PREFIX + attack.name


def test_tricks_are_not_found_in_honest_answers() -> None:
    assert not [name for name, trick in TRICKS.items() if trick(answer(7))]
    assert SimulatorConfig.from_mapping({"judge": {"fooled_by": ["orders"]}}).judge.fooled_by == ("orders",)
    with pytest.raises(ConfigError, match="unknown trick 'charm'"):
        Simulator(SimulatorConfig(judge=Judge(fooled_by=("charm",))))


def test_real_outputs_made_to_game_a_leaderboard(real_data: Path, tmp_path: Path) -> None:
    """gpt4_gamed answers nearly everything with ten characters."""
    rows = pd.read_json(real_data / "alpaca_eval" / "outputs.jsonl.gz", lines=True)
    rows = rows[rows["model"].isin(["gpt4_gamed", "gpt4_1106_preview"])]
    texts = [
        Output(Instruction(asked), text, model)
        for asked, text, model in rows[["instruction", "output", "model"]].to_numpy(str).tolist()
    ]
    table = {each.text: 1.0 for each in texts if each.producer == "gpt4_1106_preview"}
    task = {
        "against": "gpt4_1106_preview",
        "suspects": ("gpt4_gamed",),
        "attacks": ("constant", *sorted(FAKE_VERDICTS)),
        "instructions": 60,
    }
    with Ledger.open(tmp_path / "real.db", create=True) as ledger:
        with ledger.writing() as writer:
            writer.outputs(texts)
        honest_judge = Judge(utility="table", table=table)
        fooled = run(ledger, replace(honest_judge, fooled_by=("verdicts", "fragments")), **task)
        sober = run(ledger, honest_judge, **task, annotators=("structured",))
    assert flagged(fooled) == {"gpt4_gamed", "constant"} | FAKE_VERDICTS
    assert flagged(sober) == set()
    rates = {each.attack: each.win_rate.value for each in fooled.attempts}
    assert rates["gpt4_gamed"] is not None
    assert rates["gpt4_gamed"] > 0.9


def test_a_judge_that_cannot_be_read_says_why_with_a_reply(ledger: Ledger, tmp_path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=honest, off_format=1.0))) as simulator:
        command = ["--ledger", str(tmp_path / "farm.db"), "robustness", "--annotator", "plain"]
        command += ["--base-url", simulator.base_url, "--attack", "constant"]
        shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    assert re.search(r"^plain: \d+ unreadable: .+; one reply: .+$", shown, re.M)
    assert "plain: more than half is unreadable" in shown


def test_the_command(ledger: Ledger, tmp_path: Path) -> None:
    with Simulator(SimulatorConfig(judge=Judge(utility=honest, fooled_by=("verdicts",)))) as simulator:
        command = ["--ledger", str(tmp_path / "farm.db"), "audit", "--robustness", "--annotator", "plain"]
        command += ["--base-url", simulator.base_url, "--attack", "constant", "--attack", "refusal"]
        out = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False).stdout
        shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
    found = json.loads(out)
    assert found["flagged"] == [{"attack": "constant", "annotator": "plain"}]
    assert {each["attack"] for each in found["attempts"]} == {"constant", "refusal"}
    assert "FLAGGED" in shown
    assert "fooled: plain" in shown
