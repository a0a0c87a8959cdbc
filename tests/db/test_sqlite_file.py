"""The locks of an open ledger last: no other process takes its log away, and nothing written is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import ConfigError, FormatError
from db.interchange.opening import opened, require_file, sha256_of
from db.ledger import Ledger
from db.maintenance import backup
from db.records import Instruction
from db.sqlite_file import first_bytes, held
from db.whole_files import refuse_other
from tests.support.command_line import farm

ADD = """
import sys
from db.ledger import Ledger
from db.records import Instruction
with Ledger.open(sys.argv[1]) as ledger, ledger.writing() as writer:
    writer.instructions([Instruction(f"{sys.argv[2]} {i} " + "and so on " * 40) for i in range(50)])
"""


def add_elsewhere(path: Path, name: str) -> None:
    """Another process opens the ledger, writes 50 instructions, and closes it."""
    subprocess.run([sys.executable, "-c", ADD, path, name], check=True, env=dict(os.environ))


def again(path: Path) -> None:
    for read_only in (True, False):
        with Ledger.open(path, read_only=read_only) as ledger:
            ledger.check()


def written_over(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with pytest.raises(ConfigError):
            refuse_other(name)


def imported(path: Path) -> None:
    for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with pytest.raises(FormatError, match="this is the ledger itself"):
            require_file(name)
        with pytest.raises(FormatError, match="this is the ledger itself"), opened(name):
            pass


def hashed(path: Path) -> None:
    (path.parent / "rows.jsonl").write_text("{}\n")
    before = sha256_of(path.parent)
    (path.parent / "rows.jsonl").write_text("{ }\n")
    assert sha256_of(path.parent) != before


def copied(path: Path) -> None:
    with Ledger.open(path) as ledger:
        backup(ledger, path.with_name("copy.db"))


def commands(path: Path) -> None:
    """What a user may do to a ledger under its own name."""
    for words in (
        ["import", path], ["import", "trl", path, "--annotator", "ada"], ["merge", path], ["doctor"],
        ["export", "preferences", path], ["report", path], ["backup", path], ["status"],
    ):  # fmt: skip
        farm(path, *words)


DOES = (again, written_over, imported, hashed, copied, commands)


@pytest.mark.parametrize("does", DOES, ids=lambda each: each.__name__)
def test_an_open_ledger_keeps_its_locks(does: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            writer.instructions([Instruction(f"First {i} " + "and so on " * 40) for i in range(50)])
        assert ledger.counts()["instruction"] == 50
        log = os.stat(f"{path}-wal").st_ino
        does(path)
        add_elsewhere(path, "second")
        assert os.stat(f"{path}-wal").st_ino == log  # else the other process thought that it was alone
        assert ledger.counts()["instruction"] == 100
        with ledger.writing() as writer:
            writer.instructions([Instruction("last")])
    with Ledger.open(path) as ledger:
        assert ledger.counts()["instruction"] == 101
        ledger.check()


def test_what_is_held_is_known_by_the_file(tmp_path: Path) -> None:
    path, link, hard, other = (tmp_path / name for name in ("farm.db", "link.db", "hard.db", "other.db"))
    assert not held(path)
    ledger = Ledger.open(path, create=True)
    link.symlink_to(path)
    hard.hardlink_to(path)
    other.write_text("other")
    assert all(held(each) for each in (path, link, hard, Path(f"{path}-wal"), Path(f"{path}-shm")))
    assert not held(other)
    assert not held(tmp_path / "none")
    assert first_bytes(path, 20) == b""
    link.unlink()
    path.rename(tmp_path / "moved.db")
    other.rename(path)
    assert held(tmp_path / "moved.db")
    assert not held(path)
    ledger.close()
    assert not held(tmp_path / "moved.db")
    assert first_bytes(hard, 6) == b"SQLite"


def test_threads_that_open_the_ledger_at_once_keep_its_locks(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    Ledger.open(path, create=True).close()
    ready, done = threading.Barrier(5), threading.Barrier(5)
    counted: list[int] = []

    def read() -> None:
        ready.wait()
        with Ledger.open(path) as ledger:
            ledger.counts()
            done.wait()
            done.wait()
            counted.append(ledger.counts()["instruction"])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    ready.wait()
    done.wait()
    add_elsewhere(path, "second")
    assert Path(f"{path}-wal").exists()
    done.wait()
    for thread in threads:
        thread.join()
    assert counted == [50] * 4
