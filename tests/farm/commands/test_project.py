"""`farm.toml` and `--ledger`: what is found where, and what goes before what."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.errors import ConfigError
from farm.settings.project import find_project
from tests.support.command_line import farm, refused, told


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, two below the project's."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    before = os.umask(0o022)  # a project file that others can write is refused
    yield folder
    os.umask(before)


def test_the_file_is_found_upward_and_paths_count_from_its_folder(tmp_path: Path, below: Path) -> None:
    (tmp_path / "farm.toml").write_text('ledger = "x.db"\nprices = "p.yaml"\nmodel = ["small=m"]\n')
    found = find_project(below)
    assert (found.ledger, found.prices) == (str(tmp_path / "x.db"), tmp_path / "p.yaml")
    assert (found.model, found.file) == (("small=m",), tmp_path / "farm.toml")
    (below / "farm.toml").write_text('ledger = "postgresql://u@h/d"\n')
    assert find_project(below).ledger == "postgresql://u@h/d"


def test_without_a_file_nothing_is_said(below: Path) -> None:
    assert find_project(below).file is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('modl = "m"', "unknown option 'modl'; did you mean 'model'? (the keys are ledger, base_url, model"),
        ('max_cost = "much"', "max_cost is 'much', expected a number"),
        ("ledger = ", "not readable TOML"),
        ('file = "x"', "unknown option 'file'"),
        ("model = 0x" + "f" * 5000, "model is a number of thousands of digits, expected"),
        ('ledger = "~nobodys/x"\nmax_cost = "y"', "max_cost is 'y', expected a number"),
        pytest.param("model = " + "[" * 3000, "not readable TOML", id="deep"),
        pytest.param(".".join("a" * 40_000) + " = 1", "80,003 bytes are too many", id="large"),
    ],
)
def test_what_is_wrong_is_one_line(below: Path, text: str, message: str) -> None:
    (below / "farm.toml").write_text(text)
    with pytest.raises(ConfigError) as error:
        find_project(below)
    assert message in str(error.value)
    assert str(below / "farm.toml") in str(error.value)


def test_the_command_line_goes_before_the_file(below: Path, sums_ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text('ledger = "none.db"\nmodel = "gpt-5.4"\n')
    shown = told(sums_ledger, "status")
    assert shown["project"] == str(tmp_path / "farm.toml")
    assert f"settings of {tmp_path}" in farm(sums_ledger, "status").out.replace("\n", "")
    models = {each["model"] for each in told(sums_ledger, "annotators") if each["name"] == "plain"}
    assert models == {"gpt-5.4"}
    typed = told(sums_ledger, "annotators", "--model", "gpt-5.4-nano")
    assert {each["model"] for each in typed if each["name"] == "plain"} == {"gpt-5.4-nano"}


def test_the_ledger_may_stand_after_the_verb(sums_ledger: Path, tmp_path: Path) -> None:
    assert told(tmp_path / "none.db", "status", "--ledger", sums_ledger)["ledger"] == str(sums_ledger)
    assert str(tmp_path / "other.db") in refused(sums_ledger, "audit", "--ledger", tmp_path / "other.db")
    between = ("people", "--ledger", tmp_path / "other.db", "win-rate", "judge")
    assert str(tmp_path / "other.db") in refused(sums_ledger, *between)


def test_piped_tables_are_whole(sums_ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "an-annotator-with-a-very-long-name-" * 5
    (tmp_path / "annotator.yaml").write_text(f"name: {name}\nkind: rule\nrule: longest\nsummary: x\n")
    own = tmp_path / "own.db"
    shutil.copy(sums_ledger, own)
    told(own, "annotate", tmp_path)
    assert name in farm(own, "audit").out


def test_a_file_that_others_can_write_is_refused(below: Path) -> None:
    file = below / "farm.toml"
    file.write_text('base_url = "http://127.0.0.1:1/v1"\n')
    for mode in (0o664, 0o646):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=f"others can write this file.*chmod go-w {file}"):
            find_project(below)
    file.chmod(0o644)
    assert find_project(below).base_url == "http://127.0.0.1:1/v1"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = below / "farm.toml"
    file.write_text("concurrency = 2\n")
    os.chown(file, 12345, 12345)
    with pytest.raises(ConfigError, match="somebody else's"):
        find_project(below)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert find_project(below).concurrency == 2


def test_the_server_that_gets_the_key_is_named_once(
    below: Path, sums_ledger: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = shutil.copy(sums_ledger, tmp_path / "own.db")  # a plan writes the judge's card
    (below / "farm.toml").write_text('base_url = "http://u:secretword@127.0.0.1:1/v1"\n')
    asked = (own, "annotate", "plain", "--dry-run")
    assert farm(*asked).error == ""
    monkeypatch.setenv("FARM_API_KEY", "sk-1234567890")
    named = f"http://127.0.0.1:1/v1, the base_url of {below / 'farm.toml'}"
    assert farm(*asked).error == f"farm: your key goes to {named}, if a judge is asked there\n"
    assert farm(*asked, "--base-url", "http://127.0.0.1:2/v1").error == ""
