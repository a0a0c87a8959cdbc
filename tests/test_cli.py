"""The command line as a user meets it: one JSON object, one clear line for an error, nothing lost."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.command_line import farm, farm_arguments, refused, told

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["annotate", "longst"], "no annotator 'longst'"),
        (["annotate", "longest", "--orders", "odd"], "--orders is 'odd' (one of random, both, stored)"),
        (["annotate", "oracle", "--utility", "nowhere:nothing"], "nowhere:nothing cannot be loaded"),
        (["audit", "--source", "nowhere"], "no judgement fits"),
        (["audit", "--annotator", "nobody"], "no annotator 'nobody' judged here"),
        (["audit", "--reference", "gold"], "nobody of kind gold judged here"),
        (["audit", "--nulls", "maybe"], "--nulls is 'maybe' (wrong or drop)"),
    ],
)
def test_errors_are_one_line_with_a_remedy(sums_ledger: Path, arguments: list[str], message: str) -> None:
    assert message in refused(sums_ledger, *arguments)


def test_markup_and_control_characters_of_names_are_shown_plain(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0]) | {"annotator": "[red]\x1b[31mada\x07"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told(tmp_path / "x.db", "import", "preferences", tmp_path / "x.jsonl")
    shown = farm(tmp_path / "x.db", "audit").out
    assert "[red]\\x1b[31mada\\x07" in shown
    assert "\x1b" not in shown


def test_wrong_usage_and_no_ledger(tmp_path: Path) -> None:
    assert farm(tmp_path / "x.db", "audit", "--nonsuch").code == 2
    missing = farm(tmp_path / "x.db", "audit")
    assert missing.code == 1
    assert "there is no ledger here (make one with `farm import`" in missing.error
    assert not (tmp_path / "x.db").exists()
    command = farm_arguments(tmp_path / "x.db", "--debug", "audit")
    assert "Traceback" in subprocess.run(command, capture_output=True, text=True, check=False).stderr


def test_the_version_is_the_declared_one(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shown = farm(tmp_path / "x.db", "--version")
    assert (shown.code, shown.out) == (0, f"{declared}\n")
