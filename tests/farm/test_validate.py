"""`farm validate`: methods trained and judged twice, by people and by simulators."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from db.ledger import Ledger
from db.maintenance import backup
from farm import quickstart as module
from farm.quickstart import Quickstart
from tests.support.command_line import farm_arguments, refused
from tests.support.tiny_study import TINY


@pytest.mark.slow
def test_the_ledger_can_be_validated_again_as_any_other(studied: Quickstart, tmp_path: Path) -> None:
    """With people who cannot be asked: what they have not judged is said to await them."""
    sft = next((studied.ledger.parent / "runs" / "sft").glob("step-*/model"))
    (tmp_path / "tiny.yaml").write_text(TINY)
    with Ledger.open(studied.ledger) as ledger:
        backup(ledger, tmp_path / "farm.db")
    start = farm_arguments(tmp_path / "farm.db", "validate")
    command = [*start, "--model", str(sft), "--pairs", "preferences"]
    command += [
        "--unlabelled",
        "world-unlabelled",
        "--evaluation",
        "world-validation",
        "--simulators",
        module.CROWD,
    ]
    command += [
        "--evaluators",
        "longest",
        "--recipe",
        str(tmp_path / "tiny.yaml"),
        "--out",
        str(tmp_path / "runs"),
        "--json",
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert {each["judged_by"] for each in found["judged"]} == {"simulators", "people"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--simulators", "nobody"), "--simulators: 'nobody' has judged nothing here"),
        (("--simulators", "strict-judge", "--people", "eve"), "--people: 'eve' has judged nothing here"),
        (("--simulators", "strict-judge", "--recipe", "none.yaml"), "none.yaml"),
    ],
)
def test_missing_feedback_is_said_before_anything_is_trained(
    sums_ledger: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    sets = ("--pairs", "sums", "--unlabelled", "sums", "--evaluation", "sums")
    asked = ("--model", "none", *sets, "--out", tmp_path / "runs")
    assert message in refused(sums_ledger, "validate", *asked, *options)
    assert not (tmp_path / "runs").exists()
