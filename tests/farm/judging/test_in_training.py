"""An annotator judges what a policy in training draws: budgets, pauses, the ledger, every kind of judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select

from annotators.draws import Orders
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig
from db.errors import ConfigError, Paused
from db.ledger import Ledger
from db.queries.holdings import sources
from db.tables import ANNOTATION, CHECKPOINT, CLAIM, METRIC, OUTPUT
from farm.annotate import annotate
from farm.judging.provider import Provider, Task
from farm.progress import silent
from farm.trace import trace
from tests.support.command_line import refused
from tests.support.online_runs import OPTIONS, capped, learnt, ledger_of_sums, paid, same_bits, task

JUDGE = Judge(utility="length", noise=0.2)
PAIRS = 48  # of all rollouts
AGAIN = {"name": "again", "kind": "llm", "recorded": {"annotator": "plain"}, "parser": {"name": "verdict"}}


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=JUDGE)) as running:
        yield running


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sums") / "farm.db"
    ledger_of_sums(path)
    return path.read_bytes()


@pytest.fixture
def ledger(sums: bytes, tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "farm.db").write_bytes(sums)
    with Ledger.open(tmp_path / "farm.db") as opened:
        yield opened


def test_out_of_budget_a_run_pauses_at_a_checkpoint_and_goes_on_to_the_same_weights(
    ledger: Ledger, sums: bytes, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    whole = task(model_dir, tmp_path / "whole", provider)
    report = learnt(ledger, whole)
    books = provider.stats()
    bill = paid(ledger)
    assert bill[:2] == (books.hits, books.prompt_tokens)
    assert report.metrics["judging/bought"] == books.hits == PAIRS
    assert report.metrics["judging/cost"] == pytest.approx(bill.cost)
    (tmp_path / "other.db").write_bytes(sums)
    with Ledger.open(tmp_path / "other.db") as other:
        cut = task(model_dir, tmp_path / "cut", provider, max_judgements=20)
        with pytest.raises(Paused, match="16 of 20 judgements, and the next rollout needs 8") as paused:
            learnt(other, cut)
        assert "step 3: " in str(paused.value)
        assert f"the checkpoint is {tmp_path / 'cut' / 'step-00000002'} (raise --max-judgements" in str(
            paused.value
        )
        assert paid(other).requests == 16
        dear = replace(capped(cut, max_cost=0.75 * bill.cost, concurrency=2), max_judgements=None)
        with pytest.raises(Paused, match=r"the budget is used up: \$0\.0\d+ of \$0\.0\d+ spent"):
            learnt(other, dear)
        spent = paid(other)
        assert 16 < spent.requests < PAIRS
        assert spent.cost <= 0.75 * bill.cost
        with pytest.raises(Paused):
            learnt(other, dear)
        assert paid(other) == spent, "the cap holds for the run, not for each process"
        again = learnt(other, replace(dear, provider=whole.provider))
        assert paid(other)[:2] == bill[:2]
        assert again.metrics["judging/bought"] == PAIRS
        with other.reading() as connection:
            saved = connection.execute(select(CHECKPOINT.c.step, CHECKPOINT.c.run_id)).all()
        assert [run for _, run in saved] == [1] * len(saved)
        assert [step for step, _ in saved][:: len(saved) - 1] == [2, 6]
    assert provider.stats().hits == 2 * PAIRS
    assert same_bits(tmp_path / "whole", tmp_path / "cut")


def test_a_checkpoint_leads_to_the_judgements_that_it_was_trained_on(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    report = learnt(ledger, task(model_dir, tmp_path / "run", provider), max_steps="2")
    [(source, _, items)] = sources(ledger)
    assert (source.split()[0], items) == ("online_dpo", 16)
    told = trace(ledger, report.checkpoint, limit=1)
    text = json.dumps(told.to_json(content=True))
    [run] = told.basis
    [judged] = run.basis
    assert judged.name == f"source:{source}"
    assert judged.facts["by"] == ["plain: 16 ok"]
    assert "prompt (user)" in text
    assert "Add " in text
    assert trace(ledger, f"source:{source}").facts["by"] == ["plain: 16 ok"]
    with ledger.reading() as connection:
        rows = connection.execute(select(OUTPUT).where(OUTPUT.c.producer == source)).all()
        logged = {row.name for row in connection.execute(METRIC.select())}
    assert len(rows) == 32
    assert {json.loads(row.decoding)["temperature"] for row in rows} == {0.9}
    assert {"judging/bought", "judging/cost", "judging/ties"} <= logged
    known = annotate(ledger, "plain", Task(), silent, Provider(base_url=provider.base_url))
    assert known.known == 16, "the engine of `farm annotate` finds what it said"


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("longest", {}),
        ("reward-model", {"provider": "in process"}),
        ("criteria", {}),
        ("crowd", {"judging": Task(orders=Orders.BOTH, replicates=2)}),
    ],
)
def test_every_kind_of_annotator_judges(
    name: str,
    given: dict[str, object],
    ledger: Ledger,
    model_dir: str,
    scorer_dir: str,
    tmp_path: Path,
    provider: Simulator,
) -> None:
    """A rule, a model in this process, one that explains, a pool in both orders and two replicates."""
    told = {**given, "annotator": name}
    if told.get("provider") == "in process":
        told["provider"] = Provider(models=(scorer_dir,))
    times = 4 if name == "crowd" else 1
    report = learnt(ledger, task(model_dir, tmp_path / "run", provider, **told), max_steps="2")
    assert report.metrics["judging/bought"] == 16 * times
    assert report.metrics["judging/without_judgement"] == 0
    with ledger.reading() as connection:
        rows = connection.execute(select(ANNOTATION.c.preference).where(ANNOTATION.c.annotator_id > 1)).all()
    assert len(rows) == 16 * times
    server = name not in ("longest", "reward-model")
    assert provider.stats().hits == (paid(ledger).requests if server else 0)
    assert (provider.stats().hits > 0) == server


def test_a_panel_judges_and_its_members_are_paid_from_one_account(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    """One judgement of the panel to each pair, made of its members' votes; their replies are its bill."""
    wanted = task(model_dir, tmp_path / "run", provider, annotator="jury")
    report = learnt(ledger, wanted, max_steps="2")
    bill = paid(ledger)
    assert bill.requests == provider.stats().hits
    assert 3 * 16 <= bill.requests <= 4 * 16
    assert report.metrics["judging/bought"] == 16
    assert report.metrics["judging/cost"] == pytest.approx(bill.cost)
    again = learnt(ledger, replace(wanted, folder=tmp_path / "again"), max_steps="2")
    assert provider.stats().hits == bill.requests, "a second run of the same name asks nothing"
    assert again.metrics["judging/cost"] == pytest.approx(bill.cost)
    with pytest.raises(Paused, match=r"the budget is used up: \$0\.0\d+ of \$0\.0\d+ spent"):
        learnt(ledger, capped(replace(wanted, folder=tmp_path / "dear"), max_cost=1.2 * bill.cost))
    longer = paid(ledger).cost - bill.cost
    assert bill.cost < longer <= 1.2 * bill.cost, "the cap holds for all members together"


