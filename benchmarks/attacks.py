"""Runs tests/attacks and writes what each hostile input took: peak memory and CPU seconds.

    FARM_FULL=1 python benchmarks/attacks.py [--out benchmarks/results/attacks.md] [TESTS ...]

With FARM_FULL=1 the packed files unpack to 300 MB, else to 30 MB. A command in a process of its own is
measured there. The tests' own process counts too, with what it had loaded before: pytest, the libraries,
the tests. The script fails where a test fails, or where something took 1 GB or more.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import attacks

ROOT = Path(__file__).parents[1]
TESTS = "tests/attacks"


class Taken(NamedTuple):
    """What one test took. command, own: peak bytes of its commands and of the tests' process; 0: none."""

    test: str
    command: int
    own: int
    seconds: float


class Recorder:
    """A pytest plugin that measures each test."""

    def __init__(self) -> None:
        self.taken: list[Taken] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure the call of a test, not its fixtures."""
        attacks.SEEN.clear()
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
        before = cpu_seconds()
        try:
            return (yield)
        finally:
            command = max((each.peak for each in attacks.SEEN), default=0)
            name = item.nodeid.removeprefix(f"{TESTS}/")
            self.taken.append(Taken(name, command, own_peak(), cpu_seconds() - before))


def cpu_seconds() -> float:
    """CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def own_peak() -> int:
    """Bytes of memory of this process at the peak, since it was forgotten last."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [kilobytes] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kilobytes) * 1024


def table(taken: list[Taken]) -> str:
    """The results as Markdown, the largest first."""
    rows = sorted(taken, key=lambda each: -max(each.command, each.own))
    most = max(max(each.command, each.own) for each in rows)
    full = "FARM_FULL=1 " if os.environ.get("FARM_FULL") else ""
    lines = [
        "# What hostile inputs take",
        "",
        f"`{full}python benchmarks/attacks.py`, Python {platform.python_version()}: {len(rows)} tests of",
        f"`{TESTS}`. The most is {most / 2**20:,.0f} MB; the limit is {attacks.MOST_MEMORY / 2**20:,.0f} MB.",
        "",
        "| test | command, peak MB | tests' process, peak MB | CPU seconds |",
        "|---|---|---|---|",
    ]
    for each in rows:
        name = each.test.replace("|", "\\|").replace("\n", " ")[:100]
        command = f"{each.command / 2**20:,.0f}" if each.command else ""
        lines.append(f"| {name} | {command} | {each.own / 2**20:,.0f} | {each.seconds:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the tests, and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tests", nargs="*", default=[TESTS])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/attacks.md")
    given = parser.parse_args()
    recorder = Recorder()
    chosen = ["-q", "-n", "0", "-m", "slow or proof or not slow", *given.tests]
    failed = pytest.main(chosen, plugins=[recorder])
    if recorder.taken:
        given.out.write_text(table(recorder.taken))
    large = [each for each in recorder.taken if max(each.command, each.own) >= attacks.MOST_MEMORY]
    for each in large:
        print(f"{each.test} took {max(each.command, each.own) / 2**20:,.0f} MB", file=sys.stderr)
    sys.exit(int(failed) or int(bool(large)))


if __name__ == "__main__":
    main()
