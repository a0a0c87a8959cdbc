"""The whole walk on PostgreSQL gives what it gives on SQLite."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotators.simulator import Judge, Simulator, SimulatorConfig
from tests.support.command_line import told

ROOT = Path(__file__).parent.parent


def test_the_same_commands_give_the_same_answers(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "preferences.jsonl"
    subprocess.run([sys.executable, ROOT / "examples" / "make_preferences.py", file], check=True)
    answers = []
    for ledger in (str(tmp_path / "farm.db"), postgres_url):
        with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as server:
            steps = [
                told(ledger, "import", "preferences", file),
                told(ledger, "import", "preferences", file),
                told(ledger, "annotate", "longest"),
                told(ledger, "annotate", "crowd", "--base-url", server.base_url),
                told(ledger, "annotate", "crowd-quiet", "--base-url", server.base_url),
                told(ledger, "audit", "--by", "subset", "--draws", 200),
                told(ledger, "snapshot", "people", "--annotator", "ada"),
                told(ledger, "status"),
            ]
        steps[-1].pop("ledger")
        answers.append(dict(leaves(steps)))
    on_sqlite, on_postgres = answers
    assert on_sqlite.keys() == on_postgres.keys()
    for path, value in on_sqlite.items():
        near = pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
        assert on_postgres[path] == near, path


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and text of a JSON value by its path, but for what the clock says."""
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            if key != "seconds_per_1000":
                yield from leaves(each, f"{path}/{key}")
    else:
        yield path, value


def test_a_backup_of_it_is_a_ledger_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "preferences.jsonl"
    subprocess.run([sys.executable, ROOT / "examples" / "make_preferences.py", file], check=True)
    told(postgres_url, "import", "preferences", file)
    told(postgres_url, "backup", tmp_path / "copy.db")
    assert told(str(tmp_path / "copy.db"), "audit") == told(postgres_url, "audit")
    assert told(postgres_url, "doctor")["healthy"]
