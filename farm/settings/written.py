"""The options of a configuration, read from its source: the modules that it stands in are not imported.

The configuration of a method stands in the file of its equation, which loads torch. Read this way, `farm
train METHOD --help` takes tenths of a second.
"""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from farm.settings.fields import Option, docs_in, options_by_name, type_name

ROOT = Path(__file__).parents[2]
LIGHT = "farm.config"  # a module that may be imported
END = "Config"  # of a configuration's name


def written_options(module: str) -> list[Option]:
    """Every option of the one configuration that a module defines, as `options` of fields.py gives them.

    Raises ValueError where the source has more than literals: a default that is computed, two configurations.
    """
    classes = (each.name for each in _tree(module).body if isinstance(each, ast.ClassDef))
    [name] = [each for each in classes if each.endswith(END)]
    found = _class(module, name)
    gathered: dict[str, Option] = {}
    for each in reversed(found.__mro__[:-1]):
        for key, option in vars(each)["written"].items():
            before = gathered.get(key)
            doc = option.doc or (before.doc if before else "")
            gathered[key] = dataclasses.replace(option, doc=doc)
    own = vars(found)["written"]
    return sorted(gathered.values(), key=lambda each: each.name not in own)


def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _class(module: str, name: str) -> type:
    """A class with the bases of the one that is written, so that Python orders them. It holds `written`."""
    if module == LIGHT:
        return type(name, (), {"written": options_by_name(getattr(import_module(module), name))})
    tree = _tree(module)
    [node] = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name]
    homes = {
        alias.asname or alias.name: each.module
        for each in tree.body
        if isinstance(each, ast.ImportFrom) and each.module
        for alias in each.names
    }
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    return type(
        name,
        tuple(_class(homes.get(base, module), base) for base in bases),
        {"written": _fields(node, docs_in(str(_file(module)))[name], _aliases(tree))},
    )


def _aliases(tree: ast.Module) -> dict[str, str]:
    """The names that a module gives to types, such as `How: TypeAlias = Literal["a"]`, and their texts."""
    return {
        each.target.id: ast.unparse(each.value)
        for each in tree.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value
        if ast.unparse(each.annotation) == "TypeAlias"
    }


def _fields(node: ast.ClassDef, docs: Mapping[str, str], aliases: Mapping[str, str]) -> dict[str, Option]:
    """The options of one class: name -> what is written of it. aliases: names of types in its module."""
    lines = {
        each.target.id: each
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    types = {name: ast.unparse(line.annotation) for name, line in lines.items()}
    written = {name: aliases.get(text, text) for name, text in types.items()}
    known = vars(typing) | {"Path": Path} | vars(import_module(LIGHT))
    hints = typing.get_type_hints(type("Written", (), {"__annotations__": written}), known)
    return {
        name: Option(name, type_name(hints[name]), _default(line.value), docs.get(name, ""))
        for name, line in lines.items()
    }


def _default(value: ast.expr | None) -> Any:
    """The default that is written: a literal, or the first argument of `option`."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "option":
        value = value.args[0] if value.args else None
    return dataclasses.MISSING if value is None else ast.literal_eval(value)
