"""The documentation's commands are run, page by page, and its site is built strictly, from this machine.

A console block is run line by line in a folder of the page's own; one whose title says what it `Needs` or
`Takes` is not. A block with a file's name for a title is written to that file. What a page shows of the
output must be in it. Other blocks, and those not run, may name only commands and options that there are.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from cli import app
from farm.methods import METHODS
from farm.train import method_options

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCED = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?[^\n]*\n(.*?)^```", re.S | re.M)
INDENTED = re.compile(r"(?:^ {4}[^\n]*\n)+", re.M)
NOT_RUN = ("Needs ", "Takes ")
FIRST = "python examples/make_preferences.py preferences.jsonl"
GIVEN = (FIRST, "farm import preferences preferences.jsonl", "farm annotate longest")


class File(NamedTuple):
    """A block that is a file."""

    name: str
    text: str


class Line(NamedTuple):
    """A command with the lines of output that the page shows."""

    command: str
    shown: list[str]


def steps(page: Path) -> list[File | Line]:
    """What a reader of the page does, in order."""
    found: list[File | Line] = []
    for kind, title, text in FENCED.findall(page.read_text()):
        if kind == "console" and not title.startswith(NOT_RUN):
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append(Line(line[2:], []))
                elif line.strip() and isinstance(found[-1], Line):
                    found[-1].shown.append(line.rstrip())
        elif kind != "console" and "." in title:
            found.append(File(title, text))
    return found


RUN = [page for page in PAGES if any(isinstance(step, Line) for step in steps(page))]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tutorial leaves it after its first steps."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "examples").symlink_to(ROOT / "examples")
    with _inside(folder):
        for command in GIVEN:
            perform(command)
    return folder


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def perform(command: str) -> str:
    """Run a line to its end; what it printed."""
    words = shlex.split(command)
    if words[0] == "farm":
        result = CliRunner().invoke(app, words[1:], env={"COLUMNS": "108"})
        assert result.exit_code == 0, f"{command}: {result.output} {result.exception!r}"
        return result.stdout
    assert words[0] == "python", f"{command}: mark the block with what it needs"
    ran = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{command}: {ran.stderr}"
    return ran.stdout


@contextmanager
def _serving(command: str, port: int) -> Iterator[None]:
    """A line that ends in &, until the page is over."""
    words = shlex.split(command.removesuffix("&"))
    with subprocess.Popen([sys.executable, "-m", "cli", *words[1:]], stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 120
            while not _listens(port):
                assert process.poll() is None, f"{command} ended"
                assert time.monotonic() < deadline, f"{command} does not listen"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_a_page_tells_its_reader_to_do_works(
    page: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [step.command for step in steps(page) if isinstance(step, Line)]
    folder = tmp_path / "here"
    shutil.copytree(
        given, folder, symlinks=True, ignore=None if FIRST not in lines else lambda *_: ["farm.db"]
    )
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ExitStack() as running:
        port = _free_port()
        for step in steps(page):
            if isinstance(step, File):
                Path(step.name).parent.mkdir(parents=True, exist_ok=True)
                Path(step.name).write_text(step.text)
                continue
            command = step.command.replace(":8080", f":{port}").replace("--port 8080", f"--port {port}")
            if command.endswith("&"):
                running.enter_context(_serving(command, port))
                continue
            printed = [line.rstrip() for line in perform(command).splitlines()]
            assert not [line for line in step.shown if line not in printed], (command, printed)


@cache
def _help(command: tuple[str, ...]) -> str:
    """A command's help; empty where there is no such command."""
    shown = CliRunner().invoke(app, [*command, "--help"])
    text = shown.stdout if shown.exit_code == 0 else ""
    if command == ("train",):
        text += " ".join(f"--{option.name}" for name in METHODS for option in method_options(name))
    return text


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_a_page_names_only_commands_and_options_that_there_are(page: Path) -> None:
    text = page.read_text()
    blocks = [block for *_, block in FENCED.findall(text)] + INDENTED.findall(FENCED.sub("", text))
    for block in blocks:
        for said in re.findall(r"^ *(?:\$ )?farm ([^\n]*(?:\n +[\[-][^\n]*)*)", block, re.M):
            words = [word for word in re.sub(r"^--ledger \S+ ", "", said).split() if word != "..."]
            deep = words[0] == "people" or words[:2] == ["annotators", "calibrate"]
            command = tuple(words[:2]) if deep else tuple(words[:1])
            if not re.fullmatch(r"[a-z-]+", command[-1]):
                continue  # a placeholder
            shown = _help(command)
            assert shown, f"there is no farm {' '.join(command)}"
            unknown = [each for each in re.findall(r"(?<=[\s\[|])--[a-z][\w-]*", said) if each not in shown]
            assert not [each for each in unknown if each != "--OPTION"], (said, unknown)


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: no site is built")
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        tmp_path / "site",
    ]
    built = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES)
    far = r"(?:https?:)?//"
    tags = rf"<(?:script|img|iframe|source)[^>]*\ssrc=\"?{far}"
    links = rf"<link[^>]*rel=\"?(?:stylesheet|icon|preconnect)[^>]*href=\"?{far}"
    foreign = re.compile(rf"{tags}|{links}|@import|url\({far}")
    for file in [*pages, *(tmp_path / "site").rglob("*.css")]:
        assert not (found := foreign.search(file.read_text())), f"{file.name} loads {found and found[0]}"
    options = (tmp_path / "site" / "reference" / "options.html").read_text()
    assert all(f'id="{name}"' in options for name in METHODS)
