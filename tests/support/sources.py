"""Our code as data: files, modules, syntax trees, and all faults of a kind in one message."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = {"cli", "farm", "annotators", "db"}
SOURCES = sorted(
    path
    for top in ("cli.py", "farm", "annotators", "db")
    for path in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
)
ALL = SOURCES + sorted(p for top in ("tests", "benchmarks", "examples") for p in (ROOT / top).rglob("*.py"))


def name_of(path: Path) -> str:
    """The module of a file: farm.train of farm/train.py, farm of farm/__init__.py."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in SOURCES}


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file, read once for all tests of a process."""
    return ast.parse(path.read_text())


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's syntax tree, in the order of `ast.walk`."""
    return tuple(ast.walk(tree_of(path)))


def at(path: Path, line: int | ast.AST, fault: str) -> str:
    """`FILE:LINE: FAULT`, as an editor opens it. line: a number, or the node that stands there."""
    number = line if isinstance(line, int) else getattr(line, "lineno", 1)
    return f"{path.relative_to(ROOT)}:{number}: {fault}"


def require_none(faults: Iterable[str], remedy: str) -> None:
    """Fail with what to do, and with every fault on a line of its own, where there is any.

    faults: lines of `at`.
    """
    found = list(faults)
    assert not found, "\n".join([f"{len(found)} faults. {remedy}", *found])
