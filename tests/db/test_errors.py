"""An error says the same in every process that it reaches."""

from __future__ import annotations

import pickle

import pytest

from db.errors import ConfigError, FarmError, LedgerBusy
from farm.training.loop import TrainingDiverged


@pytest.mark.parametrize("kind", [FarmError, ConfigError, LedgerBusy, TrainingDiverged])
def test_an_error_of_a_worker_arrives_whole(kind: type[FarmError]) -> None:
    error = kind("it is closed", where="farm.db", remedy="open it")
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(arrived) is kind
    assert str(arrived) == str(error) == "farm.db: it is closed (open it)"
    assert (arrived.what, arrived.where, arrived.remedy) == ("it is closed", "farm.db", "open it")
