"""What the surroundings do to a ledger: each gives a clear error, and what was committed stays."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from db import sqlite_file
from db.errors import LedgerBusy, LedgerCorrupt, LedgerError, LedgerFull, LedgerReadOnly
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair

WRITE = """
    import sys
    from db.ledger import Ledger
    from db.records import Instruction
    name, count = sys.argv[2], int(sys.argv[3])
    with Ledger.open(sys.argv[1], create=True) as ledger:
        for i in range(count):
            with ledger.writing() as writer:
                writer.instructions([Instruction(f"{name} {i} {k}") for k in range(5)])
            print(i, flush=True)
"""


def start(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload, no-any-return]


def fill(path: Path, count: int = 200) -> None:
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        writer.instructions([Instruction(f"Instruction {i} " + "and so on " * 40) for i in range(count)])


def test_processes_that_write_at_once_lose_and_double_nothing(ledger_url: str) -> None:
    writers = [start(WRITE, ledger_url, name, 30) for name in ("one", "two", "one", "three")]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    with Ledger.open(ledger_url) as ledger:
        assert ledger.counts()["instruction"] == 3 * 30 * 5
        ledger.check()


def test_killed_writers_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    acknowledged = 0
    for kill in range(6):
        writer = start(WRITE, path, f"run-{kill}", 10_000)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.01 * kill)
        writer.send_signal(signal.SIGKILL)
        out, _ = writer.communicate()
        acknowledged += 5 * (1 + out.count("\n"))
        with Ledger.open(path) as ledger:
            ledger.check()
            count = ledger.counts()["instruction"]
            assert count >= acknowledged
            assert count % 5 == 0  # batches are whole
            acknowledged = count


def test_a_locked_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    monkeypatch.setattr(sqlite_file, "WAIT_SECONDS", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with Ledger.open(path) as ledger:
            assert ledger.counts()["instruction"] == 200  # a writer does not keep readers out
            with pytest.raises(LedgerBusy, match=r"another process .*wait for it"), ledger.writing():
                pass
    finally:
        holder.close()
    with Ledger.open(path) as ledger:
        assert ledger.counts()["instruction"] == 200


def test_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    size = path.stat().st_size
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, size + 100_000))  # noqa: E731
    code = """
        import signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from db.errors import LedgerFull
        from db.ledger import Ledger
        from db.records import Instruction
        try:
            with Ledger.open(sys.argv[1]) as ledger:
                for i in range(10_000):
                    with ledger.writing() as writer:
                        writer.instructions([Instruction(f"{i} {k} " + "long " * 500) for k in range(10)])
        except LedgerFull as error:
            print(error)
    """
    out, errors = start(code, path, preexec_fn=limit).communicate(timeout=60)
    assert "try again" in out, errors
    with Ledger.open(path) as ledger:
        ledger.check()
        assert ledger.counts()["instruction"] % 10 == 0


def test_a_full_database_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    with Ledger.open(path) as ledger, pytest.raises(LedgerFull, match="no room"), ledger.writing() as writer:
        writer.rows.connection.exec_driver_sql("PRAGMA max_page_count = 1")
        writer.instructions([Instruction(f"{i} " + "long " * 500) for i in range(200)])
    with Ledger.open(path) as ledger:
        assert ledger.counts()["instruction"] == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_read_only_file_can_be_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(0o755)
    path.chmod(0o444)
    code = """
        import os, sys
        from db.errors import LedgerReadOnly
        from db.ledger import Ledger
        from db.records import Instruction
        os.setuid(65534)
        with Ledger.open(sys.argv[1]) as ledger:
            print(ledger.counts()["instruction"])
            try:
                with ledger.writing() as writer:
                    writer.instructions([Instruction("new")])
            except LedgerReadOnly as error:
                print(error)
    """
    out, errors = start(code, path).communicate(timeout=60)
    assert out.startswith("200\n"), errors
    assert "check the permissions" in out


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LedgerReadOnly, match="folder exists"):
        Ledger.open(tmp_path / "none" / "ledger.db", create=True)


@pytest.mark.parametrize("damage", ["header", "middle", "truncated", "text"])
def test_a_damaged_file_is_found(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.db"
    fill(path, 2_000)
    whole = path.read_bytes()
    broken = {
        "header": b"\0" * 100 + whole[100:],
        "middle": whole[: len(whole) // 2] + os.urandom(8192) + whole[len(whole) // 2 + 8192 :],
        "truncated": whole[: len(whole) // 2],
        "text": b"this is a letter to my aunt\n" * 100,
    }
    path.write_bytes(broken[damage])
    with pytest.raises(LedgerCorrupt, match="farm"), Ledger.open(path) as ledger:
        ledger.check()


def test_after_an_unclean_end_the_file_is_checked_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path, 2_000)
    writer = start(WRITE, path, "x", 10_000)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.kill()
    writer.communicate()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + os.urandom(16384) + whole[len(whole) // 2 + 16384 :])
    with pytest.raises(LedgerCorrupt, match="farm backup"):
        Ledger.open(path)


def test_a_server_that_is_not_there() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(LedgerError, match="is the server up"):
        Ledger.open("postgresql://farm@127.0.0.1:1/none", create=True)


def test_odd_paths(tmp_path: Path) -> None:
    for name in ("with space.db", "semi;colon.db", "per%20cent.db", "ünïcödé ☂.db", "ques?tion#.db"):
        fill(tmp_path / name, 3)
        with Ledger.open(tmp_path / name) as ledger:
            assert ledger.counts()["instruction"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["with space.db", "semi;colon.db", "per%20cent.db", "ünïcödé ☂.db", "ques?tion#.db"]
    )


def test_foreign_keys_hold(ledger_url: str) -> None:
    with (
        Ledger.open(ledger_url, create=True) as ledger,
        pytest.raises(LedgerError, match=r"(?i)foreign key"),
        ledger.writing() as writer,
    ):
        [annotator_id] = writer.annotators([AnnotatorCard("x", AnnotatorKind.RULE)])
        writer.annotations([Annotation(12345, annotator_id, 1.0, 1.0, False)])


def test_many_small_judgements_by_threads_of_processes(tmp_path: Path) -> None:
    """Four processes judge the same pairs as four annotators: the union is exact."""
    path = tmp_path / "ledger.db"
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        pairs = [
            Pair.of(*(Output(Instruction(f"i{i}"), f"{k}", "m") for k in range(2)))[0] for i in range(300)
        ]
        writer.pairs(pairs)
    code = """
        import sys
        from db.ledger import Ledger
        from db.records import Annotation, AnnotatorCard, AnnotatorKind
        with Ledger.open(sys.argv[1]) as ledger:
            with ledger.writing() as writer:
                [me] = writer.annotators([AnnotatorCard(sys.argv[2], AnnotatorKind.RULE)])
            for start in range(1, 301, 20):
                with ledger.writing() as writer:
                    facts = [Annotation(i, me, .5, .5, False) for i in range(start, start + 20)]
                    assert writer.annotations(facts).added == 20
    """
    judges = [start(code, path, f"judge-{k}") for k in range(4)]
    for judge in judges:
        _, errors = judge.communicate(timeout=120)
        assert judge.returncode == 0, errors
    with Ledger.open(path) as ledger:
        assert ledger.counts()["annotation"] == 1200
        ledger.check()
