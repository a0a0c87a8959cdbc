"""From judgements to a checkpoint: snapshots, runs and their rows in the ledger, on a real small model."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from sqlalchemy import select
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from db.errors import ConfigError
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.queries import history
from db.records import Annotation, AnnotatorCard, AnnotatorKind
from db.tables import ANNOTATION, CHECKPOINT, METRIC, RUN
from farm.config import TrainConfig
from farm.import_ import import_files
from farm.methods import METHODS
from farm.models.tokens import Prompt
from farm.progress import silent
from farm.snapshot import Choice, snapshot
from farm.train import TrainReport, TrainTask, method_options, train
from farm.training.checkpoint import CheckpointError
from farm.training.data import Data, JudgedOutput, OutputGroup
from farm.training.tracking import tracked
from tests.support.command_line import FARM

QUICK = {"max_steps": "3", "batch_size": "8", "max_length": "128", "log_every": "1"}
ASKED = Prompt("Add 0 and 2.")


@pytest.fixture
def ledger(judged: Path) -> Path:
    return judged


def test_kto_learns_from_ratings_and_a_method_of_pairs_refuses_them(tmp_path: Path, model_dir: str) -> None:
    rows = [
        {"prompt": f"Add {i} and 1.", "completion": str(i + k), "label": k == 1}
        for i in range(8)
        for k in (1, 2)
    ]
    (tmp_path / "kto.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        import_files(ledger, "trl-unpaired", [tmp_path / "kto.jsonl"], ReadOptions(), silent)
        snapshot(ledger, "people", Choice(unpaired=True))
        task = TrainTask(model_dir, tmp_path / "run", "people", held_out=0.0)
        report = train(ledger, "kto", task, None, QUICK)
        assert (report.rows, report.steps) == (16, 3)
        assert report.metrics["loss"] == pytest.approx(0.5, abs=0.2)  # the policy is hardly off its reference
        with pytest.raises(
            ConfigError, match="'people' has single outputs, and this method learns from pairs"
        ):
            train(ledger, "dpo", task, None, QUICK)


def test_groups_are_made_of_ratings_and_where_there_are_none_it_says_so(
    tmp_path: Path, model_dir: str
) -> None:
    def rated(ledger: Ledger, name: str, outputs: int) -> None:
        rows = [
            {"prompt": f"Add {i} and 1 {name}.", "completion": str(i + k), "label": k == 1}
            for i in range(8)
            for k in range(outputs)
        ]
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        import_files(ledger, "trl-unpaired", [tmp_path / "rows.jsonl"], ReadOptions(source=name), silent)
        snapshot(ledger, name, Choice(unpaired=True, source=name))

    def learnt(ledger: Ledger, name: str) -> TrainReport:
        task = TrainTask(model_dir, tmp_path / name, name, held_out=0.0)
        return train(ledger, "pl_dpo", task, None, QUICK)

    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        rated(ledger, "three", 3)
        rated(ledger, "one", 1)
        report = learnt(ledger, "three")
        assert report.rows == 8
        assert report.metrics["loss"] == pytest.approx(math.log(3) + math.log(2), abs=0.3)
        with pytest.raises(ConfigError, match=r"one.*no groups to learn from.*rate two of them or more"):
            learnt(ledger, "one")


@pytest.mark.parametrize(
    ("method", "loads"),
    [
        ("sft", AutoModelForCausalLM),
        ("dpo", AutoModelForCausalLM),
        ("reward_model", AutoModelForSequenceClassification),
    ],
)
def test_a_method_trains_from_the_ledger(
    ledger: Path, tmp_path: Path, model_dir: str, method: str, loads: Any
) -> None:
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", "people", "sums", held_out=0.2)
        report = train(opened, method, task, None, QUICK)
        assert report.rows + report.held_out == 40
        assert report.held_out > 0
        assert {"loss", "eval/loss", "grad_norm"} <= report.metrics.keys()
        with opened.reading() as connection:
            [run] = connection.execute(RUN.select()).all()
            steps = {row.step for row in connection.execute(METRIC.select())}
            [checkpoint] = connection.execute(CHECKPOINT.select()).all()
    assert json.loads(run.config)["max_steps"] == 3
    assert (run.command, steps, checkpoint.path) == (f"train {method}", {1, 2, 3}, report.checkpoint)
    loads.from_pretrained(Path(report.checkpoint) / "model")


def test_training_again_goes_on_and_other_data_is_refused(
    ledger: Path, tmp_path: Path, model_dir: str
) -> None:
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        snapshot(opened, "ada", Choice(("ada",)))
        task = TrainTask(model_dir, tmp_path / "run", "people")
        card = Path(train(opened, "dpo", task, None, QUICK).checkpoint) / "README.md"
        text = card.read_text()
        card.unlink()  # as if the run had been killed before it wrote the card
        assert train(opened, "dpo", task, None, QUICK).steps == 3  # nothing is left to do
        assert card.read_text() == text


def test_metrics_wait_for_a_checkpoint_or_the_end_and_none_is_lost(
    ledger: Path, tmp_path: Path, model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is ended after step 3, one step after a checkpoint, when nothing was due by time."""
    monkeypatch.setattr("farm.runs.rows.METRICS_SECONDS", 3600.0)
    known: list[list[int]] = []
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())

        def steps() -> list[int]:
            return sorted(set(history.metrics(opened)["step"]))

        def progress(_: str, step: int, total: int | None = None, /) -> None:
            known.append(steps())
            if step == 3:
                raise KeyboardInterrupt

        flags = {**QUICK, "max_steps": "4", "save_every": "2"}
        with pytest.raises(KeyboardInterrupt):
            train(opened, "dpo", TrainTask(model_dir, tmp_path / "run", "people"), None, flags, progress)
        assert known == [[], [], [1, 2]]
        assert steps() == [1, 2, 3]


