"""The rooms and the doors: who imports whom, how long things may be, what loads what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from keyword import iskeyword
from pathlib import Path

import pytest

import cli
from tests.conftest import LENGTHY

ROOT = Path(__file__).parent.parent
ROOMS = {"cli", "farm", "annotators", "db"}
SOURCES = sorted(
    path
    for top in ("cli.py", "farm", "annotators", "db")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)
ALL = SOURCES + sorted(p for top in ("tests", "benchmarks", "examples") for p in (ROOT / top).rglob("*.py"))

# The rooms from the top floor down: a module may import from its own room and from those that are named.
# STEPS: the commands that whole studies are made of. docs/architecture.md has this table as a drawing.
FACTS = ("db.errors", "db.ids", "db.records")
STEPS = tuple(
    f"farm.{each}" for each in ("sample", "pair", "snapshot", "train", "audit", "over_optimisation")
)
TORCH = ("farm.methods", "farm.training", "farm.models", "farm.config", "farm.settings")
ASKED = ("farm.options", "farm.progress")
MEASURES = ("farm.evaluation", "farm.statistics", "farm.escaping")
MAY: dict[str, tuple[str, ...]] = {
    "cli": ("farm.commands", "farm.escaping", "db.errors"),
    "farm.commands": ("farm", "annotators", "db"),
    "farm.terminal": ("farm", "annotators", "db"),
    "farm": ("farm", "annotators", "db"),
    "farm.pages": ("farm.studies", *MEASURES, "annotators", "db"),
    "farm.studies": (*STEPS, *ASKED, *MEASURES, "farm.world", *TORCH, "annotators", "db"),
    "farm.tracing": ("farm.evaluation", "farm.models", "farm.config", "db"),
    "farm.producers": ("farm.judging", *TORCH, "annotators", "db"),
    "farm.world": ("farm.statistics", *TORCH, "annotators", "db"),
    "farm.evaluation": (*MEASURES, "farm.options", "annotators.rules", "db"),
    "farm.judging": ("farm.models", "farm.config", "farm.settings", "farm.progress", "annotators", "db"),
    "farm.methods": TORCH,
    "farm.training": ("farm.models", "farm.config", *FACTS),
    "farm.models": ("farm.config", *FACTS),
    "farm.statistics": (),
    "farm.options": (
        "farm.judging.provider",
        "farm.statistics.length_control",
        "farm.config",
        "farm.settings",
        *FACTS,
    ),
    "farm.progress": (),
    "farm.config": ("farm.settings",),
    "farm.settings": ("annotators.strict_yaml", *FACTS),
    "farm.escaping": (),
    "annotators": FACTS,
    "db.interchange": FACTS,
    "db": (),
}
ABOVE = ("cli", "farm.commands", "farm.terminal")  # nothing else imports these
# The commands by the names of their modules; where one has no file of its name yet.
COMMANDS = {f"{name.replace('-', '_')}{'_' if iskeyword(name) else ''}" for name in cli.COMMANDS}
LACKING: dict[str, set[str]] = {
    "farm/commands": set(),
    "farm/terminal": set(),
    "docs": set(),
    "tests/farm": set(),
}
NAMED_FOR_COMMANDS = ("farm.commands", "farm.terminal", "farm.options")  # rooms with a file for each command
FOREIGN = {
    "db": {"torch", "transformers", "openai"},
    "db.interchange": {"torch", "transformers", "openai", "sqlalchemy"},
    "farm.statistics": {"torch", "transformers", "openai", "sqlalchemy"},
}
PRAGMA = re.compile(r"  # (type: ignore|noqa).*")  # remarks to the tools do not count


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in named)


def ours(path: Path) -> set[str]:
    """The project's own modules that a file imports: at its top, inside functions, or for types alone."""
    return {module for module in imports(path) if module.split(".")[0] in ROOMS} - {name_of(path)}


def within(module: str, *rooms: str) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str:
    return max((room for room in MAY if within(module, room)), key=len)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_room_imports_only_its_doors(path: Path) -> None:
    room = room_of(name_of(path))
    for module in ours(path):
        assert within(module, room, *MAY[room]), f"{name_of(path)} imports {module}"
        if not within(room, *ABOVE):
            assert not within(module, *ABOVE), f"{name_of(path)} imports {module}, which stands above"
    for module in imports(path):
        assert module.split(".")[0] not in FOREIGN.get(room, set()), f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [path for path in SOURCES if not within(name_of(path), "db")], ids=name_of)
def test_only_db_reads_the_database(path: Path) -> None:
    """The ledger has two doors, `Ledger` and db.queries: other rooms build no query and get no connection."""
    for module in imports(path):
        assert not within(module, "sqlalchemy", "db.tables"), f"{name_of(path)} imports {module}"
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Attribute) and node.attr == "reading"), f"line {node.lineno}"


