"""What a dry run says of judgements, beside what the run takes: of evaluations and of fresh responses."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from annotators.draws import Orders
from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError
from db.ledger import Ledger
from farm.judging.provider import Provider, Task
from farm.options.train import Evaluating
from farm.snapshot import Choice, snapshot
from farm.terminal.train import plan_view
from farm.train import TrainTask, foresee, train
from tests.support.online_runs import OPTIONS, ledger_of_sums, paid, task

DPO = {"max_steps": "6", "epochs": "9", "batch_size": "4", "learning_rate": "1e-3", "max_length": "128"}
SHARE = 0.3
BOTH = Task(orders=Orders.BOTH)


@pytest.fixture
def server() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length", noise=0.2))) as running:
        yield running


def test_evaluations_are_counted_as_they_come(
    judged: Path, model_dir: str, tmp_path: Path, server: Simulator
) -> None:
    """Answers are taken to have the most tokens, and the tiny model's answers have them."""
    asked = Provider(base_url=server.base_url)
    told = Evaluating(every=4, annotator="plain", max_new_tokens=6, provider=asked, judging=BOTH)
    wanted = TrainTask(model_dir, tmp_path / "run", "all", held_out=SHARE, evaluating=told)
    with Ledger.open(judged) as ledger:
        snapshot(ledger, "all", Choice())
    before = judged.read_bytes()
    with Ledger.open(judged, read_only=True) as ledger:
        plan = foresee(ledger, "dpo", wanted, None, DPO)
    assert judged.read_bytes() == before
    assert not (tmp_path / "run").exists()
    assert server.stats().hits == 0
    with Ledger.open(judged) as ledger:
        evaluated = train(ledger, "dpo", wanted, None, DPO).evaluated
        bill = paid(ledger)
    assert plan.evaluations is not None
    assert evaluated is not None
    found = plan.evaluations
    assert found.times == len(evaluated.rates) == 2
    assert found.outputs == 3 * found.instructions
    assert found.judging.judgements == sum(each.n + each.n_failed for each in evaluated.rates)
    assert found.judging.requests == bill.requests == 2 * 2 * found.instructions
    assert found.judging.cost == pytest.approx(bill.cost, rel=0.3)
    assert plan.time is not None
    assert plan.seconds == plan.time.total + found.seconds > plan.time.total
    assert plan.judging is None
    page = Console(file=StringIO(), width=120)
    page.print(plan_view(plan))
    said = page.file.getvalue()  # type: ignore[attr-defined]
    assert f"2 evaluations on {found.instructions} instructions: {found.outputs} outputs" in said
    assert (
        f"evaluations: about {found.judging.judgements} judgements, {bill.requests} requests, US$ 0." in said
    )


def test_judgements_of_fresh_responses_are_counted_by_the_timed_steps(
    model_dir: str, tmp_path: Path, server: Simulator
) -> None:
    ledger_of_sums(tmp_path / "farm.db")
    options = {**OPTIONS, "max_steps": "6", "epochs": "9"}
    wanted = task(model_dir, tmp_path / "run", server, judging=Task(replicates=2))
    with Ledger.open(tmp_path / "farm.db", read_only=True) as ledger:
        plan = foresee(ledger, "online_dpo", wanted, None, options)
    assert server.stats().hits == 0
    with Ledger.open(tmp_path / "farm.db") as ledger:
        train(ledger, "online_dpo", wanted, None, options)
        bill = paid(ledger)
    assert plan.judging is not None
    assert plan.judging.requests == plan.judging.judgements == bill.requests == 2 * 8 * 6
    assert plan.judging.cost == pytest.approx(bill.cost, rel=0.3)
    assert plan.evaluations is None


def test_a_method_that_answers_nothing_is_not_evaluated(judged: Path, model_dir: str, tmp_path: Path) -> None:
    told = Evaluating(every=2, annotator="longest")
    wanted = TrainTask(model_dir, tmp_path / "run", "all", held_out=SHARE, evaluating=told)
    with Ledger.open(judged) as ledger:
        snapshot(ledger, "all", Choice())
        with pytest.raises(ConfigError, match="makes no model that answers"):
            foresee(ledger, "reward_model", wanted, None, DPO)


def test_whoever_asks_nobody_costs_nothing(judged: Path, model_dir: str, tmp_path: Path) -> None:
    told = Evaluating(every=6, annotator="longest", max_new_tokens=4, against=model_dir, limit=3)
    wanted = TrainTask(model_dir, tmp_path / "run", "all", held_out=SHARE, evaluating=told)
    with Ledger.open(judged) as ledger:
        snapshot(ledger, "all", Choice())
        found = foresee(ledger, "dpo", wanted, None, DPO).evaluations
    assert found is not None
    assert (found.times, found.instructions, found.outputs) == (1, 3, 6)
    assert (found.judging.judgements, found.judging.requests, found.judging.cost) == (3, 0, 0.0)
