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

from farm import commands
from tests.conftest import LENGTHY
from tests.support.sources import (
    ALL,
    MODULES,
    ROOMS,
    ROOT,
    SOURCES,
    at,
    name_of,
    nodes_of,
    require_none,
    tree_of,
)

# The rooms from the top floor down: a module may import from its own room and from those that are named.
# STEPS: the commands that whole studies are made of. docs/architecture.md has this table as a drawing.
FACTS = ("db.errors", "db.ids", "db.records")
STEPS = tuple(
    f"farm.{each}" for each in ("sample", "pair", "snapshot", "train", "audit", "over_optimisation")
)
PARTS = tuple(
    f"farm.{each}" for each in ("sample", "pair", "annotate", "evaluate", "leaderboard", "snapshot")
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
    "farm.aligning": (*ASKED, "farm.judging", *MEASURES, "annotators", "db"),
    "farm.calibration": ("farm.audit", "farm.options", "farm.judging", *MEASURES, "annotators", "db"),
    "farm.studies": (*STEPS, *ASKED, *MEASURES, "farm.world", *TORCH, "annotators", "db"),
    "farm.rounds": (*PARTS, "farm.train", "farm.runs", *ASKED, "farm.judging", *TORCH, "annotators", "db"),
    "farm.tracing": ("farm.evaluation", "farm.models", "farm.config", "db"),
    "farm.runs": (*PARTS, *ASKED, *MEASURES, "farm.judging", *TORCH, "annotators", "db"),
    "farm.producers": ("farm.judging", "farm.progress", *TORCH, "annotators", "db"),
    "farm.world": ("farm.statistics", *TORCH, "annotators", "db"),
    "farm.evaluation": (*MEASURES, "farm.options", "annotators.lists", "db"),
    "farm.judging": ("farm.models", "farm.config", "farm.settings", "farm.progress", "annotators", "db"),
    "farm.methods": TORCH,
    "farm.training": ("farm.models", "farm.config", *FACTS, "db.whole_files"),
    "farm.models": ("farm.config", "annotators.template_limits", *FACTS),
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
    "db.interchange": (*FACTS, "db.sqlite_file"),
    "db": (),
}
ABOVE = ("cli", "farm.commands", "farm.terminal")  # nothing else imports these
# The commands by the names of their modules; where one has no file of its name yet.
COMMANDS = {f"{name.replace('-', '_')}{'_' if iskeyword(name) else ''}" for name in commands.COMMANDS}
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


Imported = tuple[ast.Import | ast.ImportFrom, str]


def imports(path: Path) -> Iterator[Imported]:
    """Each module that a file imports, with the statement that does it."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node, name if name in MODULES else node.module) for name in named)


def ours(path: Path) -> Iterator[Imported]:
    """The project's own modules that a file imports: at its top, inside functions, or for types alone."""
    for node, module in imports(path):
        if module.split(".")[0] in ROOMS and module != name_of(path):
            yield node, module


def within(module: str, *rooms: str) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str:
    return max((room for room in MAY if within(module, room)), key=len)


def test_the_code_is_found() -> None:
    assert len(SOURCES) > 250
    assert len(ALL) > 450


def wrong_doors(path: Path) -> Iterator[str]:
    """Imports of what a file's room may not import."""
    room = room_of(name_of(path))
    for node, module in ours(path):
        if not within(module, room, *MAY[room]):
            yield at(path, node, f"{room} may not import {module}")
        if not within(room, *ABOVE) and within(module, *ABOVE):
            yield at(path, node, f"{module} stands above {room}")
    for node, module in imports(path):
        if module.split(".")[0] in FOREIGN.get(room, set()):
            yield at(path, node, f"{room} may not import {module}")


def test_a_room_imports_only_its_doors() -> None:
    faults = [fault for path in SOURCES for fault in wrong_doors(path)]
    require_none(faults, "Move the code to a room that may import this; docs/architecture.md has the table.")


def database_doors(path: Path) -> Iterator[str]:
    """Queries and connections in a file outside db."""
    for node, module in imports(path):
        if within(module, "sqlalchemy", "db.tables"):
            yield at(path, node, f"imports {module}")
    for each in nodes_of(path):
        if isinstance(each, ast.Attribute) and each.attr == "reading":
            yield at(path, each, "opens a connection")


def test_only_db_reads_the_database() -> None:
    """The ledger has two doors, `Ledger` and db.queries: other rooms build no query and get no connection."""
    outside = [path for path in SOURCES if not within(name_of(path), "db")]
    faults = [fault for path in outside for fault in database_doors(path)]
    require_none(faults, "Ask the ledger by `Ledger` or by a function of db/queries.")