def test_errors_name_everything_that_is_wrong(ledger: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger) as opened:
        task = TrainTask("nowhere", tmp_path / "run")
        with pytest.raises(
            ConfigError, match=r"unknown option 'bta'; did you mean 'beta'\?.*max_steps is 'x'"
        ):
            train(opened, "dpo", task, None, {"bta": "1", "max_steps": "x"})
        with pytest.raises(ConfigError, match="no method 'dop'"):
            train(opened, "dop", task, None, {})
        with pytest.raises(ConfigError, match="name a --snapshot"):
            train(opened, "dpo", task, None, {})
        with pytest.raises(ConfigError, match=r"no snapshot 'x' \(there is none yet\)"):
            train(opened, "dpo", TrainTask("nowhere", tmp_path / "run", "x"), None, {})
        with pytest.raises(ConfigError, match="there are no demonstrations"):
            train(opened, "sft", TrainTask("nowhere", tmp_path / "run", set_name="none"), None, {})


def test_yaml_then_flags(ledger: Path, tmp_path: Path, model_dir: str) -> None:
    (tmp_path / "dpo.yaml").write_text("beta: 0.3\nmax_steps: 2\nbatch_size: 8\nmax_length: 128\n")
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", "people")
        assert train(opened, "dpo", task, tmp_path / "dpo.yaml", {"max-steps": "1"}).steps == 1
        with opened.reading() as connection:
            config = json.loads(connection.execute(RUN.select()).one().config)
    assert (config["beta"], config["max_steps"]) == (0.3, 1)


def test_metrics_go_to_tensorboard_on_request(ledger: Path, tmp_path: Path, model_dir: str) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", "people")
        train(opened, "dpo", task, None, QUICK | {"track": "tensorboard"})
        with opened.reading() as connection:
            known = {(row.name, row.step): row.value for row in connection.execute(METRIC.select())}
    [written] = tmp_path.glob("run/tensorboard/events.*")
    events = EventAccumulator(str(written)).Reload()
    found = {(tag, e.step): e.value for tag in events.Tags()["scalars"] for e in events.Scalars(tag)}
    assert found == pytest.approx(known, rel=1e-6)
    assert ("rewards/margins", 3) in found


