"""Names and paths longer than the system takes, and bytes that are not UTF-8: one line, nothing made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db.ledger import Ledger
from tests.support.attacks import ledger_of
from tests.support.command_line import farm, refused

COMMANDS = {
    "import": ("import", "trl", "PATH.jsonl", "--annotator", "a", "--source", "s"),
    "export": ("export", "preferences", "PATH.jsonl"),
    "backup": ("backup", "PATH.db"),
    "merge": ("merge", "PATH.db"),
    "report": ("report", "PATH.html"),
    "study": ("report", "x.html", "--study", "PATH.json"),
    "audit": ("audit", "--draws", "0", "--csv", "PATH.csv"),
    "over-optimisation": ("over-optimisation", "PATH.csv"),
    "label": ("label", "--annotator", "me", "--guideline", "PATH.md"),
    "serve-simulator": ("serve-simulator", "--config", "PATH.yaml"),
    "annotate": ("annotate", "PATH.yaml"),
    "prices": ("annotate", "plain", "--dry-run", "--base-url", "http://[::1]:1/v1", "--prices", "PATH.yaml"),
    "annotators": ("annotators", "PATH.yaml"),
}  # fmt: skip
LONG = {"name": "x" * 300, "path": "a/" * 2100}


@pytest.mark.parametrize("kind", LONG)
def test_a_path_that_is_too_long_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(os.listdir())
    for name, command in COMMANDS.items():
        given = [part.replace("PATH", LONG[kind] + "x") for part in command]
        assert "too long" in refused(ledger, *given).lower(), name
    for verb in (("status",), ("import", "trl", "rows.jsonl", "--annotator", "a", "--source", "s")):
        assert "too long" in refused(f"{LONG[kind]}x.db", *verb)
    assert set(os.listdir()) == before


def test_a_backup_gets_no_name_under_which_it_could_not_be_opened(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    assert "too long" in refused(ledger, "backup", tmp_path / f"{'x' * 249}.db")
    assert farm(ledger, "backup", tmp_path / f"{'x' * 248}.db").code == 0
    with Ledger.open(tmp_path / f"{'x' * 248}.db") as copy:
        copy.check()


def test_an_argument_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    odd = os.fsdecode(bytes(tmp_path) + b"/\xff.db")
    for command in (("backup", odd), ("annotate", odd), ("trace", odd), ("report", odd)):
        assert "an argument is not UTF-8" in refused(ledger, *command)
    assert "an argument is not UTF-8" in refused(odd, "status")


def test_a_line_of_an_error_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"like: {'x' * 200_000}")
    said = refused(ledger_of(tmp_path), "annotators", tmp_path / "x.yaml")
    assert len(said) < 11_000
    assert said.endswith("more characters: --debug)\n")


def test_where_nothing_can_be_drawn_no_file_is_counted(tmp_path: Path) -> None:
    said = farm(ledger_of(tmp_path), "report", "--figures", tmp_path / "figures")
    assert (said.code, said.out) == (0, "0 files: 0 bytes\n")
