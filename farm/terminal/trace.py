"""A trace as a tree on a terminal."""

from __future__ import annotations

import json

from rich.text import Text
from rich.tree import Tree

from db.ids import Json
from farm.terminal.common import plain
from farm.tracing.node import Node


def trace_view(node: Node, content: bool) -> Tree:
    """The tree. content: show what people and models wrote, instead of its length."""
    tree = Tree(_head(node, content), guide_style="dim")
    _grow(tree, node, content)
    return tree


def _grow(tree: Tree, node: Node, content: bool) -> None:
    for each in node.basis:
        _grow(tree.add(_head(each, content)), each, content)
    if node.hidden > 0:
        tree.add(Text(f"... and {node.hidden:,} more judgements: see --limit", style="dim"))


def _head(node: Node, content: bool) -> Text:
    """The name, then one line for each fact and text."""
    head = Text.assemble((node.name, "bold"))
    for name, value in node.facts.items():
        head.append("\n").append(f"{name}: ", style="dim").append_text(_value(value))
    for name, text in node.texts.items():
        head.append("\n").append(f"{name}: ", style="dim")
        if content:
            for line in text.splitlines() or [""]:
                head.append("\n  ").append_text(plain(line))
        else:
            head.append(f"{len(text):,} characters (--content shows them)")
    return head


def _value(value: Json) -> Text:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return plain(", ".join(map(str, value)))
    return plain(json.dumps(value, ensure_ascii=False))
