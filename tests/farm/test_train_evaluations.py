"""Evaluations during training: a judge chooses the best checkpoint, and nothing is asked twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import select

from annotators.draws import Orders
from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.errors import ConfigError, Paused
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries import training
from db.queries.history import metrics
from db.records import Instruction, Membership
from db.tables import CHECKPOINT, METRIC, OUTPUT
from farm.judging.provider import Provider, Task
from farm.options.train import Evaluating
from farm.runs.evaluations import Evaluations, held_out_set
from farm.runs.records import learnt_from
from farm.snapshot import Choice, snapshot
from farm.terminal.train import train_view
from farm.trace import trace
from farm.train import TrainReport, TrainTask, train
from farm.training.checkpoint import whole_checkpoints
from tests.support.online_runs import paid

OPTIONS = {
    "max_steps": "6",
    "epochs": "9",
    "batch_size": "4",
    "max_length": "128",
    "learning_rate": "1e-3",
    "log_every": "1",
    "keep": "1",
    "device": "cpu",
}
SHARE = 0.3


@pytest.fixture
def provider() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length", noise=0.2))) as running:
        yield running


@pytest.fixture
def ledger(judged: Path) -> Iterator[Ledger]:
    with Ledger.open(judged) as opened:
        snapshot(opened, "all", Choice())
        yield opened


def task(model: str, folder: Path, server: Simulator, **given: object) -> TrainTask:
    """A run of dpo on the judged sums that is evaluated every second step."""
    asked = Provider(base_url=server.base_url)
    told = {"every": 2, "annotator": "plain", "max_new_tokens": 6, "provider": asked, **given}
    return TrainTask(model, folder, "all", held_out=SHARE, evaluating=Evaluating(**told))  # type: ignore[arg-type]


def learnt(ledger: Ledger, wanted: TrainTask, method: str = "dpo", **options: str) -> TrainReport:
    return train(ledger, method, wanted, None, OPTIONS | options)


def test_the_best_checkpoint_is_kept_and_every_evaluation_is_in_the_ledger(
    ledger: Ledger, model_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    report = learnt(ledger, task(model_dir, tmp_path / "run", provider))
    found = report.evaluated
    assert found is not None
    assert found.best is not None
    assert [each.step for each in found.rates] == [2, 4, 6]
    keys = {each.key for each in training.instructed(ledger, found.set_name)}
    every = {each.key for each in training.instructed(ledger, "sums")}
    assert keys == {key for key in every if keyed_uniform("held out", key) < SHARE}
    assert all(each.n + each.n_failed == len(keys) for each in found.rates)
    assert all(each.low is not None and each.low < each.win_rate < (each.high or 0) for each in found.rates)
    assert found.best.win_rate == max(each.win_rate for each in found.rates)
    kept = {path.name for path in whole_checkpoints(tmp_path / "run")}
    assert kept == {f"step-{found.best.step:08d}", "step-00000006"}
    books = provider.stats()
    assert paid(ledger)[:2] == (books.hits, books.prompt_tokens)
    with ledger.reading() as connection:
        rows = connection.execute(select(METRIC).where(METRIC.c.name.startswith("evaluate/"))).all()
        drawn = connection.execute(
            select(OUTPUT.c.producer).where(OUTPUT.c.producer.contains(" step "))
        ).all()
        saved = set(map(tuple, connection.execute(select(CHECKPOINT.c.step, CHECKPOINT.c.path))))
    logged = {(row.step, row.name.removeprefix("evaluate/")): row.value for row in rows}
    assert [logged[each.step, "win_rate"] for each in found.rates] == [each.win_rate for each in found.rates]
    assert [logged[each.step, "low"] for each in found.rates] == [each.low for each in found.rates]
    assert logged[6, "bought"] == sum(each.n for each in found.rates)
    assert len(drawn) == 4 * len(keys), "the start, and three checkpoints"
    assert (found.best.step, found.best.path) in saved
    hits = books.hits
    again = learnt(ledger, task(model_dir, tmp_path / "run", provider))
    assert again.evaluated == found
    assert provider.stats().hits == hits, "a finished run asks nothing"
    told = trace(ledger, report.checkpoint, limit=1)
    [evaluated] = [each for each in told.basis[0].basis if each.name == f"source:{found.source}"]
    assert evaluated.hidden == paid(ledger).requests
    assert trace(ledger, f"source:{found.source}", limit=1).basis
    [last] = {row.producer for row in drawn if row.producer.endswith("step 6")}
    assert f"run:{report.run}" in json.dumps(trace(ledger, f"model:{last}").to_json(content=False))


def test_killed_or_out_of_budget_it_goes_on_and_asks_nothing_twice(
    judged: Path, model_dir: str, tmp_path: Path, provider: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(judged) as ledger:
        snapshot(ledger, "all", Choice())
    (tmp_path / "other.db").write_bytes(judged.read_bytes())
    with Ledger.open(judged) as ledger:
        whole = learnt(ledger, task(model_dir, tmp_path / "whole", provider)).evaluated
        bill = paid(ledger)
    assert whole is not None
    wanted = task(model_dir, tmp_path / "cut", provider)

    def capped(**caps: float) -> TrainTask:
        asked = replace(wanted.evaluating, provider=replace(wanted.evaluating.provider, **caps))  # type: ignore[arg-type]
        return replace(wanted, evaluating=asked)

    with Ledger.open(tmp_path / "other.db") as other:
        enough = bill.requests // 2
        for _ in range(2):
            with pytest.raises(Paused, match="the evaluation of step 4: the budget is used up") as paused:
                learnt(other, capped(max_requests=enough))
            assert "the checkpoint is " in str(paused.value)
            assert paid(other).requests == enough, "the cap holds for the run, not for each process"
        with monkeypatch.context() as patch:
            patch.setattr(Evaluations, "_figures", killed)
            with pytest.raises(KeyboardInterrupt):
                learnt(other, wanted)
        cut = learnt(other, capped(max_requests=bill.requests)).evaluated
        assert paid(other) == bill
    assert cut is not None
    assert [replace(each, path="") for each in cut.rates] == [replace(each, path="") for each in whole.rates]
    assert provider.stats().hits == 2 * bill.requests


def killed(*_: object) -> dict[str, float]:
    """What happens to a process between the judgements of an evaluation and its figures."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["longest", "reward-model", "crowd"])
