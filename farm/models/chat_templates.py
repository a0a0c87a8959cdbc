"""The chat template of a tokenizer, rendered within limits: of steps, seconds, numbers and sizes.

A model's folder may be anybody's, and its chat template is a program. What a template sees and what it can
say are as in transformers' apply_chat_template; what has no bound is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from jinja2 import Template, TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from annotators.template_limits import (
    COUNTED,
    JOINED,
    MAX_NUMBER,
    MAX_TEXT,
    METHODS,
    Counting,
    LimitedEnvironment,
    limited,
    sized,
    step,
)
from farm.models.chat_filters import (
    FILTERS,
    OF_TEXTS,
    checked,
    concatenated,
    fail,
    made,
    no_namespace,
    now,
    short,
    shown,
    start_anew,
    stepped,
    weighed,
)

MAX_TEMPLATE = 64 * 1024  # characters; those of well-known models have 20,000 at most
MAX_STEPS = 200_000  # turns of loops, calls, filters, comparisons and sums, in one conversation
MAX_SECONDS = 1.0  # of a core
MORE_STEPS, MORE_SECONDS = 2000, 0.01  # for each message, since some templates look from each at all others
UNBOUNDED = frozenset(
    ("batch", "center", "format", "pprint", "slice", "striptags", "urlize", "wordwrap", "xmlattr")
)
SLOW = frozenset(("strip", "lstrip", "rstrip", "rfind", "rindex", "rsplit", "rpartition"))
"""Methods of texts whose time is the text's length times their argument's."""
"""Filters of Jinja that no chat template needs, and that make as much as one likes of little."""
MORE_METHODS = METHODS | frozenset(
    (
        "casefold",
        "copy",
        "index",
        "isalnum",
        "isalpha",
        "isascii",
        "isdecimal",
        "isdigit",
        "islower",
        "isnumeric",
        "isspace",
        "istitle",
        "isupper",
        "join",
        "partition",
        "replace",
        "rfind",
        "rindex",
        "rpartition",
        "rsplit",
        "swapcase",
    )
)


def rendered(
    messages: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    *,
    reply: bool,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The text of messages, as the tokenizer's apply_chat_template makes it.

    reply: see chat_text. options: further variables of the template. Rendering belongs within `bounded`.
    Raises whatever a template raises, TemplateError above all.
    """
    variables = {"tools": None, "documents": None, **tokenizer.special_tokens_map, **options}
    variables |= {"messages": [dict(each) for each in messages], "add_generation_prompt": reply}
    template = _compiled(str(tokenizer.get_chat_template(options.get("chat_template"), variables["tools"])))
    parts, size = [], 0
    for part in template.generate(variables):
        size += len(part)
        if size > MAX_TEXT:
            raise TemplateError(f"a text of over {MAX_TEXT} characters")
        parts.append(part)
    return "".join(parts)


@contextmanager
def bounded(messages: int) -> Iterator[None]:
    """The limits of one conversation of so many messages, in all its forms, from now on."""
    start_anew()
    with limited(MAX_STEPS + MORE_STEPS * messages, MAX_SECONDS + MORE_SECONDS * messages):
        yield


@lru_cache(maxsize=16)
def _compiled(text: str) -> Template:
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(f"it has over {MAX_TEMPLATE} characters")
    return _ChatEnvironment().from_string(text)


_OF_JINJA = ("_loop_vars", "_block_vars")  # arguments that Jinja adds to a call
_MEASURED, _STEPPED = "measured by us", "stepped by us"  # no template can name a filter with blanks


class _Bounding(Counting):
    """Bounds lists that are spelt out and slices, and counts comparisons."""

    def visit_List(self, node: nodes.List) -> nodes.Expr:  # noqa: N802
        return self._measured(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Expr:  # noqa: N802
        return self._measured(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:  # noqa: N802
        return self._measured(node) if node.ctx == "load" else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802
        if isinstance(node.arg, nodes.Slice):
            return self._measured(node)
        self.generic_visit(node)
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, _STEPPED)
        return node

    def _measured(self, node: nodes.Expr) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, _MEASURED)


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Generation(Extension):
    """The tag that says what an assistant wrote: here its body alone."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        """See jinja2. A scope of its own, as the tag has it elsewhere."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Callable[[], str]) -> str:
        return caller()


class _Names(Namespace):
    """A namespace without names that begin with _, and without namespaces in it, which could be endless."""

    def __init__(self, /, *args: Any, **values: Any) -> None:
        super().__init__()
        for name, value in dict(*args, **values).items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if str(name).startswith("_"):
            raise SecurityError(f"a namespace has no {name!r} here")
        super().__setitem__(name, made(no_namespace(value)))


class _ToDict:
    """`dict`, without the attributes of the class."""

    def __call__(self, *args: Any, **values: Any) -> dict[Any, Any]:
        return dict(*args, **values)

    def fromkeys(self, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:
        """See dict.fromkeys."""
        return dict.fromkeys(keys, value)


class _ChatEnvironment(LimitedEnvironment):
    """Jinja as chat templates know it, with the limits of this module."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})
    counting = _Bounding
    max_lists = MAX_TEMPLATE

    def __init__(self) -> None:
        super().__init__()
        ordinary = ImmutableSandboxedEnvironment(extensions=[loopcontrols])
        self.add_extension(loopcontrols)
        self.add_extension(_Generation)
        self.undefined, self.finalize = Undefined, shown
        own = {COUNTED: self.filters[COUNTED], JOINED: concatenated, _MEASURED: made, _STEPPED: stepped}
        found: dict[str, Any] = {
            name: each for name, each in ordinary.filters.items() if name not in UNBOUNDED
        }
        found |= FILTERS
        self.filters = {name: checked(each) for name, each in found.items()} | own
        checks: dict[str, Any] = {**ordinary.tests}
        self.tests = {name: checked(each) for name, each in checks.items()}
        self.globals = {name: each for name, each in ordinary.globals.items() if name != "lipsum"}
        self.globals |= {"raise_exception": fail, "strftime_now": now, "dict": _ToDict()}
        self.globals["namespace"] = _Names

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        """See jinja2: what a macro or a block said."""
        said = list(parts)
        return str(made("".join(said))) if sized(sum(map(len, said))) else ""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """See jinja2. Of the methods of texts, lists and mappings those of MORE_METHODS are safe."""
        known = not callable(value) or not isinstance(obj, str | bytes | list | tuple | dict | int | float)
        safe = ImmutableSandboxedEnvironment.is_safe_attribute(self, obj, attr, value)
        return safe and (known or attr in MORE_METHODS)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """See jinja2."""
        text, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(text, str) and name in OF_TEXTS:
            obj = OF_TEXTS[name](text)
        elif isinstance(text, str) and name in SLOW:
            short(*args, *kwargs.values())
        weighed(*args, *(each for name, each in kwargs.items() if name not in _OF_JINJA))
        return made(super().call(context, obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """See jinja2. Texts and lists are added, and repeated as often as a size allows."""
        step()
        texts = [each for each in (left, right) if isinstance(each, str | list | tuple)]
        if len(texts) == 2 and operator == "+" and sized(len(left) + len(right)):
            return made(left + right)
        if len(texts) == 1 and operator == "*":
            times = left if texts[0] is right else right
            if isinstance(times, int) and sized(len(texts[0]) * min(times, MAX_NUMBER)):
                return made(left * right)
        if isinstance(left, Undefined | None) or isinstance(right, Undefined | None):
            return super(LimitedEnvironment, self).call_binop(context, operator, left, right)
        return super().call_binop(context, operator, left, right)
