"""Commands in processes of their own that begin at once, so that a kill falls into their work.

Each is forked from a server process that has loaded all that commands load.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

COMMANDS = ("annotate", "backup", "export", "import_", "merge", "report", "sample", "snapshot", "train")
LOADED = [f"farm.{place}{name}" for name in COMMANDS for place in ("commands.", "terminal.", "")]
LOADED += [
    "cli",
    "farm.rounds.run",
    "farm.methods.dpo",
    "farm.producers.served",
    "farm.evaluation.cards",
    "db.maintenance",
]
LOADED += ["matplotlib.pyplot", "openai", "psycopg", "tests.support.tiny_models", __name__]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(LOADED)  # what is not there is passed over


class Ended(NamedTuple):
    """How a command ended. code: its exit code, -9 where it was killed. said, error: what it printed."""

    code: int
    said: str
    error: str
    seconds: float


def work(arguments: Sequence[str], said: str, limit: int | None) -> None:
    """Run a command in this process. said: beginning of the names of the files that take what it prints."""
    import cli

    for stream, ending in ((1, ".out"), (2, ".err")):
        with Path(said + ending).open("w") as file:
            os.dup2(file.fileno(), stream)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    sys.argv = list(arguments)
    cli.main()


def run(
    arguments: Sequence[str],
    said: Path,
    kill_after: float | None = None,
    limit: int | None = None,
    kill_when: Callable[[], bool] = lambda: True,
) -> Ended:
    """Run a command. kill_after: seconds after which it is killed, counted from when `kill_when` holds.

    limit: bytes at which a file is full, as a disk would be.
    """
    process: ForkServerProcess = CONTEXT.Process(target=work, args=(arguments, str(said), limit))
    began = time.monotonic()
    process.start()
    while kill_after is not None and process.is_alive() and not kill_when():
        process.join(0.01)
    process.join(kill_after)
    if process.is_alive():
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    assert code is not None
    files = [Path(f"{said}{ending}") for ending in (".out", ".err")]
    out, error = (file.read_text() if file.exists() else "" for file in files)
    return Ended(code, out, error, time.monotonic() - began)