def test_there_is_no_circle() -> None:
    """Modules can be put in an order in which each stands after all that it imports."""
    graph = {name: {module for _, module in ours(path)} for name, path in MODULES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


# Their contents stand in lists of their own: commands, methods and schemas.
LISTED_ELSEWHERE = ("farm", "farm.methods", "db.migrations", "db.migrations.versions", "tests")


def unlisted(path: Path) -> Iterator[str]:
    """Files of a room that its docstring does not list, and lines of it that name no file."""
    text = ast.get_docstring(tree_of(path)) or ""
    listed = re.findall(r"^([a-z]\w*) {2,}\S", text, flags=re.MULTILINE)
    files = {each.stem for each in path.parent.glob("*.py")} - {"__init__"}
    rooms = {each.parent.name for each in path.parent.glob("*/__init__.py")}
    named_for_commands = COMMANDS if name_of(path) in NAMED_FOR_COMMANDS else set()
    expected = (files | rooms) - named_for_commands
    yield from (at(path, 1, f"no line for {name}") for name in sorted(expected - set(listed)))
    yield from (at(path, 1, f"there is no {name}") for name in sorted(set(listed) - expected))
    yield from (at(path, 1, f"{name} stands twice") for name in expected if listed.count(name) > 1)


def test_a_room_lists_its_files() -> None:
    """`name    what it is`, a line each, in the order of reading; but for what another table lists.

    Files that have a command's name are found by farm.commands, with what the command does.
    """
    rooms = [
        path
        for path in ALL
        if path.name == "__init__.py"
        and len(list(path.parent.glob("*.py"))) > 2
        and name_of(path) not in LISTED_ELSEWHERE
    ]
    faults = [fault for path in rooms for fault in unlisted(path)]
    require_none(
        faults, "The docstring of a room's __init__.py has a line for each file: `name    what it is`."
    )


def test_the_top_of_farm_is_the_list_of_commands() -> None:
    """calibrate is `farm annotators calibrate`, objectives `farm methods`; the others serve all."""
    top = {path.stem for path in (ROOT / "farm").glob("*.py")} - {"__init__"}
    assert len(top) <= 30
    assert top - COMMANDS <= {"config", "escaping", "moved", "progress", "calibrate", "objectives"}


@pytest.mark.parametrize("room", LACKING)
def test_every_command_has_its_name_in_every_room(room: str) -> None:
    """The exceptions only shrink."""
    ending = "md" if room == "docs" else "py"
    start = "test_" if room.startswith("tests") else ""
    there = {path.stem.removeprefix(start) for path in (ROOT / room).glob(f"{start}*.{ending}")}
    missing = {name for name in COMMANDS if (name.rstrip("_") if room == "docs" else name) not in there}
    assert missing <= LACKING[room]


def too_long(path: Path) -> Iterator[str]:
    """Files, lines and functions that are longer than they may be."""
    lines = path.read_text().splitlines()
    limit = 200 if "farm/methods/" in str(path) else 400
    if len(lines) > limit:
        yield at(path, limit, f"{len(lines)} lines in a file, more than {limit}")
    for number, line in enumerate(lines, start=1):
        if (width := len(PRAGMA.sub("", line))) > 110:
            yield at(path, number, f"{width} characters in a line, more than 110")
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            if length > 60:
                yield at(path, node, f"{node.name} has {length} lines, more than 60")


def test_files_functions_and_lines_are_short() -> None:
    faults = [fault for path in ALL for fault in too_long(path)]
    require_none(faults, "Split what is too long into parts that have names.")


def test_every_module_says_what_it_is() -> None:
    faults = [at(path, 1, "no docstring") for path in SOURCES if not ast.get_docstring(tree_of(path))]
    require_none(faults, "A module begins with a docstring that says what it is.")


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
        for name, node in public(tree_of(path)):
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
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if len(body) > (1 if strict else 2) and (strict or node.name != "__init__"):
                    shape = ast.dump(ast.Module(body, []))
                    here = f"{name_of(path)}.{node.name}"
                    assert shape not in seen, f"{here} does what {seen[shape]} does"
                    seen[shape] = here


def test_what_quick_leaves_out_is_there() -> None:
    for place in LENGTHY:
        path, _, name = place.partition("::")
        assert (ROOT / path).exists(), place
        assert not name or f"def {name}" in (ROOT / path).read_text(), place


def own_names() -> set[str]:
    """The names of our functions and classes, but for functions that take any number of arguments."""
    nodes = [node for path in SOURCES for node in nodes_of(path)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    any_number = {node.name for node in functions if node.args.vararg}
    return classes | ({node.name for node in functions} - any_number)


def by_position(path: Path, own: set[str]) -> Iterator[str]:
    """Calls of our own functions and classes that pass more than four arguments by position.

    own: their names. A function that takes any number of arguments has no names for them.
    """
    for call in nodes_of(path):
        if isinstance(call, ast.Call) and len(call.args) > 4:
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in own:
                yield at(path, call, f"{name} gets {len(call.args)} arguments by position")


def test_a_call_passes_four_arguments_by_position_at_most() -> None:
    own = own_names()
    faults = [fault for path in SOURCES for fault in by_position(path, own)]
    require_none(faults, "Pass all but the first four by name.")


def test_the_command_line_starts_light() -> None:
    heavy = ["torch", "transformers", "pandas", "numpy", "scipy", "sqlalchemy", "openai", "alembic", "rich"]
    code = f"import cli, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_queries_are_made_without_a_mapper() -> None:
    """SQLAlchemy's mapper would cost a sixth of a short command."""
    found = [(path, *each) for path in SOURCES for each in imports(path)]
    faults = [
        at(path, node, f"imports {module}") for path, node, module in found if "sqlalchemy.orm" in module
    ]
    require_none(faults, "Use the tables of db/tables.py: TABLE.c.column, TABLE.alias().")


def test_the_wheel_lists_its_packages() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert set(listed) == found