def test_there_is_no_circle() -> None:
    """Modules can be put in an order in which each stands after all that it imports."""
    try:
        list(TopologicalSorter({name: ours(path) for name, path in MODULES.items()}).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize(
    "path",
    [path for path in ALL if path.name == "__init__.py" and len(list(path.parent.glob("*.py"))) > 2],
)
def test_a_room_lists_its_files(path: Path) -> None:
    """`name    what it is`, a line each, in the order of reading; but for what another table lists.

    Files that have a command's name stand in cli.COMMANDS, with what the command does.
    """
    if name_of(path) in ("farm", "farm.methods", "db.migrations", "db.migrations.versions", "tests"):
        pytest.skip("commands, methods and schemas stand in lists of their own")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    listed = re.findall(r"^([a-z]\w*) {2,}\S", text, flags=re.MULTILINE)
    files = {each.stem for each in path.parent.glob("*.py")} - {"__init__"}
    rooms = {each.parent.name for each in path.parent.glob("*/__init__.py")}
    named_for_commands = COMMANDS if name_of(path) in NAMED_FOR_COMMANDS else set()
    assert sorted(listed) == sorted((files | rooms) - named_for_commands)


def test_the_top_of_farm_is_the_list_of_commands() -> None:
    """calibrate is `farm annotators calibrate`; the other four serve all commands."""
    top = {path.stem for path in (ROOT / "farm").glob("*.py")} - {"__init__"}
    assert len(top) <= 30
    assert top - COMMANDS <= {"config", "escaping", "moved", "progress", "calibrate"}


@pytest.mark.parametrize("room", LACKING)
def test_every_command_has_its_name_in_every_room(room: str) -> None:
    """The exceptions only shrink."""
    ending = "md" if room == "docs" else "py"
    start = "test_" if room.startswith("tests") else ""
    there = {path.stem.removeprefix(start) for path in (ROOT / room).glob(f"{start}*.{ending}")}
    missing = {name for name in COMMANDS if (name.rstrip("_") if room == "docs" else name) not in there}
    assert missing <= LACKING[room]


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_files_functions_and_lines_are_short(path: Path) -> None:
    text = path.read_text()
    lines = text.splitlines()
    limit = 200 if "farm/methods/" in str(path) else 400
    assert len(lines) <= limit, f"{len(lines)} lines"
    assert max((len(PRAGMA.sub("", line)) for line in lines), default=0) <= 110
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module docstring is missing"


Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public(node: ast.Module | ast.ClassDef, above: str = "") -> Iterator[tuple[str, Documented]]:
    """The public functions, classes and methods of a module, by name, but for those inside functions."""
    for each in node.body:
        if isinstance(each, Documented) and not each.name.startswith("_"):
            yield above + each.name, each
            if isinstance(each, ast.ClassDef):
                yield from public(each, f"{above}{each.name}.")


def test_public_names_have_a_docstring() -> None:
    """At least 95 % of the functions, classes and methods in every room."""
    rooms: dict[str, list[str]] = defaultdict(list)  # what has none, and "" for each that has one
    for path in SOURCES:
        for name, node in public(ast.parse(path.read_text())):
            lacking = "" if ast.get_docstring(node) else f"{path.relative_to(ROOT)}:{node.lineno} {name}"
            rooms[room_of(name_of(path))].append(lacking)
    for room, found in rooms.items():
        share = found.count("") / len(found)
        assert share >= 0.95, "\n".join([f"{room}: {share:.0%}", *filter(None, found)])


STRICTLY_ONCE = ("farm.methods", "farm.training", "farm.models")


def test_nothing_is_written_twice() -> None:
    """Two functions of three statements or more that do the same would drift apart.

    On the torch side two statements count, and so do the methods named __init__.
    """
    seen: dict[str, str] = {}
    for path in SOURCES:
        strict = within(name_of(path), *STRICTLY_ONCE)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if len(body) > (1 if strict else 2) and (strict or node.name != "__init__"):
                    shape = ast.dump(ast.Module(body, []))
                    here = f"{name_of(path)}.{node.name}"
                    assert shape not in seen, f"{here} does what {seen[shape]} does"
                    seen[shape] = here


@pytest.mark.parametrize("place", LENGTHY)
def test_what_quick_leaves_out_is_there(place: str) -> None:
    path, _, name = place.partition("::")
    assert (ROOT / path).exists()
    assert not name or f"def {name}" in (ROOT / path).read_text()


def by_position(path: Path) -> list[str]:
    """Calls of our own functions and classes that pass more than four arguments by position.

    A function that takes any number of arguments has no names for them.
    """
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    many = [call for call in calls if len(call.args) > 4]
    names = [
        call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "") for call in many
    ]
    return [f"{call.lineno}: {name}" for call, name in zip(many, names, strict=True) if name in OWN]


OUR_NODES = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text()))]
OUR_FUNCTIONS = [node for node in OUR_NODES if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
OWN = {node.name for node in OUR_NODES if isinstance(node, ast.ClassDef)}
OWN |= {node.name for node in OUR_FUNCTIONS} - {node.name for node in OUR_FUNCTIONS if node.args.vararg}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_call_passes_four_arguments_by_position_at_most(path: Path) -> None:
    assert by_position(path) == []


def test_the_command_line_starts_light() -> None:
    heavy = ["torch", "transformers", "pandas", "numpy", "scipy", "sqlalchemy", "openai", "alembic", "rich"]
    code = f"import cli, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_wheel_lists_its_packages() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert set(listed) == found