def test_metrics_go_to_trackio_on_request(
    ledger: Path, tmp_path: Path, model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackio = pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", "people")
        report = train(opened, "dpo", task, None, QUICK | {"track": "trackio"})
    [run] = trackio.Api().runs("preference-farm")
    assert run.summary["loss"] == pytest.approx(report.metrics["loss"])


def test_a_study_may_move_but_other_weights_are_another_run(
    ledger: Path, tmp_path: Path, model_dir: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(model_dir, home / "model")

    def trained(home: Path) -> TrainReport:
        with Ledger.open(ledger) as opened:
            return train(
                opened, "sft", TrainTask(str(home / "model"), home / "run", None, "sums"), None, QUICK
            )

    first = trained(home)
    moved = home.rename(tmp_path / "moved")
    again = trained(moved)
    assert (again.steps, again.checkpoint) == (first.steps, str(moved / "run" / "step-00000003"))
    weights = load_file(moved / "model" / "model.safetensors")
    save_file({name: weight * 2 for name, weight in weights.items()}, moved / "model" / "model.safetensors")
    with pytest.raises(CheckpointError, match="another configuration or other data"):
        trained(moved)


def test_robust_dpo_takes_the_flip_rate_that_the_snapshots_votes_have(
    ledger: Path, tmp_path: Path, model_dir: str
) -> None:
    """Judged again by bob, who turns 4 of 40 verdicts: d = 0.1, ε = (1 − √0.8)/2 = 0.0528."""

    def learnt(opened: Ledger, name: str) -> TrainReport:
        task = TrainTask(model_dir, tmp_path / name, name, held_out=0.0)
        said: list[str] = []
        report = train(
            opened,
            "robust_dpo",
            task,
            None,
            QUICK | {"measure_flip_rate": "true"},
            lambda *p: said.append(p[0]),
        )
        assert said[0] == "flip rate 0.0528, from 40 pairs of votes on one pair"
        return report

    with Ledger.open(ledger) as opened:
        snapshot(opened, "alone", Choice())
        with pytest.raises(ConfigError, match=r"snapshot alone: no pair was judged twice.*--replicates 2"):
            learnt(opened, "alone")
        before = list(opened.stream(select(ANNOTATION.c.pair_id, ANNOTATION.c.label)))
        with opened.writing() as writer:
            [bob] = writer.annotators([AnnotatorCard("bob", AnnotatorKind.HUMAN)])
            turned = [label if i >= 4 else 1 - label for i, (_, label) in enumerate(before)]
            writer.annotations(
                [Annotation(pair, bob, p, p, None) for (pair, _), p in zip(before, turned, strict=True)]
            )
        snapshot(opened, "twice", Choice())
        learnt(opened, "twice")
        with opened.reading() as connection:
            [run] = connection.execute(RUN.select()).all()
    assert json.loads(run.config)["flip_rate"] == pytest.approx((1 - math.sqrt(0.8)) / 2)


def test_a_tracker_that_is_not_installed_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no_such_tracker is not"), tracked("no_such_tracker", tmp_path):
        pass


def test_progress_says_the_step_and_the_loss(ledger: Path, tmp_path: Path, model_dir: str) -> None:
    said: list[tuple[str, int, int | None]] = []

    def progress(what: str, done: int, total: int | None = None, /) -> None:
        said.append((what, done, total))

    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", "people")
        train(opened, "dpo", task, None, QUICK, progress)
    assert [line[1:] for line in said] == [(1, 3), (2, 3), (3, 3)]
    assert re.fullmatch(r"dpo; loss 0.693\d*, [\d,]+ tokens a second, \d\.\d\d GB", said[0][0])


def test_help_shows_every_option_of_the_method() -> None:
    shown = subprocess.run(
        [FARM, "train", "dpo", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in method_options("dpo"):
        assert f"--{option.name.replace('_', '-')} <{option.type}>" in shown
        assert option.doc


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("judged", [JudgedOutput(ASKED, "It is 2.", 1.0), JudgedOutput(ASKED, "It is 0.", 0.0)]),
        ("groups", [OutputGroup(ASKED, ("It is 0.", "It is 2."), (0.0, 1.0))]),
    ],
)
def test_judged_outputs_and_groups_are_made_of_a_snapshots_pairs(
    kind: str,
    expected: list[object],
    ledger: Path,
    tmp_path: Path,
    model_dir: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Seen(Exception):
        """What the method was given."""

    class Stub:
        Config, data_kind, needs = TrainConfig, kind, ()

        def __init__(self, _: object, data: Data[object], __: object) -> None:
            raise Seen(data)

    monkeypatch.setitem(METHODS, "stub", "Stub")
    monkeypatch.setattr("farm.train.load", lambda _: Stub)
    with Ledger.open(ledger) as opened:
        snapshot(opened, "people", Choice())
        task = TrainTask(model_dir, tmp_path / "run", snapshot="people")
        with pytest.raises(Seen) as seen:
            train(opened, "stub", task, None, {})
    data = seen.value.args[0]
    found = [*data.train, *data.held_out]
    assert len(found) == 40 * len(expected)
    assert [each for each in found if each.prompt == ASKED] == expected
    assert not {each.prompt for each in data.train} & {each.prompt for each in data.held_out}
