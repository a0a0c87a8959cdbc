"""`farm doctor`: what works, and a remedy for what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from annotators.simulator import Simulator, SimulatorConfig
from tests.support.command_line import farm, told


@pytest.fixture(scope="module")
def ledger(sums_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the 1,200 judgements, for this file to write to."""
    return Path(shutil.copy(sums_ledger, tmp_path_factory.mktemp("ledger")))


def test_doctor(ledger: Path, tmp_path: Path) -> None:
    findings = {each["name"]: each for each in told(ledger, "doctor")["findings"]}
    assert findings["ledger"]["level"] == "ok"
    assert {"python", "sqlite", "disk", "schema", "torch", "gpu"} <= set(findings)
    (tmp_path / "bad.db").write_bytes(b"no ledger" * 1000)
    broken = farm(tmp_path / "bad.db", "doctor", "--json")
    assert broken.code == 1
    assert not json.loads(broken.out)["healthy"]


def test_doctor_asks_a_server(ledger: Path) -> None:
    def endpoint(url: str) -> tuple[str, str, str]:
        told = json.loads(farm(ledger, "doctor", "--json", "--base-url", url).out)
        [found] = [each for each in told["findings"] if each["name"] == "endpoint"]
        assert told["healthy"] == (found["level"] != "fault")
        return found["level"], found["found"], found["remedy"]

    with Simulator(SimulatorConfig()) as simulator:
        level, found, _ = endpoint(simulator.base_url)
        assert (level, "answers 200; models: " in found) == ("ok", True)
        gone = simulator.base_url
    level, found, remedy = endpoint(gone)
    assert (level, remedy) == ("fault", "is the server up, and at this address?")
    assert endpoint("file:///x")[0] == "fault"
