"""Every method by the command, on a model that is not the world's; and demonstrations beside its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import history
from farm.methods import METHODS, REWARD_MODELS, load
from farm.models.scorer import Scorer
from farm.snapshot import Choice, snapshot
from farm.train import TrainTask, method_options, train
from farm.training.checkpoint import CheckpointError
from farm.training.conversions import FROM_SNAPSHOT
from tests.support.objectives import pair_trainers

QUICK = {"max_steps": "1", "batch_size": "8", "max_length": "128", "log_every": "1"}
ONE_VOTE = {"p2c": {"consistency": "0", "preference": "0"}}  # the snapshot has one of each output
LIKE_DPO = {name for name, _ in pair_trainers()} - {"dpo", "simpo"}
LONG = {"genrm"}  # the prompts of judges are longer than these models read: see test_genrm.py
OWN_WAYS = [name for name in METHODS if name not in LIKE_DPO | LONG]


@pytest.fixture(scope="module")
def another_size(
    make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, str]:
    """A Llama of three layers and 48 wide, and a reward model on it with a random head."""
    model, reward = make_model(hidden=48, layers=3), tmp_path_factory.mktemp("reward")
    Scorer.load(str(model), new_head=True).save(reward)
    return str(model), str(reward)


@pytest.mark.parametrize("method", OWN_WAYS)
def test_every_method_runs_on_a_llama_of_another_size(
    judged: Path, tmp_path: Path, another_size: tuple[str, str], method: str
) -> None:
    """The files of farm/methods know nothing of the world's own model: `farm train` takes any causal LM.

    Losses on pairs meet the model in one place, so one with a reference and one without stand for all.
    """
    model, reward = another_size
    with Ledger.open(judged) as opened:
        snapshot(opened, "people", Choice())
    command = ["--ledger", str(judged), "train", method, "--model", model, "--out", str(tmp_path / "run")]
    from_snapshot = load(method).data_kind in FROM_SNAPSHOT
    command += ["--snapshot", "people"] if from_snapshot else ["--set", "sums"]
    needs = load(method).needs
    asked = {"--reward": reward, "--token-reward": model, "--teacher": model, "--demonstrations": "sums"}
    told = [flag for flag in asked if flag[2:].replace("-", "_") in needs] + ["--reward"] * ("judge" in needs)
    command += [part for flag in told for part in (flag, asked[flag])]
    drawing = any(each.name == "max_new_tokens" for each in method_options(method))
    command += ["--max_new_tokens", "8"] if drawing else []
    options = QUICK | ONE_VOTE.get(method, {})
    command += [part for name, value in options.items() for part in (f"--{name}", value)]
    shown = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    trained = Path(json.loads(shown.stdout)["checkpoint"]) / "model"
    scores = json.loads((trained / "config.json").read_text())["architectures"] != ["LlamaForCausalLM"]
    assert scores == (method in REWARD_MODELS - {"genrm", "implicit_prm"})
    loads = AutoModelForSequenceClassification if scores else AutoModelForCausalLM
    loaded = loads.from_pretrained(trained)
    assert loaded.config.hidden_size == 48
    weights, before = loaded.model.state_dict(), AutoModelForCausalLM.from_pretrained(model).model
    assert any(not weights[name].equal(value) for name, value in before.layers.named_parameters("layers"))


def test_demonstrations_are_imitated_beside_the_samples_where_a_method_can(
    judged: Path, tmp_path: Path, another_size: tuple[str, str]
) -> None:
    """With them there is more to learn: more steps in an epoch, under another identity."""
    model, reward = another_size
    task = TrainTask(model, tmp_path / "alone", set_name="sums", reward=reward, held_out=0.0)
    quick = {"n": "1", "top": "0.5", "max_new_tokens": "8", "epochs": "1", "batch_size": "4"}
    with Ledger.open(judged) as opened:
        alone = train(opened, "feedme", task, None, quick)
        beside = replace(task, folder=tmp_path / "beside", demonstrations="sums")
        assert train(opened, "feedme", beside, None, quick).steps == alone.steps + 40 // 4
        [*_, run] = history.runs(opened)
        assert json.loads(run.run.config)["demonstrations"] == "sums"
        with pytest.raises(CheckpointError):
            train(opened, "feedme", replace(beside, demonstrations=None), None, quick)
        with pytest.raises(ConfigError, match="rloo imitates no demonstrations"):
            train(opened, "rloo", beside, None, {})
        with pytest.raises(ConfigError, match="there are no demonstrations"):
            train(opened, "feedme", replace(beside, demonstrations="none"), None, quick)
