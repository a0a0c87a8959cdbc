"""Flags made from classes: types, limits, shared flags, hidden ones, and errors all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from db.errors import ConfigError
from farm.commands.common import app, flags
from farm.settings.checked import Options
from farm.settings.fields import Part, option


@dataclass(frozen=True)
class Filter:
    """A dataclass of another room."""

    source: str | None = None
    """Only of this source."""
    limit: int | None = field(default=None, metadata={"at_least": 1})
    """At most so many."""
    after: int = field(default=0, metadata={"flag": None})
    """No flag."""


class Inner(Options):
    """What a task holds."""

    rate: float = option(0.5, above=0, at_most=1)
    """How fast."""
    seed: int = 0
    """The inner seed."""


class Outer(Options):
    """A task."""

    name: str = option(argument=True)
    """What it is called."""
    inner: Annotated[Inner, Part(words={"rate": "How fast here."})] = Inner()
    """Nested."""
    pairs: Filter = Filter()
    """Which."""
    kind: Literal["one", "two"] = "one"
    """Which kind."""
    paths: tuple[Path, ...] = option((), flag="--path")
    """Files; repeat it."""
    seed: int = 7
    """The outer seed."""


class More(Options):
    """Beside it."""

    seed: int = 0
    """Another seed."""
    old: bool = False
    """Gone."""
    needed: str = option()
    """Needed, where it is asked for at all."""


got: list[Any] = []
commands = app()


@commands.command()
@flags
def example(context: typer.Context, task: Outer, more: Annotated[More | None, Part(hidden=True)]) -> None:
    """An example."""
    got.append((task, more))


def called(*arguments: str) -> tuple[Outer, More | None]:
    result = CliRunner().invoke(commands, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    task, more = got.pop()
    return task, more


def test_the_function_gets_objects_with_the_defaults_of_their_classes() -> None:
    task, more = called("x")
    assert (task, more) == (Outer("x"), None)
    assert task.seed == 7


def test_a_flag_reaches_every_class_that_has_it_and_nested_fields() -> None:
    task, more = called(
        *("x", "--seed", "3", "--rate", "0.25", "--limit", "4", "--source", "s", "--needed", "n"),
        *("--path", "a", "--path", "b", "--kind", "two"),
    )
    assert task == Outer("x", Inner(0.25, 3), Filter("s", 4), "two", (Path("a"), Path("b")), seed=3)
    assert more == More(3, needed="n")


def test_help_has_words_defaults_limits_and_no_hidden_flag() -> None:
    shown = CliRunner().invoke(commands, ["--help"], env={"COLUMNS": "100"}).output
    for part in ("How fast here.", "default: 0.5", "x>=1", "one|two", "What it is called.", "--path"):
        assert part in shown
    for part in ("--after", "--old", "--needed"):
        assert part not in shown


def test_limits_that_typer_knows_are_wrong_usage() -> None:
    assert CliRunner().invoke(commands, ["x", "--limit", "0"]).exit_code == 2


def test_everything_wrong_is_told_at_once_by_the_names_of_the_flags() -> None:
    with pytest.raises(ConfigError) as error:
        called("x", "--kind", "tow", "--rate", "2")
    assert str(error.value) == (
        "--rate is 2.0, must be at most 1; --kind is 'tow', expected one of one, two; did you mean 'two'?"
        " (2 errors; `--help` lists every option)"
    )


def test_a_library_user_meets_the_same_check() -> None:
    with pytest.raises(ConfigError, match=r"^--rate is 2, must be at most 1$"):
        Inner(2)
    with pytest.raises(ConfigError, match=r"^--kind is 'three' \(one or two\)$"):
        Outer("x", kind="three")  # type: ignore[arg-type]
