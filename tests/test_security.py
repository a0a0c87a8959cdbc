"""The security list, line by line: each risk, and the test that holds it here or where its home is.

A line whose home is elsewhere names the tests there; that they exist is tested.
"""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from annotators.clients.endpoint import Endpoint
from annotators.strict_yaml import read_yaml
from db.errors import ConfigError
from db.ledger import Ledger
from db.records import Instruction, Item, Output, Pair
from farm.config import read_yaml as read_options
from farm.escaping import cell, printed, seen
from farm.studies.recipe import Recipe
from farm.terminal.common import plain
from tests.support.command_line import farm, farm_arguments
from tests.support.sources import ROOT, SOURCES, nodes_of

HOMES = {
    "API keys": (
        "annotators/clients/test_secrets.py::test_the_key_is_in_no_completion_error_log_or_repr",
        "annotators/clients/test_secrets.py::test_openais_key_goes_to_openai_alone",
        "annotators/clients/test_secrets.py::test_an_address_is_shown_without_its_secrets",
        "farm/test_annotate.py::test_no_key_is_left_anywhere",
    ),
    "large bodies": ("attacks/test_bodies.py::test_a_body_is_refused_at_its_limit",),
    "supply chain": ("test_security.py::test_what_we_depend_on_is_bounded_and_pinned",),
    "XSS from model output": (
        "farm/test_report.py::test_no_output_becomes_an_element_or_an_attribute",
        "farm/test_report.py::test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else",
        "browser/test_label_page.py::test_hostile_texts_are_text",
    ),
    "CSV formula injection": ("test_security.py::test_a_spreadsheet_runs_nothing",),
    "YAML": ("test_security.py::test_yaml_is_data_of_a_bounded_size",),
    "weights": (
        "farm/models/test_policy.py::test_pickled_weights_are_refused",
        "test_security.py::test_pickles_are_read_nowhere_but_as_plain_tensors",
    ),
    "names in data files": (
        "attacks/test_names_in_files.py::test_an_oracle_of_a_file_asks_for_the_users_word",
        "attacks/test_names_in_files.py::test_a_simulators_file_asks_for_the_users_word",
    ),
    "templates": ("attacks/test_templates.py::test_a_strangers_template_is_stopped",),
    "remote code": ("farm/models/test_policy.py::test_remote_code_is_not_run_unless_asked",),
    "paths": ("test_security.py::test_names_do_not_leave_their_folder",),
    "SSRF / base_url": (
        "annotators/clients/test_online.py::test_a_redirect_is_not_followed",
        "test_security.py::test_a_provider_is_a_web_address_and_no_metadata_service",
        "attacks/test_addresses.py::test_a_metadata_service_is_refused_in_every_spelling",
        "attacks/test_addresses.py::test_a_name_is_judged_by_what_is_dialled",
    ),
    "prompt injection / null model": (
        "farm/test_robustness.py",
        "annotators/test_render.py",
    ),
    "evaluating model code": ("test_security.py::test_no_answer_is_ever_run",),
    "position bias": ("farm/test_audit.py",),
    "local UI": (
        "farm/test_label.py::test_nobody_comes_in_without_a_link",
        "farm/test_label.py::test_a_judgement_from_elsewhere_is_refused",
        "farm/test_label.py::test_names_that_are_ours",
        "farm/test_label.py::test_every_answer_carries_the_policy",
        "farm/test_browse.py::test_it_is_read_only_and_on_this_machine_alone",
        "browser/test_label_page.py::test_the_page_cannot_be_framed_or_driven_by_another_site",
        "test_security.py::test_every_page_is_served_behind_the_guard_or_is_no_page",
    ),
    "terminal": ("test_security.py::test_no_escape_sequence_reaches_the_terminal",),
    "agents reading our CLI": ("test_security.py::test_texts_are_told_only_on_demand",),
}
ESCAPES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;ZXZpbA==\x07",  # writes the clipboard
    "\x9b31m",
    "\x90+q\x9c",
    "\rover",
    "a\x08b",
    "\u202egnp.exe",
    "[bold red]markup[/]",
)


@pytest.mark.parametrize("risk", HOMES)
def test_every_line_of_the_list_has_its_tests(risk: str) -> None:
    for home in HOMES[risk]:
        path, _, name = home.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert not name or re.search(rf"^(async )?def {name}\(", text, re.M), home


@cache
def calls(path: Path) -> list[str]:
    """The names that a module calls: `eval`, `torch.load`, `subprocess.run`."""
    called = (node.func for node in nodes_of(path) if isinstance(node, ast.Call))
    return [ast.unparse(each) for each in called if isinstance(each, ast.Name | ast.Attribute)]


def test_what_we_depend_on_is_bounded_and_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    wanted = [
        *project["dependencies"],
        *(each for part in project["optional-dependencies"].values() for each in part),
    ]
    for each in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", each)
        assert name
        assert ">=" in each
        assert name[0].lower().replace("_", "-") in pins, f"{each} has no pin"
    assert not pins & {"litellm", "bleach"}
    torch = next(each for each in wanted if each.startswith("torch"))
    assert tuple(map(int, torch.split(">=")[1].split("."))) >= (2, 10)  # weights_only ran code before


def test_a_spreadsheet_runs_nothing() -> None:
    for formula in ("=1+1", "+1", "-1", "@sum(1)", "\t=1", "\r=1"):
        assert str(cell(formula)).startswith("'")
    assert cell("fine = so") == "fine = so"
    assert cell(-1.5) == -1.5
    for path in SOURCES:  # whoever writes CSV defuses it
        text = path.read_text()
        if re.search(r"csv\.(writer|DictWriter)\(|\.to_csv\(", text):
            assert path.name == "foreign.py" or "farm.escaping import cell" in text, path


