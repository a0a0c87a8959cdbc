"""Words and weights: every text of the world round-trips, and the base model is the one that was shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from farm.config import ModelConfig
from farm.models.hub import ModelError
from farm.models.loading import load_codec
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.world import language
from farm.world.answers import Features
from farm.world.demonstrations import demonstrate
from farm.world.families import draw
from farm.world.language import (
    ANSWER_TOKENS,
    CONTEXT,
    REMARKS,
    Shape,
    base_model,
    vocabulary,
    write_untrained,
)

TASKS = [draw(f"words/{number}") for number in range(1_500)]
SMALL = Shape(hidden=16, layers=1, heads=2, inner=32)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained(folder, SMALL, seed=0)
    return folder


def test_the_vocabulary_is_small_and_has_no_doubles() -> None:
    tokens = vocabulary()
    assert len(set(tokens)) == len(tokens) < 500
    assert set(REMARKS) == set(Features._fields)


def test_every_instruction_and_answer_round_trips(untrained: Path) -> None:
    codec = load_codec(str(untrained), ModelConfig())
    unknown = codec.tokenizer.unk_token_id
    for task in TASKS:
        asked, answer = task.instruction, demonstrate(task, "0")
        prompt = codec.prompt_ids(Prompt(asked.text, asked.input))
        assert codec.text(prompt) == f"{asked.text} {asked.input} =".replace("  ", " ")
        response = codec.response_ids(answer)
        assert codec.text(response) == answer
        assert unknown not in [*prompt, *response]
        assert len(prompt) + len(response) < CONTEXT
        assert len(response) <= ANSWER_TOKENS


def test_an_untrained_model_is_the_same_for_the_same_seed(untrained: Path, tmp_path: Path) -> None:
    write_untrained(tmp_path / "same", SMALL, seed=0)
    write_untrained(tmp_path / "other", SMALL, seed=1)
    first, same, other = (
        (folder / "model.safetensors").read_bytes()
        for folder in (untrained, tmp_path / "same", tmp_path / "other")
    )
    assert first == same != other


def test_the_base_model_loads_and_can_answer() -> None:
    policy = Policy.load(str(base_model()))
    assert policy.model.config.vocab_size == len(vocabulary())
    assert sum(each.numel() for each in policy.parameters()) < 1_000_000
    ids = torch.tensor([policy.codec.prompt_ids(Prompt("Thank Anna for the hat. Keep it short."))])
    with torch.no_grad():
        written = policy.model.generate(ids, do_sample=False, max_new_tokens=16, pad_token_id=0)
    assert "hat" in policy.codec.text(written[0, ids.shape[1] :].tolist())


def test_a_damaged_base_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "BASE", tmp_path)
    with pytest.raises(ModelError, match="missing"):
        base_model()
    (tmp_path / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="install the package again"):
        base_model()
