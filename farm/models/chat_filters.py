"""What a chat template makes, measured as it is made, and the filters of Jinja that need a bound."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import wraps
from typing import Any

from jinja2 import TemplateError, pass_environment
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent, do_round, do_trim, make_attrgetter
from jinja2.utils import Namespace

from annotators.template_limits import MAX_NUMBER, MAX_SIZE, sized, step

MAX_MADE = 256 * 2**20  # characters of all texts that a template makes on its way
MAX_DEPTH = 32  # lists in lists
MAX_WIDTH = 8  # blanks of an indentation, characters of a separator
MAX_SOUGHT = 128  # characters of what is stripped, or looked for from the end
MAX_FORMAT = 1000  # characters of a form of the date
ENTRY = 32  # what an entry of a list weighs, in characters


class _Made(threading.local):
    left = MAX_MADE


_MADE = _Made()


def start_anew() -> None:
    """Nothing was made yet."""
    _MADE.left = MAX_MADE


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that counts as a step, and whose result is measured."""

    @wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        step()
        weighed(*args, *kwargs.values())
        return made(function(*args, **kwargs))

    return measured


def made(value: Any) -> Any:
    """A value, counted against what may be made. Raises TemplateRuntimeError where it is too large."""
    if isinstance(value, str | list | tuple | dict):
        _MADE.left -= len(value) * (1 if isinstance(value, str) else ENTRY)
        if _MADE.left < 0:
            raise TemplateError(f"it makes texts of over {MAX_MADE} characters on its way")
        _weight(value, 0, 0)
    elif isinstance(value, int) and abs(value) >= MAX_NUMBER:
        raise SecurityError("a number is above 2**63")
    return value


def _weight(value: Any, before: int, depth: int) -> int:
    """Characters and entries of a value and all in it, with those before it: what it takes to show it."""
    weight = before + ENTRY
    if isinstance(value, str):
        weight += len(value)
    elif isinstance(value, list | tuple | dict):
        if depth > MAX_DEPTH:
            raise TemplateError(f"lists in lists, more than {MAX_DEPTH} deep")
        inner = [each for pair in value.items() for each in pair] if isinstance(value, dict) else value
        for each in inner:
            weight = _weight(each, weight, depth + 1)
    else:
        no_namespace(value)
    if weight > MAX_SIZE:
        sized(weight)
    return weight


def no_namespace(value: Any) -> Any:
    """A value. Raises SecurityError on a namespace."""
    if isinstance(value, Namespace):
        raise SecurityError("a namespace stands in no list and no namespace here, and is not shown")
    return value


def weighed(*values: Any) -> None:
    """Weigh the arguments that a macro has as `varargs` and `kwargs`, the only lists that nobody measured."""
    for value in values:
        if isinstance(value, tuple | dict):
            _weight(value, 0, 0)


def stepped(value: Any) -> Any:
    """A value, as one step."""
    step()
    weighed(value)
    return value


def shown(value: Any) -> Any:
    """A value that is shown."""
    return stepped(no_namespace(value))


def concatenated(parts: list[Any]) -> str:
    """What `~` makes of its parts."""
    return _joining("")(str(shown(part)) for part in parts)


def fail(message: Any) -> None:
    """`raise_exception` of transformers."""
    raise TemplateError(str(message))


def now(form: str) -> str:
    """`strftime_now` of transformers."""
    if len(form) > MAX_FORMAT:
        raise SecurityError(f"a form of the date of over {MAX_FORMAT} characters")
    return datetime.now().strftime(form)


def short(*sought: Any) -> None:
    """Raises SecurityError where arguments of a method of SLOW are long."""
    if any(isinstance(each, str) and len(each) > MAX_SOUGHT for each in sought):
        raise SecurityError(f"over {MAX_SOUGHT} characters to strip, or to look for from the end")


def _trim(value: Any, chars: str | None = None) -> str:
    short(chars)
    return do_trim(value, chars)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > MAX_WIDTH:
        raise SecurityError(f"a number is rounded to {MAX_WIDTH} digits at most")
    return do_round(value, precision, method)


def _narrow(*widths: Any) -> None:
    for width in widths:
        if (len(width) if isinstance(width, str) else int(width)) > MAX_WIDTH:
            raise SecurityError(f"an indentation or separator of over {MAX_WIDTH} characters")


def _tojson(
    x: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers has it: no HTML escapes, and other letters as they are."""
    _narrow(indent or 0, *(separators or ()))
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@pass_environment
def _join(environment: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    picked = value if attribute is None else map(make_attrgetter(environment, attribute), value)
    return _joining(str(d))([each if isinstance(each, str) else str(each) for each in picked])


def _replace(s: Any, old: str, new: str, count: int | None = None) -> str:
    return _replacing(str(s))(str(old), str(new), -1 if count is None else count)


def _joining(between: str) -> Callable[[Iterable[str]], str]:
    def joining(parts: Iterable[str]) -> str:
        texts = list(parts)
        size = sum(map(len, texts)) + len(between) * len(texts)
        return between.join(texts) if sized(size) else ""

    return joining


def _replacing(text: str) -> Callable[..., str]:
    def replacing(old: str, new: str, count: int = -1) -> str:
        times = text.count(old) if count < 0 else min(count, text.count(old))
        return text.replace(old, new, count) if sized(len(text) + times * len(new)) else ""

    return replacing


OF_TEXTS: dict[str, Callable[[str], Callable[..., str]]] = {"join": _joining, "replace": _replacing}


def _indent(s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    _narrow(width)
    sized(len(s) + (MAX_WIDTH + 1) * len(s.splitlines()))
    return do_indent(s, width, first, blank)


@pass_environment
def _sum(
    environment: Any, iterable: Iterable[Any], attribute: str | int | None = None, start: float = 0
) -> Any:
    picked = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    return sum(picked, float(start) if isinstance(start, float) else int(start))


FILTERS: dict[str, Callable[..., Any]] = {
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "sum": _sum,
    "tojson": _tojson,
    "trim": _trim,
}
