"""The documentation's commands are run, page by page, and its site is built strictly, from this machine.

A console block is run line by line in a folder of the page's own; one whose title says what it `Needs` is
not; one that `Takes` long is run with smaller numbers, and by `make prove` as it stands. A block with a
file's name for a title is written to that file. What a page shows of the output must be in it. Other
blocks, and those not run, may name only commands and options that there are.
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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from cli import app, load
from farm.commands import COMMANDS
from farm.commands.train import flags_of
from farm.config import build
from farm.methods import METHODS
from farm.train import method_named, method_options

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCED = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?[^\n]*\n(.*?)^```", re.S | re.M)
INDENTED = re.compile(r"(?:^ {4}[^\n]*\n)+", re.M)
NOT_RUN, LONG = "Needs ", "Takes "
SMALLER = (
    (r" --(max_steps|epochs) \S+", ""),
    (r"^(farm train \w+)", r"\1 --max_steps 2"),
    (r"step-\d+", "step-00000002"),
    (r"(batch_size|new.tokens|best-of) \d+", r"\1 8"),
    (r"^(farm sample .*?)( --limit \d+)?$", r"\1 --limit 30"),
    (r"^farm (quickstart|validate)\b.*", r"farm \1 --help"),
)
SYNOPSIS = re.compile(r"[\[\]{}|]|\.\.\.|\bMETHOD\b")
FIRST = "python examples/make_preferences.py preferences.jsonl"
GIVEN = (FIRST, "farm import preferences preferences.jsonl", "farm annotate longest")
OWN_LEDGER = (FIRST, "farm world")  # pages with one of these begin with none
PORT = re.compile(r"(?<=:)80\d\d\b|(?<=--port )80\d\d\b")  # of a page's servers, each a free one here


class File(NamedTuple):
    """A block that is a file."""

    name: str
    text: str


class Line(NamedTuple):
    """A command with the lines of output that the page shows; of a block that takes long or not."""

    command: str
    shown: list[str]
    long: bool

    def smaller(self) -> Line:
        """With numbers that take no time; then the page's output is another's."""
        command = self.command
        for pattern, shorter in SMALLER if self.long else ():
            command = re.sub(pattern, shorter, command)
        return Line(command, [] if self.long else self.shown, self.long)

    def printed_as(self, output: str) -> bool:
        """Whether the page shows this output; figures that rest on a training differ by machine."""
        seen = _words(output) if self.long else [line.rstrip() for line in output.splitlines()]
        return all((_words(line) if self.long else line) in seen for line in self.shown)


def steps(page: Path) -> list[File | Line]:
    """What a reader of the page does, in order."""
    found: list[File | Line] = []
    for kind, title, text in FENCED.findall(page.read_text()):
        if kind == "console" and not title.startswith(NOT_RUN):
            for line in text.splitlines():
                if line.startswith("$ "):
                    found.append(Line(line[2:], [], title.startswith(LONG)))
                elif line.strip(" .") and isinstance(found[-1], Line):
                    found[-1].shown.append(line.rstrip())
        elif kind != "console" and "." in title:
            found.append(File(title, text))
    return found


def _words(text: str) -> str:
    """A text without its numbers and digests, what stands in brackets, and how it is spaced."""
    return " ".join(re.sub(r"\([^)]*\)|\b[0-9a-f]{32}\b|-?\d[\d,.]*", "#", text).split())


RUN = [page for page in PAGES if any(isinstance(step, Line) for step in steps(page))]
LONG_RUN = [page for page in RUN if any(isinstance(step, Line) and step.long for step in steps(page))]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the tutorial leaves it after its first steps."""
    folder = tmp_path_factory.mktemp("given")
    for name in ("examples", "farm"):
        (folder / name).symlink_to(ROOT / name)
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
    program, *words = shlex.split(command.removesuffix("&"))
    run = [sys.executable, *(["-m", "cli"] if program == "farm" else []), *words]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
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


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_a_page_tells_its_reader_to_do_works(
    page: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(
        [step.smaller() if isinstance(step, Line) else step for step in steps(page)],
        given,
        tmp_path,
        monkeypatch,
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", LONG_RUN, ids=lambda page: page.stem)
def test_what_takes_long_works_in_full(
    page: Path, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(steps(page), given, tmp_path, monkeypatch)


def follow(
    found: Sequence[File | Line], given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Do what a page says, in a copy of the given folder."""
    own = any(isinstance(step, Line) and step.command in OWN_LEDGER for step in found)
    folder = tmp_path / "here"
    shutil.copytree(given, folder, symlinks=True, ignore=(lambda *_: ["farm.db"]) if own else None)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ExitStack() as running:
        ports: defaultdict[str, int] = defaultdict(_free_port)
        for step in found:
            if isinstance(step, File):
                Path(step.name).parent.mkdir(parents=True, exist_ok=True)
                Path(step.name).write_text(step.text)
                continue
            command = PORT.sub(lambda named: str(ports[named[0]]), step.command)
            if command.endswith("&"):
                [named] = PORT.findall(step.command)
                running.enter_context(_serving(command, ports[named]))
                continue
            printed = perform(command)
            assert step.printed_as(printed), (command, step.shown, printed)


def commands_of(text: str) -> tuple[list[str], list[str]]:
    """What follows `farm` in a page's blocks, one line each, and in its prose."""
    blocks = [block for *_, block in FENCED.findall(text)]
    prose = FENCED.sub("", text)
    blocks += INDENTED.findall(prose)
    said = re.findall(r"^ *(?:\$ )?farm ([^\n]*(?:\n +[\[-][^\n]*)*)", "\n".join(blocks), re.M)
    return [" ".join(each.replace("\\\n", "\n").split()) for each in said], re.findall(
        r"`farm ([^`]+)`", prose
    )


ACTING = {"--install-completion", "--show-completion"}  # they act as soon as they are parsed


def parse(words: list[str]) -> None:
    """Parse a command line as `farm` does, a method's options too; nothing is done of it."""
    if set(words) <= ACTING:
        return
    command, context, name = get_command(app), None, "farm"
    while isinstance(command, TyperGroup):
        context = command.make_context(name, words, parent=context)
        words = [*context._protected_args, *context.args]
        said, found, words = command.resolve_command(context, words)
        assert said
        assert found
        name, command = said, found
    context = command.make_context(name, words, parent=context)
    if name == "train" and context.params["method"]:
        build(method_named(context.params["method"]).Config, flags_of(context.args))


@cache
def options_of_methods() -> set[str]:
    """The options of all methods, in both spellings."""
    names = {option.name for name in METHODS for option in method_options(name)}
    return {f"--{each}" for name in names for each in (name, name.replace("_", "-"))}


command_named = cache(load)


def options_of(words: list[str]) -> set[str]:
    """The options of the command that these words begin with; there must be one, or a group of them."""
    command, options = get_command(app), {"--help", "-h", "--OPTION"}
    while True:
        options |= {option for each in command.params for option in each.opts}
        if not isinstance(command, TyperGroup) or not words or not words[0].islower():
            break
        if command.name == "farm":
            command = command_named(words.pop(0))
        else:
            command = command.commands[words.pop(0) if words[0] in command.commands else "show"]
    if command.name == "train":
        options |= options_of_methods()
    return options


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_a_page_names_only_commands_and_options_that_there_are(page: Path) -> None:
    """Lines of blocks are parsed, values and all; of synopses and prose the options are looked up."""
    lines, mentions = commands_of(page.read_text())
    for said in lines:
        if SYNOPSIS.search(said):
            mentions.append(said)
        else:
            parse(shlex.split(re.split(r" [&|>]", said)[0], comments=True))
    for said in mentions:
        options = options_of(re.sub(r"^--\S+( \S+ |$)", "", said).split())
        named = re.findall(r"(?<=[\s\[|])--?[a-z][\w-]*", said)
        assert not [each for each in named if each not in options], said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_a_page_with_an_example_that_is_run_and_what_it_refuses(command: str) -> None:
    page = ROOT / "docs" / f"{command.replace('-', '_')}.md"
    run = [step.command for step in steps(page) if isinstance(step, Line)]
    assert [line for line in run if line.split()[:2] == ["farm", command]], f"{page.name} runs no example"
    assert "\n## What it refuses\n" in page.read_text()


def test_the_site_loads_nothing_from_elsewhere_and_has_the_reference(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    far = r"(?:https?:)?//"
    tags = rf"<(?:script|img|iframe|source)[^>]*\ssrc=\"?{far}"
    links = rf"<link[^>]*rel=\"?(?:stylesheet|icon|preconnect)[^>]*href=\"?{far}"
    foreign = re.compile(rf"{tags}|{links}|@import|url\({far}")
    for file in [*pages, *site.rglob("*.css")]:
        assert not (found := foreign.search(file.read_text())), f"{file.name} loads {found and found[0]}"
    options = (site / "reference" / "options.html").read_text()
    assert all(f'id="{name}"' in options for name in METHODS)
