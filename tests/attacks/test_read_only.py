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
