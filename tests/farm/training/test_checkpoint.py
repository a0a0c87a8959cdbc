import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from _pytest.mark.structures import ParameterSet
from safetensors.torch import load_file

from farm.methods import load
from farm.models.tokens import Prompt
from farm.training.checkpoint import CheckpointError, RunFolder, whole_checkpoints
from farm.training.data import Data, Demonstration
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.run_models import LoadedModels
from tests.support.train_script import train

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "tests" / "support" / "train_script.py"
DEMOS = [Demonstration(Prompt(f"say {i}"), "hello") for i in range(12)]
SFT = load("sft")
ON_POLICY = [
    "max_new_tokens=8",
    "epochs=1.5",
    "rollout_epochs=2",
    "minibatches=1",
    "kl_target=0.1",
]  # 12 steps


def slow(value: object) -> ParameterSet:
    """A value for `make prove` alone."""
    return pytest.param(value, marks=pytest.mark.slow)


def run(*arguments: object, kill_at: int | None = None) -> None:
    """Train in a process of its own, which gets a SIGKILL right after the given line of its output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for number, _ in enumerate(process.stdout, 1):
            if number == kill_at:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL)


def final(folder: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """Every tensor of the latest checkpoint, optimizer included."""
    latest = whole_checkpoints(folder / "run")[-1]
    state = torch.load(latest / "training.pt", weights_only=True)
    moments = {f"{i}.{k}": v for i, s in state["optimizer"]["state"].items() for k, v in s.items()}
    return latest.name, load_file(latest / "model" / "model.safetensors") | state["trained"] | moments


def assert_same_bits(
    one: tuple[str, dict[str, torch.Tensor]], other: tuple[str, dict[str, torch.Tensor]]
) -> None:
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    assert all(torch.equal(tensor, other[1][key]) for key, tensor in one[1].items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sft", "dpo", "ppo"])
def test_killed_and_resumed_is_bit_for_bit_the_uninterrupted_run(
    name: str, tmp_path: Path, model_dir: str
) -> None:
    options = ["save_every=3"] + (ON_POLICY if name == "ppo" else [])
    run(name, model_dir, tmp_path / "whole", *options)
    run(name, model_dir, tmp_path / "killed", *options, kill_at=random.Random(os.getpid()).randrange(3, 12))
    assert "step-00000012" not in [path.name for path in whole_checkpoints(tmp_path / "killed" / "run")]
    run(name, model_dir, tmp_path / "killed", *options)
    assert_same_bits(final(tmp_path / "whole"), final(tmp_path / "killed"))


@pytest.mark.parametrize("name", ["simpo", "kto", "aot", "pl_dpo", "awr", "tr_dpo", "f_sft", "polar"])
def test_a_number_of_a_whole_step_resumes_exactly(name: str, tmp_path: Path, model_dir: str) -> None:
    """Without a reference, with outputs, groups or values, ranks over a step, a moving reference."""
    options = {"save_every": 2, "keep": 9, "max_steps": 5} | ({"sync_every": 2} if name == "tr_dpo" else {})
    train(name, model_dir, tmp_path / "whole", options)
    expected = final(tmp_path / "whole")
    for late in whole_checkpoints(tmp_path / "whole" / "run")[1:]:
        late.rename(tmp_path / late.name)
    train(name, model_dir, tmp_path / "whole", options)
    assert_same_bits(expected, final(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sft", "dpo", "ipo", "reward_model", "ppo"])
def test_a_storm_of_kills_changes_no_bit(name: str, tmp_path: Path, model_dir: str) -> None:
    options = ["save_every=1", "epochs=4"] + (ON_POLICY if name == "ppo" else [])
    run(name, model_dir, tmp_path / "whole", *options)
    shuffler = random.Random(0)
    for _ in range(6):
        run(name, model_dir, tmp_path / "killed", *options, kill_at=shuffler.randrange(1, 3))
    run(name, model_dir, tmp_path / "killed", *options)
    assert_same_bits(final(tmp_path / "whole"), final(tmp_path / "killed"))


def trained(folder: Path, model_dir: str, **options: Any) -> Method[Any]:
    """A run in this process; `stop` ends it after so many steps as a crash would."""
    stop = options.pop("stop", None)
    config = SFT.Config(**({"batch_size": 4, "learning_rate": 1e-2, "epochs": 2.0, "log_every": 1} | options))
    method = SFT(config, Data(DEMOS), LoadedModels(model_dir, config))

    def log(step: int, metrics: Mapping[str, float]) -> None:
        if step == stop:
            raise KeyboardInterrupt

    if stop is None:
        fit(method, config, log, RunFolder(folder, config))
    else:
        with pytest.raises(KeyboardInterrupt):
            fit(method, config, log, RunFolder(folder, config))
    return method


@pytest.mark.parametrize("options", [{}, {"lora_rank": 2, "lora_dropout": 0.5}])
def test_resume_is_exact_with_dropout_too(tmp_path: Path, model_dir: str, options: dict[str, Any]) -> None:
    whole = trained(tmp_path / "whole", model_dir, **options)
    trained(tmp_path / "cut", model_dir, stop=5, save_every=2, **options)
    resumed = trained(tmp_path / "cut", model_dir, save_every=2, **options)
    for (name, weight), other in zip(
        whole.trained.named_parameters(), resumed.trained.parameters(), strict=True
    ):
        assert torch.equal(weight, other), name


def test_only_the_latest_checkpoints_are_kept(tmp_path: Path, model_dir: str) -> None:
    trained(tmp_path, model_dir, save_every=1, keep=2)
    assert [p.name for p in whole_checkpoints(tmp_path)] == ["step-00000005", "step-00000006"]
    assert sorted(os.listdir(tmp_path)) == ["step-00000005", "step-00000006"]


def test_a_finished_run_is_not_trained_again(tmp_path: Path, model_dir: str) -> None:
    first = trained(tmp_path, model_dir)
    before = (tmp_path / "step-00000006" / "training.pt").stat().st_mtime_ns
    second = trained(tmp_path, model_dir, stop=None)
    assert (tmp_path / "step-00000006" / "training.pt").stat().st_mtime_ns == before
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.trained.parameters(), second.trained.parameters(), strict=True)
    )


def test_half_written_checkpoints_are_not_seen(tmp_path: Path, model_dir: str) -> None:
    trained(tmp_path, model_dir, save_every=3, stop=4)
    half = tmp_path / ".partial-step-00000005"
    half.mkdir()
    (half / "training.pt").write_bytes(b"half")
    (tmp_path / "step-00000006").mkdir()
    assert [p.name for p in whole_checkpoints(tmp_path)] == ["step-00000003"]
    trained(tmp_path, model_dir, save_every=3)
    assert [p.name for p in whole_checkpoints(tmp_path)] == ["step-00000003", "step-00000006"]
    assert not half.exists()


@pytest.mark.parametrize("victim", ["training.pt", "model/model.safetensors"])
def test_a_damaged_checkpoint_is_a_clear_error(tmp_path: Path, model_dir: str, victim: str) -> None:
    trained(tmp_path, model_dir)
    with (tmp_path / "step-00000006" / victim).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(CheckpointError, match="damaged"):
        trained(tmp_path, model_dir)
    trained(tmp_path / "other", model_dir)
    training = tmp_path / "other" / "step-00000006" / "training.pt"
    training.write_bytes(b"x" * training.stat().st_size)
    with pytest.raises(CheckpointError, match=r"damaged: training\.pt does not hold what was written"):
        trained(tmp_path / "other", model_dir)
    (training.parent / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        trained(tmp_path / "other", model_dir)


def test_a_run_with_another_configuration_is_refused(tmp_path: Path, model_dir: str) -> None:
    trained(tmp_path, model_dir, save_every=2, stop=3)
    with pytest.raises(CheckpointError, match="another configuration"):
        trained(tmp_path, model_dir, learning_rate=1e-3)
    nothing: Any = None
    other = RunFolder(tmp_path, SFT.Config(batch_size=4, learning_rate=1e-2, epochs=2.0), inputs="other data")
    with pytest.raises(CheckpointError, match="other data"):
        other.restore(nothing, nothing, nothing)
    trained(tmp_path, model_dir, save_every=5, log_every=3)


def test_a_run_of_another_architecture_is_refused(tmp_path: Path, model_dir: str) -> None:
    method = trained(tmp_path, model_dir)
    config = load("reward_model").Config()
    scorer = LoadedModels(model_dir, config).scorer()
    folder = RunFolder(tmp_path, SFT.Config(batch_size=4, learning_rate=1e-2, epochs=2.0, log_every=1))
    method.trained = scorer
    optimizer, nothing = torch.optim.AdamW(scorer.parameters()), cast(Any, None)
    with pytest.raises(CheckpointError, match="another architecture"):
        folder.restore(method, optimizer, nothing)


@pytest.mark.parametrize(  # fails in config.json, in the weights, in training.pt
    "limit", [slow(100), slow(30_000), 200_000]
)
def test_a_full_disk_is_a_clear_error_and_leaves_the_old_checkpoint(
    tmp_path: Path, model_dir: str, limit: int
) -> None:
    """A file-size limit fails writes half-way as a full disk does."""
    code = f"""
