"""Templates of anybody, run within limits: of steps, size and depth, without chance, without side effects.

A template is a file that may come from somebody else. It can show texts, ask and loop; it cannot change what
it is given, draw at random, or take more than LIMITS allow. Whatever goes beyond raises TemplateError.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateRuntimeError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

MAX_TEMPLATE = 256 * 1024  # characters
MAX_STEPS = 100_000  # turns of loops and calls, in one block of one prompt
MAX_SIZE = 4 * 2**20  # characters of a text, entries of a list
MAX_TEXT = 32 * 2**20  # characters of a prompt
MAX_NUMBER = 2**63
MAX_LISTS = 16  # lists and mappings that a template spells out
MAX_SECONDS = 10.0  # of a core; only a template that is near its limit of steps takes as long
FILTERS = frozenset(
    (
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "e",
        "escape",
        "first",
        "float",
        "int",
        "items",
        "join",
        "last",
        "length",
        "list",
        "lower",
        "max",
        "min",
        "reject",
        "rejectattr",
        "replace",
        "reverse",
        "select",
        "selectattr",
        "sort",
        "string",
        "title",
        "tojson",
        "trim",
        "truncate",
        "unique",
        "upper",
        "wordcount",
    )
)
METHODS = frozenset(
    (
        "capitalize",
        "count",
        "endswith",
        "find",
        "get",
        "items",
        "keys",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
        "rstrip",
        "split",
        "splitlines",
        "startswith",
        "strip",
        "title",
        "upper",
        "values",
    )
)
ERRORS = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError, MemoryError)
"""What a template's run can raise."""


class _Steps(threading.local):
    steps = left = MAX_STEPS
    seconds = MAX_SECONDS
    until = float("inf")


_STEPS = _Steps()


@contextmanager
def limited(steps: int = MAX_STEPS, seconds: float = MAX_SECONDS) -> Iterator[None]:
    """The limits of one block, from now on."""
    _STEPS.steps = _STEPS.left = steps
    _STEPS.seconds, _STEPS.until = seconds, time.thread_time() + seconds
    yield


COUNTED, JOINED = "counted by us", "joined by us"  # no template can name a filter with blanks


class Counting(NodeTransformer):
    """Counts the turns of loops, and bounds what `~` makes."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        if node.recursive:
            raise SecurityError("a loop is not recursive here")
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, JOINED, [], [], None, None, lineno=node.lineno)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with the limits of this module. Rendering belongs within `limited`."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    counting: type[NodeTransformer] = Counting
    max_lists = MAX_LISTS

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,  # else constants are computed while the template is compiled
            finalize=_shown,
        )
        self.filters = {name: filter for name, filter in self.filters.items() if name in FILTERS}
        self.filters |= {"join": _join, "replace": _replace, COUNTED: _counted, JOINED: _joined}
        self.globals = {"range": self.globals["range"]}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """See jinja2. Of the methods of texts, lists and mappings those of METHODS are safe."""
        known = not callable(value) or not isinstance(obj, str | bytes | list | tuple | dict | int | float)
        return (known or attr in METHODS) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """See jinja2. A text has no `format` here: a width makes it as long as one likes."""

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See jinja2."""
        step()
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """See jinja2. Numbers are numbers, and texts are added alone."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return sized(len(left) + len(right)) and left + right
        if not all(isinstance(each, int | float) and abs(each) < 2**31 for each in (left, right)):
            raise SecurityError(f"{operator} takes numbers below 2**31 here")
        if operator == "**" and abs(right) > 64:
            raise SecurityError("the exponent is above 64")
        found = super().call_binop(context, operator, left, right)
        if abs(found) >= MAX_NUMBER:
            raise SecurityError("a number is above 2**63")
        return found

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        if len(list(source.find_all((nodes.List, nodes.Dict, nodes.Tuple)))) > self.max_lists:
            raise SecurityError(f"more than {self.max_lists} lists are spelt out")
        return super()._generate(self.counting().visit(source), *args, **kwargs)


def step() -> None:
    """Count one step. Raises TemplateRuntimeError where it is one too many, or too late."""
    _STEPS.left -= 1
    if _STEPS.left < 0 or time.thread_time() > _STEPS.until:
        raise TemplateRuntimeError(f"it takes more than {_STEPS.steps} steps or {_STEPS.seconds:g} seconds")


def sized(size: int) -> bool:
    """True. Raises TemplateRuntimeError where a text or list of this size is too large."""
    if size > MAX_SIZE:
        raise TemplateRuntimeError(f"a text or list of over {MAX_SIZE} characters or entries")
    return True


def _shown(value: Any) -> Any:
    """A value as it may be shown: a text or a number, since lists of lists can be endless."""
    if isinstance(value, list | tuple | dict):
        raise TemplateRuntimeError("a list is shown by a loop, by join or by tojson")
    return value


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    """The values, whose number counts against the steps."""
    for value in list(values):
        step()
        yield value


def _joined(parts: list[Any]) -> str:
    texts = [str(_shown(part)) for part in parts]
    return "".join(texts) if sized(sum(map(len, texts))) else ""


def _join(values: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    """Jinja's join, of texts and numbers."""
    picked = [getattr(value, attribute) if attribute else value for value in values]
    texts = [str(_shown(each)) for each in picked]
    return d.join(texts) if sized(sum(map(len, texts)) + len(d) * len(texts)) else ""


def _replace(text: str, old: str, new: str) -> str:
    """Jinja's replace."""
    times = str(text).count(old)
    return str(text).replace(old, new) if sized(len(text) + times * len(new)) else ""
