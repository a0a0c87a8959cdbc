"""Annotators as constraints of CGPO's methods: rows of the ledger, budgets, resume, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import select

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError, Paused
from db.ledger import Ledger
from db.queries import history
from db.records import Instruction, Membership
from db.tables import ANNOTATION, ITEM
from farm.judging.provider import Provider
from farm.models.tokens import Prompt
from farm.trace import trace
from farm.train import TrainTask, foresee
from farm.training.checkpoint import CheckpointError
from farm.training.constraints import ComparedJudge
from tests.support.command_line import refused
from tests.support.on_policy import PROMPTS, made_on
from tests.support.online_runs import OPTIONS, learnt, ledger_of_sums, paid, same_bits, task

REWARD = "tests.support.rewards:letters"
CRPG = {"n": "2", "max_steps": "4"}


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length", noise=0.2))) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger_of_sums(tmp_path / "farm.db")
    with Ledger.open(tmp_path / "farm.db") as opened:
        yield opened


def constrained(model: str, folder: Path, *constraints: str, **given: object) -> TrainTask:
    """A run of a method of CGPO by a rule as reward, with these constraints."""
    told = {"annotator": None, "reward": REWARD, "constraints": constraints, **given}
    return task(model, folder, **told)  # type: ignore[arg-type]


def by_length(number: int) -> object:
    """A judge that prefers what is longer, for sure."""

    def judge(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> torch.Tensor:
        longer = [(len(a) > len(b)) + 0.5 * (len(a) == len(b)) for a, b in zip(first, second, strict=True)]
        return torch.tensor(longer, dtype=torch.float64)

    return judge


@pytest.mark.parametrize("name", ["crpg", "crraft", "codpo"])
def test_a_response_passes_where_it_is_no_worse_than_the_reference_says(name: str, model_dir: str) -> None:
    """Of prompts that are not to be judged all pass, and a baseline passes where a tie does."""
    few = frozenset(PROMPTS[:2])
    for at_least in (0.5, 0.75):
        judge = ComparedJudge(by_length, at_least, few)  # type: ignore[arg-type]
        method = made_on(name, model_dir, PROMPTS, compared=[judge])
        feed, (plan, *_) = method.feed, method.feed.plans(0)
        rollout = feed.drawn(plan)
        baselines = dict(zip(plan.prompts, feed.baselines(plan).texts, strict=True))
        n = 4 if name == "codpo" else 5
        texts = feed.texts(rollout.tokens)
        for place, (text, passed) in enumerate(zip(texts, rollout.passes.tolist(), strict=True)):
            prompt = plan.prompts[place // n]
            more = len(text) - len(baselines[prompt])
            wanted = more > 0 or (more == 0 and at_least == 0.5)
            assert passed == (wanted or prompt not in few), (prompt, text)
        assert 0 < sum(rollout.passes.tolist()) < len(texts)
        assert list(feed.held_out()) == []


def test_judgements_of_a_constraint_are_rows_that_the_trace_finds(
    ledger: Ledger, model_dir: str, tmp_path: Path, server: Simulator
) -> None:
    asked = Provider(base_url=server.base_url)
    wanted = constrained(model_dir, tmp_path / "run", "by plain >= 0.5", provider=asked)
    plan = foresee(ledger, "crpg", wanted, None, {**OPTIONS, **CRPG})
    assert server.stats().hits == 0
    report = learnt(ledger, wanted, "crpg", **CRPG)
    bill = paid(ledger)
    assert report.metrics["judging/bought"] == bill.requests == server.stats().hits
    assert 0 < bill.requests <= 2 * 8 * 4
    assert report.metrics["judging/cost"] == pytest.approx(bill.cost)
    assert 0 < report.metrics["constraints/passed"] < 1
    assert plan.judging is not None
    assert plan.judging.judgements == pytest.approx(bill.requests, rel=0.1)
    [run] = history.runs(ledger)
    [judge] = json.loads(run.run.config)["constraint_judges"]
    node = trace(ledger, report.checkpoint, limit=1).basis[0]
    assert f"source:{judge['source']}" in [each.name for each in node.basis]
    again = learnt(ledger, replace(wanted, folder=tmp_path / "again"), "crpg", **CRPG)
    assert server.stats().hits == bill.requests, "the same responses are judged already"
    assert again.metrics["judging/bought"] == bill.requests
    assert same_bits(tmp_path / "run", tmp_path / "again")


def test_out_of_budget_it_pauses_and_goes_on_to_the_same_weights(
    ledger: Ledger, model_dir: str, tmp_path: Path, server: Simulator
) -> None:
    """Two constraints have one budget: --max-judgements counts both."""
    ledger_of_sums(tmp_path / "other.db")
    asked = Provider(base_url=server.base_url)
    both = ("by plain", "by judge >= 0.5")
    learnt(ledger, constrained(model_dir, tmp_path / "whole", *both, provider=asked), "crraft", **CRPG)
    bill = paid(ledger)
    with Ledger.open(tmp_path / "other.db") as other:
        cut = constrained(model_dir, tmp_path / "cut", *both, provider=asked)
        most = bill.requests // 2
        for _ in range(2):
            with pytest.raises(Paused, match="the budget is used up"):
                learnt(other, replace(cut, max_judgements=most), "crraft", **CRPG)
            assert 0 < paid(other).requests <= most
        capped = replace(cut, provider=replace(asked, max_requests=most))
        with pytest.raises(Paused, match="the budget is used up"):
            learnt(other, capped, "crraft", **CRPG)
        assert paid(other).requests == most, "the cap of requests holds for both constraints together"
        learnt(other, cut, "crraft", **CRPG)
        assert paid(other)[:2] == bill[:2]
    assert server.stats().hits == 2 * bill.requests
    assert same_bits(tmp_path / "whole", tmp_path / "cut")


def test_each_task_has_its_own_annotator(ledger: Ledger, model_dir: str, tmp_path: Path) -> None:
    with ledger.writing() as writer:
        few = [Membership(Instruction(f"Add {n} and 2."), "few") for n in range(3)]
        writer.memberships([*few, Membership(Instruction("Say something else."), "others")])
    told = {**CRPG, "max_steps": "5", "epochs": "1"}
    judged = constrained(model_dir, tmp_path / "run", "few=by longest", "others=by shortest")
    report = learnt(ledger, judged, "codpo", **told)
    with ledger.reading() as connection:
        sources = connection.execute(select(ITEM.c.source).distinct()).scalars().all()
        count = len(connection.execute(select(ANNOTATION.c.id)).all())
    mine = [each for each in sources if each.startswith("codpo ")]
    assert len(mine) == 1
    assert mine[0].endswith(" constraint 1")
    assert 40 < count <= 40 + 2 * 3, "the ledger had 40 judgements of a person"
    assert report.metrics["judging/cost"] == 0


def test_another_annotator_is_another_run(ledger: Ledger, model_dir: str, tmp_path: Path) -> None:
    learnt(ledger, constrained(model_dir, tmp_path / "run", "by longest"), "crpg", **CRPG)
    with pytest.raises(CheckpointError, match="another configuration"):
        learnt(ledger, constrained(model_dir, tmp_path / "run", "by shortest"), "crpg", **CRPG)


@pytest.mark.parametrize(
    ("constraint", "why"),
    [("by nobody-of-this-name", "no annotator"), ("nowhere=by longest", "is empty")],
)
def test_what_cannot_be_asked_is_one_line(
    ledger: Ledger, model_dir: str, tmp_path: Path, constraint: str, why: str
) -> None:
    base = ["train", "crpg", "--model", model_dir, "--out", tmp_path / "out", "--set", "sums"]
    said = refused(tmp_path / "farm.db", *base, "--reward", REWARD, "--constraint", constraint)
    assert why in said
    assert "\n" not in said.strip()
    assert history.runs(ledger) == []


def test_a_cap_on_judgements_needs_an_annotator(ledger: Ledger, model_dir: str, tmp_path: Path) -> None:
    wanted = constrained(model_dir, tmp_path / "run", f"{REWARD} >= 1", max_judgements=4)
    with pytest.raises(ConfigError, match="a cap on judgements needs a judge"):
        learnt(ledger, wanted, "crpg", **CRPG)
