"""The command line: run in this process, or as arguments of a process of its own."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import cli

FARM = Path(sys.executable).parent / "farm"


class Said(NamedTuple):
    """What a command printed, and its exit status."""

    code: int
    out: str
    error: str


def farm_arguments(ledger: Path | str, *arguments: object) -> list[str]:
    """A command as the arguments of a process."""
    return [str(FARM), "--ledger", str(ledger), *map(str, arguments)]


def farm(ledger: Path | str, *arguments: object) -> Said:
    """Run a command in this process, where a library's warning is an error."""
    out, error, code = io.StringIO(), io.StringIO(), 0
    given = farm_arguments(ledger, *arguments)
    with redirect_stdout(out), redirect_stderr(error), patch("sys.argv", given):
        try:
            cli.main()
        except SystemExit as exit:
            code = int(exit.code or 0)
    return Said(code, out.getvalue(), error.getvalue())


def told(ledger: Path | str, *arguments: object) -> Any:
    """The JSON object that a command prints."""
    said = farm(ledger, *arguments, "--json")
    assert said.code == 0, said.error
    return json.loads(said.out)


def refused(ledger: Path | str, *arguments: object) -> str:
    """The one line that a command refuses with."""
    said = farm(ledger, *arguments)
    assert said.code == 1
    assert said.out == ""
    assert said.error.startswith("farm: ")
    assert said.error.count("\n") == 1
    return said.error