import resource, signal
from pathlib import Path
from farm.training.checkpoint import CheckpointError, RunFolder
from farm.training.data import Data, Demonstration
from farm.training.loop import fit
from farm.models.tokens import Prompt
from farm.methods.sft import SFT, SFTConfig
from farm.training.run_models import LoadedModels

def log(step, metrics):
    if step == 2:  # the checkpoint of step 1 is written, that of step 2 comes next
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({{limit}}, resource.RLIM_INFINITY))

config = SFTConfig(batch_size=1, epochs=3, save_every=1, log_every=1)
method = SFT(config, Data([Demonstration(Prompt("a"), "b")]), LoadedModels({model_dir!r}, config))
try:
    fit(method, config, log, RunFolder(Path({str(tmp_path)!r}), config))
except CheckpointError as error:
    print(error)
"""
    command = [sys.executable, "-c", code.replace("{limit}", str(limit))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "checkpoint of step 2 could not be written" in out.stdout
    assert "free some space" in out.stdout
    assert [path.name for path in whole_checkpoints(tmp_path)] == ["step-00000001"]
    assert os.listdir(tmp_path) == ["step-00000001"]


def test_what_a_checkpoint_holds(tmp_path: Path, model_dir: str) -> None:
    trained(tmp_path, model_dir)
    checkpoint = tmp_path / "step-00000006"
    sizes = json.loads((checkpoint / "manifest.json").read_text())
    assert {
        "training.pt",
        "model/model.safetensors",
        "model/config.json",
        "model/prompt_template.json",
    } <= set(sizes)
    assert all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    config = replace(SFT.Config(), save_every=4)
    assert [RunFolder(tmp_path, config).due(step) for step in (3, 4, 8)] == [False, True, True]


def test_frozen_weights_are_not_stored_with_the_state_of_training(tmp_path: Path, model_dir: str) -> None:
    trained(tmp_path / "run", model_dir, lora_rank=2)
    [checkpoint] = whole_checkpoints(tmp_path / "run")
    held = torch.load(checkpoint / "training.pt", weights_only=True)["trained"]
    assert held
    assert all(".lora_" in name for name in held)