def test_every_kind_of_judge_evaluates(
    name: str, ledger: Ledger, model_dir: str, scorer_dir: str, tmp_path: Path, provider: Simulator
) -> None:
    """A rule, a reward model in this process, a pool at a server in both orders and two replicates."""
    given: dict[str, object] = {"annotator": name, "every": 3, "limit": 5}
    if name == "reward-model":
        given["provider"] = Provider(models=(scorer_dir,))
    times = 4 if name == "crowd" else 1
    if name == "crowd":
        given["judging"] = Task(orders=Orders.BOTH, replicates=2)
    found = learnt(ledger, task(model_dir, tmp_path / "run", provider, **given)).evaluated
    assert found is not None
    assert [(each.step, each.n) for each in found.rates] == [(3, 5 * times), (6, 5 * times)]
    assert (provider.stats().hits > 0) == (name == "crowd")


def test_a_run_stops_where_it_turns_and_says_so(judged: Path, model_dir: str, tmp_path: Path) -> None:
    """sft learns short answers, and the judge is the rule `longest`."""
    own = Evaluating(every=4, annotator="longest", max_new_tokens=16, stop=True)
    wanted = TrainTask(model_dir, tmp_path / "run", set_name="sums", held_out=0.5, evaluating=own)
    with Ledger.open(judged) as ledger:
        options = {"max_steps": "24", "learning_rate": "1e-2", "log_every": "5"}
        report = learnt(ledger, wanted, "sft", **options)
        found = report.evaluated
        assert found is not None
        assert found.best is not None
        assert found.fall is not None
        assert found.fall.low is not None
        assert found.fall.low > 0
        assert (report.steps, found.best.step) == (8, 4)
        assert report.checkpoint.endswith("step-00000008")
        logged = metrics(ledger).query("name == 'loss'")["step"].tolist()
        assert logged == [5, 8]
        again = learnt(ledger, wanted, "sft", **options)
    assert (again.steps, again.evaluated) == (report.steps, found)
    console = Console(width=200, file=StringIO())
    console.print(train_view(report))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"best checkpoint: {found.best.path}" in shown
    assert "stopped: the last checkpoint is " in shown


def test_held_out_instructions_are_never_learnt_from(
    ledger: Ledger, model_dir: str, scorer_dir: str, tmp_path: Path
) -> None:
    own = Evaluating(every=3, annotator="longest", set_name="sums")
    wanted = TrainTask(model_dir, tmp_path / "run", "all", held_out=SHARE, evaluating=own)
    learnt_keys, held_out = learnt_from(ledger, wanted)
    name = held_out_set(ledger, wanted)
    keys = {each.key for each in training.instructed(ledger, name)}
    assert keys == {each.key for each in held_out}
    assert not keys & learnt_keys
    assert name == "sums not in snapshot all held out 0.3"
    with ledger.writing() as writer:
        writer.memberships([Membership(Instruction("Say no."), "others")])
    assert held_out_set(ledger, replace(wanted, evaluating=replace(own, set_name="others"))) == "others"
    for change, message in (
        ({"held_out": 0.0}, "sums: no instruction is held out .raise --held-out"),
        ({"evaluating": replace(own, set_name="none")}, "none: there are no instructions"),
        ({"evaluating": replace(own, annotator="longer")}, "longer"),
    ):
        with pytest.raises(ConfigError, match=message):
            learnt(ledger, replace(wanted, **change))
    with pytest.raises(ConfigError, match="this method makes no model that answers instructions"):
        learnt(ledger, replace(wanted, model=scorer_dir), "reward_model")
    for given, message in (
        ({"annotator": "longest"}, "evaluations lack their distance"),
        ({"every": 3}, "evaluations need a judge"),
    ):
        with pytest.raises(ConfigError, match=message):
            Evaluating(**given)