@pytest.mark.parametrize("read", [read_yaml, read_options, Recipe.read])
@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['echo owned']",
        "a: &x [1]\nb: [*x, *x]",
        "a: " + "[" * 200 + "]" * 200,
        "a: 1\na: 2",
        "# " + "x" * 300_000,
        "a: \x00",
    ],
    ids=["code", "alias", "depth", "twice", "size", "nul"],
)
def test_yaml_is_data_of_a_bounded_size(read: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError):
        read(tmp_path / "x.yaml")


def test_yaml_is_read_by_the_strict_reader_alone() -> None:
    readers = [path.name for path in SOURCES if {"yaml.load", "yaml.safe_load"} & set(calls(path))]
    assert readers == []
    assert issubclass(yaml.SafeLoader, object)


def test_pickles_are_read_nowhere_but_as_plain_tensors() -> None:
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|shelve|marshal)\b", text, re.M), path
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert "weights_only=True" in ast.unparse(node), path
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained":
                assert "trust_remote_code=True" not in ast.unparse(node), path


def test_no_answer_is_ever_run() -> None:
    forbidden = {"eval", "exec", "compile", "os.system", "os.popen", "__import__"}
    for path in SOURCES:
        assert not forbidden & set(calls(path)), path
        assert "shell=True" not in path.read_text(), path


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/v1",
        "gopher://host",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/v1",
        "//host/v1",
        "",
    ],
)
def test_a_provider_is_a_web_address_and_no_metadata_service(url: str) -> None:
    with pytest.raises(ConfigError):
        Endpoint(url)


def test_names_do_not_leave_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method, a recipe, a snapshot or a source is a name, not a way to a file."""
    monkeypatch.chdir(tmp_path)
    Ledger.open(tmp_path / "farm.db", create=True).close()
    (tmp_path / "evil.py").write_text("open('owned', 'w')")
    for command in (
        ["train", "../evil", "--model", "m", "--out", "o"],
        ["train", "..evil", "--model", "m", "--out", "o"],
        ["export", "../evil", "out.jsonl"],
        ["import", "../../evil", "x"],
        ["annotate", "longest", "--source", "../../etc"],
        ["trace", "../../../../etc/passwd"],
        ["trace", "snapshot:../../x"],
    ):
        done = farm("farm.db", *command)
        assert not (tmp_path / "owned").exists()
        assert done.code in (0, 1, 2)


def test_every_page_is_served_behind_the_guard_or_is_no_page() -> None:
    """Whoever listens does so through farm/pages/guard.py; the simulator serves JSON and no page."""
    allowed = {"guard.py", "http.py"}
    for path in SOURCES:
        if {"uvicorn.run", "uvicorn.Config", "socket.create_server", "loop.create_server"} & set(calls(path)):
            assert path.name in allowed, path
    for path in (ROOT / "farm" / "label.py", ROOT / "farm" / "browse.py"):
        assert "0.0.0.0" not in "".join(re.findall(r"host: str = .*|HOST = .*", path.read_text()))


@pytest.mark.parametrize("text", ESCAPES)
def test_no_escape_sequence_reaches_the_terminal(text: str) -> None:
    for shown in (printed(text), seen(text)):
        assert not re.search(
            r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown.replace("\r", "")
        )
    assert "\r" not in printed(text)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=200).print(plain(text))
    assert "\x1b" not in out.getvalue()
    assert "[bold red]" in out.getvalue() or "markup" not in text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger whose every text acts on a terminal, if it is let."""
    path = tmp_path_factory.mktemp("hostile") / "farm.db"
    text = "".join(ESCAPES)
    asked = Instruction(f"asked {text}", text)
    pair, flipped = Pair.of(
        Output(asked, f"one {text}", f"m{text}"), Output(asked, f"two {text}", f"n{text}")
    )
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        writer.items([Item(f"s{text}", f"i{text}", pair, flipped, f"t{text}")])
    for judge in ("longest", "first"):
        subprocess.run(farm_arguments(path, "annotate", judge), check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["audit", "--draws", "0", "--reference", "longest", "--by", "source"],
        ["trace", "pair:1", "--content"],
        ["trace", "annotation:1", "--content"],
        ["leaderboard", "--annotator", "longest"],
        ["audit", "--source", ESCAPES[0]],
        ["annotators", ESCAPES[1]],
        ["trace", ESCAPES[2]],
        ["label", "--annotator", ESCAPES[0]],
    ],
    ids=lambda command: command[0],
)
def test_commands_show_hostile_texts_harmlessly(hostile: Path, command: list[str]) -> None:
    """On a terminal that takes colours, whether the command succeeds or tells an error."""
    done = subprocess.run(
        farm_arguments(hostile, *command),
        capture_output=True,
        check=False,
        env=os.environ | {"FORCE_COLOR": "1", "TERM": "xterm-256color"},
    )
    for said in (done.stdout.decode(), done.stderr.decode()):
        bare = re.sub(r"\x1b\[[0-9;]*m", "", said)  # our own colours
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", bare), said
        assert "\x1b[31mred" not in said
    assert b"Traceback" not in done.stderr


def test_texts_are_told_only_on_demand(hostile: Path) -> None:
    """A program that reads our output is not spoken to by a model unless it asks for that."""
    asked = farm_arguments(hostile, "trace", "pair:1", "--json")
    bare = subprocess.run(asked, capture_output=True, check=True, text=True).stdout
    whole = subprocess.run([*asked, "--content"], capture_output=True, check=True, text=True).stdout
    for text in ("asked", "one", "two"):
        assert f'"{text} ' not in bare
        assert f'"{text} ' in whole
    assert '"text": {"characters": ' in bare
