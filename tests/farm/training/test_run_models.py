"""The frozen models of a run: which a method asks for, and what is said where one is missing or too many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from farm.config import TrainConfig
from farm.train import TrainTask, train
from farm.training.run_models import LoadedModels


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        (
            "simpo",
            {"reference": "a"},
            r"--reference: simpo asks no reference model \(leave --reference out\)",
        ),
        ("reward_model", {"reference": "a"}, "reward_model asks no reference model"),
        ("dpo", {"reward": "a"}, r"--reward: dpo asks no reward model \(leave --reward out\)"),
        ("ppo", {}, r"ppo needs a reward model \(name one with --reward\)"),
        ("rto", {"reward": "a"}, r"rto needs a reward of each token \(name one with --token-reward\)"),
        ("ppo", {"reward": "a", "token_reward": "b"}, "--token-reward: ppo asks no reward of each token"),
        ("ppo", {"reward": "a", "teacher": "b"}, "--teacher: ppo asks no teacher"),
    ],
)
def test_models_that_a_method_does_not_ask_for_are_refused(
    method: str, given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        task = TrainTask("nowhere", tmp_path / "run", "people", "sums", **given)
        with pytest.raises(ConfigError, match=said):
            train(ledger, method, task, None, {})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (LoadedModels.reward, "needs a reward model"),
        (LoadedModels.token_reward, "needs a reward of each token"),
        (LoadedModels.teacher, "needs a teacher"),
    ],
)
def test_a_model_that_nobody_named_is_an_error(asked: Callable[[LoadedModels], Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked(LoadedModels("nowhere", TrainConfig()))
