"""The documentation is run: README's tour gives the output it shows; commands, formats and pages exist."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from db.interchange import FORMATS
from farm.commands import COMMANDS
from tests.support.benchmark_scripts import script
from tests.support.sources import MODULES
from tests.test_architecture import MAY

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BIN = Path(sys.executable).parent


def tour() -> list[tuple[str, list[str]]]:
    """(command, the lines of output shown) of README's console blocks, in order."""
    steps: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], []))
            elif line.strip():
                steps[-1][1].append(line.rstrip())
    return steps


def test_the_tour_gives_the_output_it_shows(tmp_path: Path) -> None:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "108"}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    steps = tour()
    assert len(steps) > 5
    for command, shown in steps:
        result = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        lines = [line.rstrip() for line in result.stdout.splitlines()]
        missing = [line for line in shown if line not in lines]
        assert not missing, f"{command} does not print {missing[0]!r} but\n{result.stdout}"


def test_every_flag_of_every_command_has_help() -> None:
    shown = subprocess.run([BIN / "farm", "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z-]+)  ", shown.split("Commands:")[1], re.M)
    assert len(commands) >= 8
    for command in commands:
        page = subprocess.run([BIN / "farm", command, "--help"], capture_output=True, text=True, check=True)
        for line in page.stdout.split("Options:")[1].splitlines():
            if re.match(r"  --\S+", line) and not re.search(r"\S\s{2,}\S", line.strip()):
                following = page.stdout.split(line)[1].splitlines()[1]
                assert following.strip(), f"farm {command} {line.strip()} says nothing"


def test_every_command_stands_in_the_reference_and_the_readme_names_only_commands() -> None:
    page = script(ROOT / "docs" / "site" / "reference.py", "site_reference").page("commands")
    listed = page.partition("Commands:")[2].partition("```")[0]
    assert [name for name in COMMANDS if f"\n  {name} " not in listed] == []
    assert set(re.findall(r"`farm ([a-z][a-z-]*)", README)) <= set(COMMANDS)


def test_every_format_has_its_place_in_the_docs() -> None:
    page = script(ROOT / "docs" / "site" / "reference.py", "site_reference").page("formats")
    assert [name for name in FORMATS if f"\n## {name}\n" not in page] == []
    for each in FORMATS.values():
        assert (importlib.import_module(each.reader.__module__).__doc__ or "?").splitlines()[0] in page


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_docs_compiles(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        compile(block, str(page), "exec")


def test_every_fault_has_tests_that_are_there() -> None:
    rows = [line for line in (ROOT / "docs" / "faults.md").read_text().splitlines() if "`test_" in line]
    written = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row)]
    assert len(rows) > 20
    assert [name for name in named if f"def {name}(" not in written] == []


def test_both_commands_stand_in_the_readme() -> None:
    assert "make run" in README
    assert "make test" in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_architecture_page_is_the_architecture() -> None:
    """Every room, every shared file at the top of farm/, and every rule of who may import whom."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {name for name, path in MODULES.items() if path.name == "__init__.py" and name.count(".") < 2}
    listed = re.findall(
        r"^\| `([\w/]+?)(?:\.py)?` ", page.split("## The rooms")[1].split("The docstring of")[0], re.M
    )
    assert sorted(room.replace("/", ".") for room in listed) == sorted({*rooms, "cli"})
    drawn = re.findall(r"\b(?:cli\.py|(?:farm|db|annotators)\b[\w/*.]*)", page.split("```")[1])
    floors = [name.removesuffix("/*.py").removesuffix(".py") for name in drawn]
    assert len(floors) == len(set(floors)), "a room stands twice in the drawing"
    assert [room for room in listed if room in floors] == [name for name in floors if name in listed]
    assert [name for name in shared_files() if f"`{name.replace('.', '/')}.py`" not in page] == []
    table = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|$", page.split("| may import |")[1], re.M))
    said = {room: tuple(re.findall(r"`([^`]+)`", cell)) for room, cell in table.items()}
    assert said == MAY
    named = re.findall(r"`((?:farm|annotators|db)/[\w/]+(?:\.\w+)?)`", page)
    assert [name for name in named if not (ROOT / name).exists()] == []


def shared_files() -> list[str]:
    """Modules at the top of farm/ that are no command's."""
    shown = subprocess.run([BIN / "farm", "--help"], capture_output=True, text=True, check=True).stdout
    commands = {each.replace("-", "_") for each in re.findall(r"^  ([a-z-]+)  ", shown, re.M)}
    top = {name for name, path in MODULES.items() if path.parent == ROOT / "farm"} - {"farm"}
    return sorted(top - {f"farm.{name}" for name in (*commands, "import_", "calibrate")})


def test_the_table_of_the_python_interface_names_what_there_is() -> None:
    for row in re.findall(r"^\| `farm .*", (ROOT / "docs" / "api.md").read_text(), re.M):
        _, _, functions, takes, gives, _ = row.split("|")
        room = ""
        for name in re.findall(r"`([\w.]+)`", functions):
            room, _, named = name.rpartition(".") if "." in name else (room, "", name)
            assert hasattr(importlib.import_module(room), named), f"{name} of {row}"
        for name in re.findall(r"`([A-Z]\w+)`", takes + gives):
            assert hasattr(importlib.import_module(room), name), f"{room} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_python_in_the_docs_imports_is_there(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [each.name for each in node.names if not hasattr(module, each.name)] == []


def test_the_hosted_jobs_run_every_test_once_by_targets_of_the_makefile() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    called = [re.sub(r"^\w+=\S+ ", "", run).split() for run in runs]
    assert [words for words in called if words[0] != "make" or words[1] not in targets] == []
    parts = [each["tests"] for each in jobs["tests"]["strategy"]["matrix"]["include"]]
    parts += [found[1].strip('"') for run in runs if (found := re.search(r'TESTS=("[^"$]*"|[^"\s]+)$', run))]
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        holding = [part for part in parts if runs_in(part, path)]
        assert len(holding) == 1, f"{path.relative_to(ROOT)} is run by {holding or 'no job'}"


def runs_in(part: str, path: Path) -> bool:
    """Whether pytest, given these words, runs the tests of the file."""
    words = re.sub(r"--ignore (\S+)", r"-\1", part).split()
    left_out = [ROOT / word[1:] for word in words if word[0] == "-"]
    named = [ROOT / word for word in words if word[0] != "-"]
    return any(map(path.is_relative_to, named)) and not any(map(path.is_relative_to, left_out))


def test_the_frames_of_the_python_interface_show_who_judged_what(
    sums_ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(sums_ledger, tmp_path / "farm.db")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/api.md").read_text().partition("## Without")[2]
    [block] = re.findall(r"```python\n(.*?)```", page, re.S)
    found: dict[str, Any] = {}
    exec(block, found)  # noqa: S102  # it is our own page
    assert "annotator source" in re.sub(" +", " ", capsys.readouterr().out)
    told = found["told"]
    people = {card.name for card in found["asked"].annotators}
    assert set(told["annotator"]) == people
    assert len(told) == len(found["asked"].judgements)
