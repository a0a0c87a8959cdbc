"""Prompt templates: the text of a prompt.jinja, checked when it is read and rendered block by block.

A template has up to three blocks. `system` is fixed text, so that a provider can cache it. `user` shows the
pairs. `answer` says how a good reply to worked examples looks. Each block becomes a message as it is. No
rendered text is cut or scanned again, so nothing in a model's output can act as a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from jinja2 import Template, TemplateError, nodes
from jinja2.meta import find_referenced_templates, find_undeclared_variables

from annotators.strict_yaml import nearest
from annotators.template_limits import ERRORS, MAX_TEMPLATE, MAX_TEXT, LimitedEnvironment, limited
from db.errors import ConfigError

SYSTEM, USER, ANSWER = "system", "user", "answer"
_FIXED = {"names", "all_names", "persona", "batch", "about_marks"}
_VARIABLES = {SYSTEM: _FIXED, USER: _FIXED | {"pairs"}, ANSWER: _FIXED | {"pairs"}}


def fenced(text: str, label: str, nonce: str) -> str:
    """The text between two marks with a nonce. The nonce is chosen so that the text does not contain it."""
    return f"<{label} {nonce}>\n{text}\n</{label} {nonce}>"


_ENVIRONMENT = LimitedEnvironment()
_ENVIRONMENT.filters["fenced"] = fenced


class PromptTemplate:
    """A template that can be rendered. Raises ValueError with all that is wrong, where it cannot be."""

    def __init__(self, text: str) -> None:
        parsed = _parsed(text)
        if parsed.code is None:
            raise ValueError("; ".join(parsed.problems))
        self._template = Template.from_code(_ENVIRONMENT, parsed.code, _ENVIRONMENT.make_globals(None))

    def has(self, block: str) -> bool:
        """Whether the template has this block."""
        return block in self._template.blocks

    def render(self, block: str, variables: Mapping[str, object]) -> str:
        """The text of one block, without the blank lines around it.

        Raises ConfigError where the template fails, or goes beyond a limit.
        """
        try:
            return self._rendered(block, variables)
        except ERRORS as error:
            said = " ".join(str(error).split()) or type(error).__name__
            remedy = "mend the prompt; docs/annotators.md says what a template may do"
            raise ConfigError(f"{said:.300}", where=f"block {block}", remedy=remedy) from error

    def _rendered(self, block: str, variables: Mapping[str, object]) -> str:
        context = self._template.new_context(dict(variables))
        parts, size = [], 0
        with limited():
            for part in self._template.blocks[block](context):
                size += len(part)
                if size > MAX_TEXT:
                    raise TemplateError(f"a prompt of over {MAX_TEXT} characters")
                parts.append(part)
        return "".join(parts).strip("\n")


@lru_cache(maxsize=256)
def prompt_of(text: str) -> PromptTemplate:
    """The template with this text. It is compiled once."""
    return PromptTemplate(text)


@lru_cache(maxsize=256)
def template_problems(text: str) -> tuple[str, ...]:
    """What is wrong with a template, one clause each."""
    parsed = _parsed(text)
    return parsed.problems or _problems(_ENVIRONMENT.parse(text))


def has_persona(text: str) -> bool:
    """Whether a template, which was loaded before, shows a persona."""
    return "persona" in find_undeclared_variables(_ENVIRONMENT.parse(text))


class _Parsed(NamedTuple):
    """A template's code, or why it has none."""

    code: CodeType | None
    problems: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def _parsed(text: str) -> _Parsed:
    """The template with this text, parsed and compiled once."""
    if len(text) > MAX_TEMPLATE:
        return _Parsed(None, (f"a template has {MAX_TEMPLATE} characters at most, not {len(text)}",))
    try:
        return _Parsed(_ENVIRONMENT.compile(_ENVIRONMENT.parse(text)))
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        return _Parsed(None, (f"line {line}: {error.message}" if line else str(error.message),))
    except (RecursionError, MemoryError, ValueError):
        return _Parsed(None, ("it is nested too deep",))


def _problems(tree: nodes.Template) -> tuple[str, ...]:
    if list(find_referenced_templates(tree)):
        return ("a template stands alone: no include, import or extends",)
    found = [block for block in tree.body if isinstance(block, nodes.Block)]
    problems = [problem for block in found for problem in _block_problems(block)]
    if not any(block.name == USER for block in found):
        problems.append("there is no {% block user %}")
    if any(not isinstance(node, nodes.Block) and not _is_blank(node) for node in tree.body):
        problems.append("all text stands in {% block system %}, {% block user %} or {% block answer %}")
    return tuple(problems)


def _block_problems(block: nodes.Block) -> list[str]:
    if block.name not in _VARIABLES:
        return [f"unknown block {block.name!r}{nearest(block.name, _VARIABLES)}"]
    known = _VARIABLES[block.name]
    alone = nodes.Template([block], lineno=block.lineno)
    alone.set_environment(_ENVIRONMENT)
    return [
        f"block {block.name} does not know {name!r}{nearest(name, known)}"
        for name in sorted(find_undeclared_variables(alone) - known)
    ]


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )
