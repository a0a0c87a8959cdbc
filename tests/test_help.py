"""The command line before a command runs: one table of commands, light help, completion, old spellings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cli
from farm.commands import COMMANDS, STUDY, module_of, summary_of

FARM = Path(sys.executable).parent / "farm"
HEAVY = {"torch", "transformers", "pandas", "numpy", "scipy", "sqlalchemy", "openai", "rich"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    command = cli.load(name)
    assert command.help is not None
    assert summary_of(name) == command.help.partition("\n\n")[0].replace("\n", " ")


def test_the_order_of_help_names_only_commands() -> None:
    assert [name for name in STUDY if name not in COMMANDS] == []


def test_loading_every_command_loads_nothing_heavy() -> None:
    modules = [module_of(name) for name in COMMANDS]
    code = f"import sys\nfor name in {modules}: __import__(name)\nprint(sys.modules.keys() & {HEAVY!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_help_of_train_loads_nothing_heavy() -> None:
    code = (
        f"import sys, cli\ntry: cli.app(['train', '--help'])\nfinally: print(sys.modules.keys() & {HEAVY!r})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "--model" in result.stdout
    assert result.stdout.splitlines()[-1] == "set()"


LOADED = {  # nothing else of HEAVY is loaded by the command on a small ledger
    ("status",): {"sqlalchemy", "rich"},
    ("annotators",): {"jinja2", "rich"},
    ("audit",): {"sqlalchemy", "pandas", "numpy", "rich"},
    ("leaderboard", "--help"): set(),
}


@pytest.mark.parametrize("command", LOADED)
def test_a_command_loads_no_more_than_it_needs(command: tuple[str, ...], sums_ledger: Path) -> None:
    arguments = ["--ledger", str(sums_ledger), *command]
    heavy = HEAVY | {"jinja2"}
    code = f"import sys, cli\ntry: cli.app({arguments!r})\nfinally: print(*(sys.modules.keys() & {heavy!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert set(result.stdout.splitlines()[-1].split()) == LOADED[command], result.stderr


def test_help_of_audit_fits_two_screens() -> None:
    wide = os.environ | {"COLUMNS": "100"}
    shown = subprocess.run([FARM, "audit", "--help"], capture_output=True, text=True, check=True, env=wide)
    assert len(shown.stdout.splitlines()) <= 2 * 50
    assert "--robustness" not in shown.stdout


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("farm aud", {"audit"}),
        ("farm ann", {"annotate", "annotators"}),
        ("farm audit --n", {"--nulls"}),
        ("farm audit --nulls ", {"wrong", "drop"}),
        ("farm annotate plain --orders b", {"both"}),
        ("farm people win-rate judge --chosen ", {"random", "doubt"}),
    ],
)
def test_the_shell_completes_commands_flags_and_choices(typed: str, expected: set[str]) -> None:
    words = typed.split(" ")
    asked = {"_FARM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    result = subprocess.run([FARM], capture_output=True, text=True, check=False, env=os.environ | asked)
    assert set(result.stdout.split()) == expected, result.stderr


def test_the_old_spelling_of_robustness_works_and_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        [FARM, "--ledger", tmp_path / "none.db", "audit", "--robustness", "--instructions", "5"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    note, error = result.stderr.splitlines()
    assert "`farm audit --robustness` is now `farm robustness`" in note
    assert "there is no ledger here" in error


def test_every_flag_has_words() -> None:
    for name in COMMANDS:
        command = cli.load(name)
        every = list(getattr(command, "commands", {"": command}).values())
        every_flag = [flag for part in every for flag in part.params]
        assert [flag.name for flag in every_flag if not getattr(flag, "help", "of click")] == [], name
