"""The reference, made from the code when the site is built: commands, options, formats, annotators, figures.

Each function gives one page as Markdown. What a command or an option means is said once, in the code.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from typer.testing import CliRunner

from annotators import catalogue
from annotators.composite import Composite
from annotators.pool import Pool
from cli import app
from db.interchange import FORMATS
from farm import statistics
from farm.config import Option
from farm.methods import METHODS
from farm.train import method_options

PAGES = ("commands", "options", "formats", "annotators", "statistics")


def page(name: str) -> str:
    """One of PAGES."""
    making = {
        "commands": commands,
        "options": options,
        "formats": formats,
        "annotators": annotators,
        "statistics": figures,
    }
    return "\n".join(making[name]()) + "\n"


def commands() -> Iterator[str]:
    """Every command with what it says of itself."""
    yield "# Commands\n"
    yield "What `farm COMMAND --help` says. `--ledger` and `--debug` stand before the command.\n"
    yield f"```text\n{_help()}\n```\n"
    for name in _commands():
        yield f"## farm {name}\n"
        yield f"```text\n{_help(*name.split())}\n```\n"


def _commands(*path: str) -> Iterator[str]:
    """Whole names of the commands under a group."""
    listed = re.findall(r"^  ([a-z][a-z-]*)  ", _help(*path).partition("Commands:")[2], re.M)
    for name in listed:
        yield from (
            _commands(*path, name) if _help(*path, name).count("Commands:") else [" ".join((*path, name))]
        )


@cache
def _help(*path: str) -> str:
    return CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "100"}, prog_name="farm").stdout.strip()


def options() -> Iterator[str]:
    """The options of each method, its own first, and those that all share once."""
    yield "# Options of the methods\n"
    yield "`farm train METHOD --OPTION VALUE`, or a YAML file with `--config`. What all methods share stands"
    yield "at the end; a value that a method sets for itself stands with the method.\n"
    found = {name: method_options(name) for name in METHODS}
    everywhere = [o for o in found["sft"] if all(o in each for each in found.values())]
    for name, each in found.items():
        yield f"## {name}\n"
        yield f"[How it works](../methods/{name}.md).\n"
        yield from _options(o for o in each if o not in everywhere)
    yield "## Shared by all\n"
    yield from _options(everywhere)


def _options(given: Iterable[Option]) -> Iterator[str]:
    rows = [
        (
            f"`{each.name}`",
            each.doc,
            f"`{each.type}`",
            "required" if each.default is dataclasses.MISSING else f"`{each.default}`",
        )
        for each in given
    ]
    yield from _table(("option", "meaning", "type", "default"), rows)


def formats() -> Iterator[str]:
    """The formats of `farm import` and `farm export`, each in the words of its reader."""
    yield "# File formats\n"
    yield "What [`farm import FORMAT`](../import.md) reads and [`farm export FORMAT`](../export.md) writes.\n"
    for each in FORMATS.values():
        yield f"## {each.name}\n"
        yield f"{each.summary[0].upper()}{each.summary[1:]}.\n"
        yield f"{inspect.cleandoc(sys.modules[each.reader.__module__].__doc__ or '')}\n"
        written = ", ".join(f"`{ending}`" for ending in each.writes) if each.write else "nothing"
        yield f"Writes: {written}.\n"


def annotators() -> Iterator[str]:
    """The catalogue with each prompt as it is."""
    yield "# The catalogue\n"
    yield "Every annotator that comes with the farm, and its whole prompt. [Annotators](../annotators.md)"
    yield "says what the parts are, `farm annotators NAME` shows one on a real pair.\n"
    for name in catalogue.names():
        spec = catalogue.load(name)
        yield f"## {name}\n"
        if isinstance(spec, Pool):
            yield f"{spec.summary or 'A pool.'}\n"
            members = [
                (f"`{m.spec.name}`", f"{m.weight:g}", m.spec.model, str(m.spec.batch)) for m in spec.members
            ]
            yield from _table(("member", "weight", "model", "pairs per prompt"), members)
            continue
        yield f"{spec.summary}\n"
        if isinstance(spec, Composite):
            stages = enumerate(spec.rule.stages, 1)
            rows = [(str(place), f"`{member.name}`") for place, stage in stages for member in stage.members]
            yield from _table(("asked", "member"), rows)
            continue
        if spec.prompt:
            yield f"````jinja\n{spec.prompt.rstrip()}\n````\n"


def figures() -> Iterator[str]:
    """The statistics, module by module, from their signatures and docstrings."""
    yield "# Statistics\n"
    yield "`farm.statistics` on plain arrays and frames. What the measures mean, and what was measured with"
    yield "them, stands in [statistics](../statistics.md); here is every function with its arguments.\n"
    for module in pkgutil.iter_modules(statistics.__path__):
        name = f"{statistics.__name__}.{module.name}"
        summary = (importlib.import_module(name).__doc__ or "").partition("\n")[0]
        yield f"## {module.name}\n"
        yield f"{summary}\n"
        yield f"::: {name}\n    options: {{show_root_heading: false, show_root_toc_entry: false}}\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(_cell(text) for text in row) + " |"
    yield ""


def _cell(text: str) -> str:
    """On one line, bars escaped but in code, where they are no end of a cell."""
    parts = re.split("(`[^`]*`)", text.replace("\n", " "))
    return "".join(part if part.startswith("`") else part.replace("|", "\\|") for part in parts)
