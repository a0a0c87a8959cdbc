"""A ledger that this user may only read: readers work, writers refuse at once, and nothing changes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from db.ledger import Ledger
from db.records import Instruction
from tests.support.attacks import ROOT, ledger_of
from tests.support.command_line import told

WEAK = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""What makes of root somebody whom permissions hold."""
READING = [
    ["status"],
    ["audit", "--draws", "10"],
    ["backup", "OUT/copy.db"],
    ["report", "OUT/page.html"],
    ["export", "preferences", "OUT/rows.jsonl"],
    ["people", "next", "longest", "--n", "2"],
    ["annotate", "first", "--dry-run"],
]
WRITING = [
    ["import", "trl", "IN/rows.jsonl", "--annotator", "ben", "--source", "t"],
    ["snapshot", "kept"],
    ["annotate", "first"],
    ["sample", "no-model", "--set", "sums", "--base-url", "http://127.0.0.1:9/v1"],
    ["label", "--annotator", "zoe", "--port", "0"],
    ["merge", "IN/other.db"],
]
RUN = """
import json, sys
from tests.support.command_line import farm
print(json.dumps([farm(sys.argv[1], *each) for each in json.loads(sys.argv[2])]))
"""

HELD = """
import json, sys
from db.errors import LedgerBusy
from db.ledger import Ledger
def told(what):
    print(json.dumps(what), flush=True)
    sys.stdin.readline()
with Ledger.open(sys.argv[1]) as ledger:
    told(ledger.counts()["instruction"])
    told(ledger.counts()["instruction"])
    try:
        with ledger.frozen():
            told(ledger.counts()["instruction"])
    except LedgerBusy as error:
        told(str(error))
    told(ledger.counts()["instruction"])
"""
"""Reads, each time before a line on standard input; in one state while the third line is waited for."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A ledger, and files beside it."""
    if WEAK and shutil.which(WEAK[0]) is None:
        pytest.skip("root may write everywhere")
    made = tmp_path / "ein Ordner ü"
    made.mkdir()
    (tmp_path / "out").mkdir()
    ledger = ledger_of(made, pairs=12)
    told(ledger, "annotate", "longest")
    shutil.copy(ledger, made / "other.db")
    return ledger


def left_behind(ledger: Path, index: bool) -> None:
    """A judge in a log that nobody wrote into the file, as after a kill."""
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("INSERT INTO annotator (key, name, kind, spec) VALUES ('k', 'zed', 'human', '{}')")
        connection.commit()
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{ledger}{end}", f"{ledger}.{end}")
    for end in ("", "-wal", "-shm"):
        Path(f"{ledger}.{end}").rename(f"{ledger}{end}")
    if not index:
        Path(f"{ledger}-shm").unlink()


@pytest.mark.parametrize("log", ["no log", "log", "log with its index"])
def test_a_ledger_in_a_folder_that_cannot_be_written(log: str, kept: Path) -> None:
    if log != "no log":
        left_behind(kept, log == "log with its index")
    for path in kept.parent.iterdir():
        path.chmod(0o444)
    kept.parent.chmod(0o555)
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept.parent.iterdir()}
    places = {"OUT": kept.parent.parent / "out", "IN": kept.parent}

    def placed(word: str) -> str:
        folder, _, name = word.partition("/")
        return str(places[folder] / name) if folder in places else word

    reading, writing = (READING, WRITING) if log == "no log" else (READING[:3], WRITING[:1])
    commands = [[placed(word) for word in each] for each in reading + writing]
    done = subprocess.run(
        [*WEAK, sys.executable, "-c", RUN, str(kept), json.dumps(commands)],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=places["OUT"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    for command, (code, out, error) in zip(reading, said, strict=False):
        assert code == 0, (command, out, error)
    held = int(said[0][1].partition("annotators")[2].split()[0])
    assert held == (2 if log == "no log" else 3)  # what is in the log is read
    for command, (code, out, error) in zip(writing, said[len(reading) :], strict=True):
        assert (code, out) == (1, ""), (command, out, error)
        assert "cannot be written" in error, (command, error)
        assert error.count("\n") == 1
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in kept.parent.iterdir()} == before


def add(ledger: Path, count: int, close: bool = True) -> Ledger:
    """Write instructions. Without `close` they stay in the log."""
    opened = Ledger.open(ledger)
    with opened.writing() as writer:
        writer.instructions([Instruction(f"{count} {i} " + "and so on " * 40) for i in range(count)])
    if close:
        opened.close()
    return opened


@pytest.mark.parametrize("log", ["no log", "log"])
def test_a_reader_without_locks_sees_what_others_write(log: str, kept: Path) -> None:
    """It opens the file again; what it reads while somebody writes is refused, not shown."""
    if log == "log":
        left_behind(kept, index=False)
    for path in kept.parent.iterdir():
        path.chmod(0o444)
    kept.parent.chmod(0o555)
    count = 12
    command = [*WEAK, sys.executable, "-c", HELD, str(kept)]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None

        def read() -> object:
            assert reader.stdout is not None
            return json.loads(reader.stdout.readline())

        def go_on() -> None:
            assert reader.stdin is not None
            reader.stdin.write("\n")
            reader.stdin.flush()

        assert read() == count
        add(kept, 300)
        go_on()
        assert read() == count + 300  # opened again
        go_on()
        assert read() == count + 300
        with add(kept, 500, close=False):
            go_on()
            assert "run the same command again" in str(read())
            go_on()
            assert read() == count + 800  # with the locks of the writer's log
            add(kept, 100)
        go_on()
        assert reader.wait(60) == 0
    kept.parent.chmod(0o755)
