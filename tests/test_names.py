"""One noun per thing: who owns a name, which names may be given anew, and what a local name may not hide."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.sources import ALL, MODULES, ROOMS, SOURCES, at, nodes_of, require_none, tree_of

OURS = {*ROOMS, "tests", "benchmarks", "examples"}
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

# Names that several classes have. The list may only shrink.
SHARED_NAMES: frozenset[str] = frozenset()


@cache
def classes() -> dict[str, list[str]]:
    """Public class name -> the modules that define it."""
    owners = defaultdict(list)
    for module, path in MODULES.items():
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                owners[node.name].append(module)
    return owners


def test_a_public_class_name_has_one_owner() -> None:
    shared = {name: modules for name, modules in classes().items() if len(modules) > 1}
    assert shared.keys() == SHARED_NAMES, shared


def aliases(tree: ast.Module) -> Iterator[str]:
    """The names of types that a module makes without a class: aliases and type variables."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_a_type_alias_has_no_name_of_a_class() -> None:
    """But for those in farm/commands: the types of flags are the command line's alone."""
    faults = [
        at(path, 1, f"{name} is a class in {classes()[name][0]}")
        for path in SOURCES
        if path.parent.name != "commands"
        for name in aliases(tree_of(path))
        if name in classes()
    ]
    require_none(faults, "Give the alias or the type variable a name of its own.")


def renamed_imports(path: Path) -> Iterator[tuple[ast.Import | ast.ImportFrom, ast.alias]]:
    """Imports under another name. `X as X` only passes X on."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((node, each) for each in node.names if each.asname not in (None, each.name))


def test_nothing_is_imported_under_the_name_of_a_class_of_ours() -> None:
    faults = [
        at(path, node, ast.unparse(node))
        for path in SOURCES
        for node, alias in renamed_imports(path)
        if alias.asname in classes()
    ]
    require_none(faults, "Import it under a name that no class of ours has.")


def test_a_class_of_ours_keeps_its_name_when_it_is_imported() -> None:
    faults = [
        at(path, node, ast.unparse(node))
        for path in SOURCES
        for node, alias in renamed_imports(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ROOMS
        if alias.name in classes()
    ]
    require_none(faults, "Import the class under its own name.")


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


def test_a_local_name_hides_nothing_of_its_module() -> None:
    faults = [
        at(path, node, f"{name} hides what the module imports or defines")
        for path in SOURCES
        for node in nodes_of(path)
        if isinstance(node, Function)
        for name in sorted(top_names(tree_of(path)) & set(bound(node)))
    ]
    require_none(faults, "Give the variable another name.")


def test_a_name_with_an_underscore_stays_in_its_module() -> None:
    faults = [
        at(path, node, f"imports {alias.name} from {node.module}")
        for path in ALL
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS
        for alias in node.names
        if re.match("_[^_]", alias.name)
    ]
    require_none(faults, "Import public names alone; give what others need a name without an underscore.")


def test_functions_of_one_name_do_not_act_oppositely() -> None:
    """What repairs a text and what refuses it say so: `repaired` and `require_storable`."""
    names = {
        node.name for path in SOURCES for node in tree_of(path).body if isinstance(node, ast.FunctionDef)
    }
    assert "storable" not in names
    assert {"repaired", "require_storable"} <= names
