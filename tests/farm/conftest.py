"""Models small enough to train in a test, made from a configuration; nothing is downloaded."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from db.ledger import Ledger
from db.records import Membership, ProducerKind
from tests.conftest import once
from tests.support.judged_sums import write_sums
from tests.support.tiny_models import ModelMaker, write_model

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> ModelMaker:
    """Writes a tiny model into a folder of its own; options as those of write_model."""
    return lambda **options: write_model(tmp_path_factory.mktemp("model"), **options)


@pytest.fixture(scope="session")
def model_dir(make_model: ModelMaker) -> str:
    """A tiny causal language model with distinct pad and end-of-sequence tokens."""
    return str(make_model())


@pytest.fixture(scope="session")
def pad_is_eos_dir(make_model: ModelMaker) -> str:
    """The same weights with a tokenizer that pads with the end of sequence."""
    return str(make_model(pad="</s>"))


@pytest.fixture(scope="session")
def scorer_dir(model_dir: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A reward model with a random head on the tiny model."""
    from farm.models.scorer import Scorer

    directory = tmp_path_factory.mktemp("scorer")
    Scorer.load(model_dir, seed=0, new_head=True).save(directory)
    return str(directory)


@pytest.fixture
def judged(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """Forty judged pairs, a demonstration for each instruction, all in the set `sums`."""

    def make(folder: Path) -> None:
        folder.mkdir()
        with Ledger.open(folder / "farm.db", create=True) as opened, opened.writing() as writer:
            for right in write_sums(writer):
                writer.outputs([replace(right, producer="reference", producer_kind=ProducerKind.REFERENCE)])
                writer.memberships([Membership(right.instruction, "sums")])

    shutil.copy(once(tmp_path_factory, "forty", make) / "farm.db", tmp_path)
    return tmp_path / "farm.db"
