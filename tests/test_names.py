"""One noun per thing: who owns a name, which names may be given anew, and what a local name may not hide."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import ALL, MODULES, ROOMS, SOURCES, name_of

OURS = {*ROOMS, "tests", "benchmarks", "examples"}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# Names that several classes have. The list may only shrink.
SHARED_NAMES: frozenset[str] = frozenset()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def classes() -> dict[str, list[str]]:
    """Public class name -> the modules that define it."""
    owners = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(module)
    return owners


CLASSES = classes()


def test_a_public_class_name_has_one_owner() -> None:
    shared = {name: modules for name, modules in CLASSES.items() if len(modules) > 1}
    assert shared.keys() == SHARED_NAMES, shared


def aliases(tree: ast.Module) -> Iterator[str]:
    """The names of types that a module makes without a class: aliases and type variables."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path.parent.name != "commands"], ids=name_of
)  # the types of flags are the command line's alone
def test_a_type_alias_has_no_name_of_a_class(path: Path) -> None:
    assert not {name for name in aliases(tree_of(path)) if name in CLASSES}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_is_imported_under_the_name_of_a_class_of_ours(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                renamed = alias.asname not in (None, alias.name)  # `X as X` only passes X on
                assert not renamed or alias.asname not in CLASSES, ast.unparse(node)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_class_of_ours_keeps_its_name_when_it_is_imported(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
            for alias in node.names:
                renamed = alias.asname not in (None, alias.name)
                assert not renamed or alias.name not in CLASSES, ast.unparse(node)


def top_names(tree: ast.Module) -> set[str]:
    """What a module imports at its top, for types alone too, and what it defines there."""
    found: set[str] = set()
    inside = [each for node in tree.body if isinstance(node, ast.If) for each in node.body]
    for node in [*tree.body, *inside]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def scope(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's own scope: not those of the functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body) if isinstance(function.body, list) else [function.body]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def bound(function: Function) -> Iterator[str]:
    """The names that a function gives a value: parameters, variables, imports, functions, classes."""
    parameters = function.args
    for each in [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]:
        yield each.arg
    yield from (each.arg for each in (parameters.vararg, parameters.kwarg) if each)
    for node in scope(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            yield node.name or ""


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_local_name_hides_nothing_of_its_module(path: Path) -> None:
    tree = tree_of(path)
    above = top_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, Function):
            hidden = above & set(bound(node))
            assert not hidden, f"line {node.lineno} hides {sorted(hidden)}"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_a_name_with_an_underscore_stays_in_its_module(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            private = [alias.name for alias in node.names if re.match("_[^_]", alias.name)]
            assert not private, f"line {node.lineno} imports {private} from {node.module}"


def test_functions_of_one_name_do_not_act_oppositely() -> None:
    """What repairs a text and what refuses it say so: `repaired` and `require_storable`."""
    names = {
        node.name for path in SOURCES for node in tree_of(path).body if isinstance(node, ast.FunctionDef)
    }
    assert "storable" not in names
    assert {"repaired", "require_storable"} <= names
