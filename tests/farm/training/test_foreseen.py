"""What a dry run says of memory and time, beside what the run takes in a process of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from cli import app
from tests.support.foreseen_runs import measured, write_study

METHODS = ("sft", "dpo", "reward_model", "grpo", "ppo", "hypo", "gkd")
BESIDE = ("hypo", "gkd")
DRAWS = ("grpo", "ppo", *BESIDE)
NEEDS_REWARD = ("grpo", "ppo")
# hidden size, layers, vocabulary, rows, characters of a row, rows of a step, steps
TINY = (64, 2, 1_000, 64, 200, 8, 8)
LARGER = (576, 6, 49_152, 48, 240, 4, 6)


def study(folder: Path, size: tuple[int, ...]) -> None:
    hidden, layers, vocabulary, rows, characters, _, _ = size
    write_study(folder, rows=rows, characters=characters, hidden=hidden, layers=layers, vocabulary=vocabulary)


def command(folder: Path, method: str, size: tuple[int, ...]) -> list[str]:
    *_, characters, batch, steps = size
    options = {
        "--model": folder / "model",
        "--out": folder / method,
        "--held-out": 0,
        "--batch_size": batch,
        "--max_steps": steps,
        "--max_length": 2048,
    }
    if method in ("dpo", "reward_model", "hypo"):
        options["--snapshot"] = "people"
    else:
        options["--set"] = "asked"
    if method in NEEDS_REWARD:
        options["--reward"] = folder / "reward"
    if method in DRAWS:
        options["--max_new_tokens"] = characters // 2
    if method == "gkd":
        options["--teacher"] = folder / "model"
    if method == "grpo":
        options["--n"] = 4
    flags = [str(part) for pair in options.items() for part in pair]
    return ["--ledger", str(folder / "farm.db"), "train", method, *flags]


def test_memory_of_a_tiny_run(tmp_path: Path) -> None:
    study(tmp_path, TINY)
    asked = command(tmp_path, "dpo", TINY)
    foreseen, came = measured(tmp_path, *asked, "--dry-run"), measured(tmp_path, *asked)
    assert foreseen.said["memory"]["peak"] == pytest.approx(came.peak, rel=0.15)
    assert foreseen.said["steps"] == came.said["steps"] == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "method"),
    [(TINY, each) for each in METHODS] + [(LARGER, each) for each in METHODS if each not in BESIDE],
)
def test_memory_and_time_of_a_run(tmp_path: Path, size: tuple[int, ...], method: str) -> None:
    """The peak is within 15 %. The time is within 30 % where it is not that of loading alone.

    Methods that draw beside rows at hand are held in the tiny size: see docs/train.md for the larger one.
    """
    study(tmp_path, size)
    asked = command(tmp_path, method, size)
    foreseen, came = measured(tmp_path, *asked, "--dry-run"), measured(tmp_path, *asked)
    peak, seconds = foreseen.said["memory"]["peak"], foreseen.said["time"]["total"]
    took = came.said["seconds"]
    print(f"{method}: {peak / 1e6:.0f} of {came.peak / 1e6:.0f} MB, {seconds:.1f} of {took:.1f} s")
    assert peak == pytest.approx(came.peak, rel=0.15)
    if size == LARGER:
        assert seconds == pytest.approx(took, rel=0.3)


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Any]:
    """Runs `farm train METHOD --json` with more flags on a small study, in this process."""
    study(tmp_path, TINY)

    def run(method: str, *more: str) -> Any:
        done = CliRunner().invoke(app, [*command(tmp_path, method, TINY), *more, "--json"])
        return json.loads(done.stdout) if done.exit_code == 0 else str(done.exception)

    return run


@pytest.mark.parametrize("method", ["dpo", "ppo"])
def test_a_dry_run_writes_nothing(asked: Callable[..., Any], tmp_path: Path, method: str) -> None:
    before = {path: path.stat().st_size for path in tmp_path.rglob("*") if "-" not in path.suffix}
    found = asked(method, "--dry-run")
    assert {path: path.stat().st_size for path in tmp_path.rglob("*") if "-" not in path.suffix} == before
    assert found["steps"] == 8
    assert found["time"]["timed"] == {"dpo": 4, "ppo": 8}[method]
    assert found["time"]["total"] > found["time"]["steps"] > 0
    assert found["memory"]["moments"] == 2 * found["memory"]["gradients"]


def test_the_tokens_that_are_learnt_from_are_those_of_the_run(asked: Callable[..., Any]) -> None:
    """The log of the run has the tokens of each step; 8 steps of 8 rows are one epoch of 64."""
    foreseen = asked("sft", "--dry-run")
    came = asked("sft", "--log_every", "8")
    assert foreseen["tokens"] == pytest.approx(8 * came["metrics"]["tokens"], rel=1e-6)
    assert foreseen["checkpoint"] == pytest.approx(4 * foreseen["memory"]["weights"], rel=0.01)


def test_a_run_that_does_not_fit_is_refused_with_what_would_fit(
    asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is named fits, and by the words of the error the run is begun."""
    monkeypatch.setattr("farm.training.foreseen.held_now", lambda device: 500_000_000)
    whole = asked("dpo", "--dry-run")["memory"]
    little = str((whole["peak"] - whole["activations"] / 3) / 1e9)
    said = asked("dpo", "--memory", little)
    assert re.search(r"would take 0\.\d GB of memory, and it may take 0\.\d GB", said)
    [flags] = re.findall(r"try (--micro_batch \d+) \(", said)
    changed = asked("dpo", "--memory", little, "--dry-run", *flags.split())
    assert changed["memory"]["activations"] < whole["activations"] * 2 / 3
    assert "take a smaller model" in asked("dpo", "--memory", "0.5")


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(
    asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.train.LoadedModels.policy", None)
    assert "take a smaller model, LoRA" in asked("dpo", "--memory", "0.0001")


def test_a_teacher_that_does_not_fit_is_refused_before_it_is_loaded(
    asked: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy has its weights, a gradient and two moments of each; the teacher its weights alone."""
    monkeypatch.setattr("farm.train.LoadedModels.policy", None)
    weights = sum(each.nbytes for each in load_file(tmp_path / "model" / "model.safetensors").values())
    assert "would take" in asked("gkd", "--memory", str(4.9 * weights / 1e9))
    assert "NoneType" in asked("gkd", "--memory", str(5.1 * weights / 1e9))  # it was to be loaded


@pytest.mark.parametrize(("method", "of"), [("hypo", "dpo"), ("gkd", "sft")])
def test_responses_that_are_drawn_beside_rows_at_hand_are_foreseen(
    asked: Callable[..., Any], method: str, of: str
) -> None:
    """hypo learns from two draws to each prompt beside dpo's pairs, gkd in half of the steps from a draw."""
    found, without = asked(method, "--dry-run", "--max_new_tokens", "500"), asked(of, "--dry-run")
    assert found["memory"]["drawing"] > 0 == without["memory"]["drawing"]
    assert found["memory"]["activations"] > 2 * without["memory"]["activations"]
    rows = 64 * (2 if method == "hypo" else 0.5) * 500
    assert rows < found["tokens"] - without["tokens"] * (1 if method == "hypo" else 0.5) < 1.4 * rows


def test_a_server_that_draws_takes_no_memory_here_but_copies_of_the_weights(
    asked: Callable[..., Any],
) -> None:
    """Nobody listens there: a dry run asks no server, so it tells no time."""
    here, there = (
        asked("grpo", "--dry-run"),
        asked("grpo", "--dry-run", "--rollout-url", "http://127.0.0.1:9"),
    )
    assert here["memory"]["drawing"] > 0 == there["memory"]["drawing"]
    assert here["pushed"] == 0 < there["pushed"] == 2 * there["memory"]["weights"]
    assert there["time"] is None
    assert there["memory"]["rating"] == here["memory"]["rating"]


def test_lora_and_micro_batches_take_less(asked: Callable[..., Any]) -> None:
    whole, adapted, parted = (
        asked("sft", "--dry-run", *more)["memory"]
        for more in ([], ["--lora_rank", "4"], ["--micro_batch", "2"])
    )
    assert adapted["moments"] < whole["moments"] / 4
    assert parted["activations"] < whole["activations"] / 2
