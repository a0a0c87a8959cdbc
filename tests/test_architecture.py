"""The rooms and the doors: who imports whom, how long things may be, what loads what."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"cli", "farm", "annotators", "db"}
SOURCES = sorted(
    path
    for top in ("cli.py", "farm", "annotators", "db")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)
ALL = SOURCES + sorted(p for top in ("tests", "benchmarks", "examples") for p in (ROOT / top).rglob("*.py"))

# A module of the room may import only what starts with one of these (of the project's own modules).
MAY = {
    "cli": ("farm", "db", "annotators"),
    "farm": ("farm", "db", "annotators"),
    "farm.statistics": ("farm.statistics",),
    "farm.methods": (
        "farm.methods",
        *(f"farm.{each}" for each in ("ops", "rollout", "policies", "scorers", "config", "data", "codec")),
    ),
    "annotators": ("annotators", "db.records", "db.ids", "db.errors"),
    "db": ("db",),
}
PRAGMA = re.compile(r"  # (type: ignore|noqa).*")  # remarks to the tools do not count
FOREIGN = {
    "db": {"torch", "transformers", "openai"},
    "farm.statistics": {"torch", "transformers", "openai", "sqlalchemy"},
}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room_of(module: str) -> str:
    return max((room for room in MAY if module == room or module.startswith(room + ".")), key=len)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_room_imports_only_its_doors(path: Path) -> None:
    room = room_of(name_of(path))
    for module in imports(path):
        if module.split(".")[0] in ROOMS:
            allowed = any(module == door or module.startswith(door + ".") for door in MAY[room])
            assert allowed, f"{name_of(path)} imports {module}"
        assert module.split(".")[0] not in FOREIGN.get(room, set()), f"{name_of(path)} imports {module}"


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


def test_nothing_is_written_twice() -> None:
    """Two functions of three statements or more that do the same would drift apart."""
    seen: dict[str, str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
                body = node.body[1:] if ast.get_docstring(node) else node.body
                if len(body) > 2:
                    shape = ast.dump(ast.Module(body, []))
                    here = f"{name_of(path)}.{node.name}"
                    assert shape not in seen, f"{here} does what {seen[shape]} does"
                    seen[shape] = here


def test_the_command_line_starts_light() -> None:
    heavy = ["torch", "transformers", "pandas", "numpy", "scipy", "sqlalchemy", "openai", "alembic", "rich"]
    code = f"import cli, sys; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_wheel_lists_its_packages() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {name_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert set(listed) == found
