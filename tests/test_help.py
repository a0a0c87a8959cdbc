"""The command line before a command runs: one table of commands, light help, completion, old spellings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from farm.commands import COMMANDS, STUDY, module_of, summary_of
from farm.methods import METHODS
from farm.settings.written import written_options
from tests.db.test_known_names import fill

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


@pytest.mark.parametrize("name", METHODS)
def test_the_options_of_a_method_are_read_from_its_source(name: str) -> None:
    from farm.train import method_options

    assert written_options(f"farm.methods.{name}") == method_options(name)


LOADED = {  # nothing else of HEAVY is loaded by the command on a small ledger
    ("status",): {"sqlalchemy", "rich"},
    ("annotators",): {"jinja2", "rich"},
    ("audit",): {"sqlalchemy", "pandas", "numpy", "rich"},
    ("leaderboard", "--help"): set(),
    ("train", "dpo", "--help"): {"rich"},
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


def asked_for(typed: str) -> dict[str, str]:
    """The environment in which the shell's completion script asks."""
    place = str(len(typed.split(" ")) - 1)
    return {"_FARM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": place}


def completed(typed: str, **more: str) -> set[str]:
    """What the shell is told, asked in this process. Nothing is said on standard error."""
    result = CliRunner().invoke(cli.app, [], prog_name="farm", env=asked_for(typed) | more)
    assert result.stderr == ""
    return set(result.stdout.split())


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
    asked = os.environ | asked_for(typed)
    result = subprocess.run([FARM], capture_output=True, text=True, check=False, env=asked)
    assert set(result.stdout.split()) == expected, result.stderr


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("farm annotate sin", {"single-token"}),
        ("farm annotators calibrate crowd-q", {"crowd-quiet"}),
        ("farm train expert", {"expert_iteration"}),
        ("farm import ll", {"llama-factory", "llmbar"}),
        ("farm export t", {"trl", "trl-unpaired"}),
        ("farm robustness --attack brag", {"brag"}),
    ],
)
def test_the_shell_completes_names_that_ship_with_the_package(typed: str, expected: set[str]) -> None:
    assert completed(typed) == expected


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose farm.toml names a ledger: a name of each kind, and names that a shell would run."""
    from db.ledger import Ledger
    from db.records import AnnotatorCard, AnnotatorKind

    folder = tmp_path_factory.mktemp("named")
    (folder / "farm.toml").write_text('ledger = "mine.db"\n')
    with Ledger.open(folder / "mine.db", create=True) as ledger:
        fill(ledger)
        with ledger.writing() as writer:
            writer.annotators(
                [
                    AnnotatorCard(f"a{ending}", AnnotatorKind.LLM)
                    for ending in ("$(rm x)", "`x`", ";x", " b", "é")
                ]
            )
    return folder


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("farm audit --annotator a", {"ada", "aé"}),
        ("farm audit --reference ", {"ada", "aé", "human", "gold"}),
        ("farm audit --source ", {"poll"}),
        ("farm annotate plain --subset ", {"easy"}),
        ("farm sample model --set ", {"sums"}),
        ("farm train dpo --snapshot ", {"strict"}),
        ("farm evaluate model --against ", {"smol"}),
        ("farm pair p --of s", {"smol"}),
        ("farm snapshot x --annotator h", {"human"}),
        ("farm people win-rate a", {"ada", "aé"}),
    ],
)
def test_the_shell_completes_names_of_the_ledger(
    named: Path, monkeypatch: pytest.MonkeyPatch, typed: str, expected: set[str]
) -> None:
    monkeypatch.chdir(named)
    assert completed(typed) == expected


def test_completion_finds_the_ledger_as_commands_do(
    named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = str(named / "mine.db")
    assert completed("farm sample model --set ") == set()
    assert completed("farm sample model --set ", FARM_LEDGER=ledger) == {"sums"}
    assert completed(f"farm --ledger {ledger} sample model --set ") == {"sums"}
    assert completed(f"farm sample model --ledger {ledger} --set ") == {"sums"}
    assert completed(f"farm people --ledger {ledger} win-rate a") == {"ada", "aé"}


def test_completion_is_silent_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farm.db").write_bytes(b"no ledger" * 100)
    assert completed("farm sample model --set ") == set()
    (tmp_path / "farm.toml").write_text("no toml")
    assert completed("farm sample model --set ") == set()
    postgres = "postgresql://nobody:wrong@127.0.0.1:1/none"
    assert completed("farm sample model --set ", FARM_LEDGER=postgres) == set()


def test_completion_loads_nothing_heavy(named: Path) -> None:
    asked = os.environ | asked_for("farm audit --annotator ")
    code = f"import sys, cli\ntry: cli.app(prog_name='farm')\nfinally: print(sys.modules.keys() & {HEAVY!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=named, env=asked
    )
    assert result.stdout.splitlines() == ["ada", "aé", "set()"]


def test_every_name_is_completed() -> None:
    names = {
        "annotators",
        "annotator",
        "source",
        "subset",
        "set",
        "snapshot",
        "against",
        "method",
        "reference",
    }
    free = {("train", "reference"), ("leaderboard", "against"), ("evaluate", "reference")}  # models, a column
    for name in COMMANDS:
        command = cli.load(name)
        for part in getattr(command, "commands", {"": command}).values():
            plain = [
                flag.name
                for flag in part.params
                if flag.name in names
                and (name, flag.name) not in free
                and getattr(flag, "_custom_shell_complete", None) is None
            ]
            assert plain == [], name


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