def test_what_fails_is_left_out_and_not_asked_again_by_a_resumed_run(
    ledger: Ledger, model_dir: str, tmp_path: Path
) -> None:
    judge = replace(JUDGE, off_format=0.4)
    faults = FaultPlan(rate=0.3, names=("length", "content_filter"))
    with Simulator(SimulatorConfig(judge=judge, faults=faults)) as provider:
        whole = task(model_dir, tmp_path / "whole", provider)
        report = learnt(ledger, whole)
        hits = provider.stats().hits
        assert 0 < report.metrics["judging/without_judgement"] < 1
        assert report.metrics["judging/bought"] < PAIRS
        again = learnt(ledger, replace(whole, folder=tmp_path / "again"))
        assert provider.stats().hits <= hits + 8, "the last rollout's failures alone are tried again"
    assert again.run == report.run + 1
    assert again.metrics["judging/bought"] >= report.metrics["judging/bought"]


def test_what_it_refuses(ledger: Ledger, model_dir: str, tmp_path: Path) -> None:
    wanted = task(model_dir, tmp_path / "run")
    recorded = tmp_path / "again" / "annotator.yaml"
    recorded.parent.mkdir()
    recorded.write_text(yaml.safe_dump(AGAIN))
    members = [{"annotator": "plain"}, {"annotator": str(recorded.parent)}]
    panel = tmp_path / "two.yaml"
    panel.write_text(yaml.safe_dump({"kind": "panel", "name": "two", "members": members}))
    for change, message in (
        ({"annotator": None}, "online_dpo needs one judge .name an --annotator, or a reward model"),
        ({"reward": "x"}, "online_dpo needs one judge, and two are named"),
        ({"annotator": "plane"}, "plane"),
        (
            {"annotator": str(recorded.parent)},
            "reads stored replies, and there are none about fresh responses",
        ),
        ({"annotator": str(panel)}, "two reads stored replies, and there are none about fresh responses"),
        ({"annotator": None, "reward": "x", "max_judgements": 3}, "a cap on judgements needs a judge"),
    ):
        with pytest.raises(ConfigError, match=message):
            learnt(ledger, replace(wanted, **change))
    with pytest.raises(ConfigError, match="rloo asks no annotator, and learns no annotator's prompt"):
        learnt(ledger, replace(wanted, reward="x"), "rloo")


def test_the_command_takes_the_judge_and_its_caps(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    options = [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
    line = refused(
        tmp_path / "farm.db",
        *("train", "online_dpo", "--model", model_dir, "--set", "sums", "--out", tmp_path / "run"),
        *("--annotator", "plain", "--judge-model", "mine", "--base-url", provider.base_url),
        *("--max-judgements", 9, *options),
    )
    assert "step 2: the budget is used up: " in line
    with ledger.reading() as connection:
        asked = {json.loads(row.request)["model"] for row in connection.execute(CLAIM.select())}
    assert asked == {"mine"}
