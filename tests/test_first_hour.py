"""A new user's path: the README's own commands, from a table with a label to a file for TRL."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.command_line import farm
from tests.support.simulated_provider import provider

README = (Path(__file__).parent.parent / "README.md").read_text()
SERVED = "http://127.0.0.1:8080/v1"


def block(kind: str) -> str:
    found = re.search(rf"## Your own table.*?```{kind}\n(.*?)```", README, re.S)
    assert found is not None
    return found[1]


def test_the_readme_goes_from_a_table_to_trl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(block("csv"))
    commands = [shlex.split(line) for line in block("bash").splitlines()]
    assert len(commands) < 10
    shown = []
    with provider() as served:
        for program, *arguments in commands:
            assert program == "farm"
            if arguments[0] == "serve-simulator":
                continue
            here = [served.base_url if each == SERVED else each for each in arguments]
            said = farm("farm.db", *here)
            assert said.code == 0, said.error
            shown.append(said.out)
    assert re.search(r"mine\.csv +3 +3 +0 +0", shown[0])
    assert "human (2 annotators, 3 judgements of 2 questions)" in shown[1]
    rows = [json.loads(line) for line in Path("crowd.jsonl").read_text().splitlines()]
    assert {row["prompt"] for row in rows} == {"Name a river.", "Name a sea."}
    assert all({row["chosen"], row["rejected"]} & {"The Rhine.", "The Baltic Sea."} for row in rows)
