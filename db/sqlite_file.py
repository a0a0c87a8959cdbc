"""Opens the file of a ledger, and knows which files this process must not open past SQLite.

SQLite locks a file with locks of POSIX. They belong to the process, and **all of them end when the process
closes any descriptor of the file**, also one that only read a few bytes (sqlite.org/howtocorrupt.html, 2.2).
Then another process believes that it is alone and removes the write-ahead log in use: readers find the
database "malformed", and what is written goes to a file without a name. So a file that is open here as a
ledger is opened by SQLite alone; whatever else reads files asks `held` first.

A file in a folder that cannot be written may have to be read without locks. Then `FileConnection.changed`
says whether somebody wrote to it meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from urllib.parse import quote
from weakref import WeakSet

WAIT_SECONDS = 60.0  # how long to wait for another writer
BESIDE = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside a ledger
ALONE = "mode=ro&vfs=unix-none"  # takes no locks
IMMUTABLE = "immutable=1"  # takes no locks, and looks for no log
Stamp = tuple[tuple[int, ...] | None, ...]  # of the file and its log


class FileConnection(sqlite3.Connection):
    """A connection of the driver that knows its file. `connect` makes it."""

    path: Path
    identity: tuple[int, int]  # device and inode
    stamp: Stamp | None = None  # of a file that is read without locks

    def changed(self) -> bool:
        """Whether a file that is read without locks was written since it was opened."""
        return self.stamp is not None and self.stamp != _stamp(self.path)

    def close(self) -> None:
        """See sqlite3. The file is no longer held by this connection."""
        super().close()
        with _LOCK:
            _OPEN.discard(self)


_OPEN: WeakSet[FileConnection] = WeakSet()
_LOCK = threading.RLock()


def held(path: Path) -> bool:
    """Whether this process has this file open as a ledger, or it is a file that SQLite keeps beside one.

    Links count as what they point to.
    """
    with _LOCK:
        open_now = list(_OPEN)
    if not open_now or (there := _identity(path)) is None:
        return False
    return any(
        there == each.identity or any(there == _identity(Path(f"{each.path}{end}")) for end in BESIDE)
        for each in open_now
    )


def first_bytes(path: Path, size: int) -> bytes:
    """The first bytes of a file, none where it is held. Nobody can open the ledger here meanwhile."""
    with _LOCK:
        if held(path):
            return b""
        with path.open("rb") as file:
            return file.read(size)


def connect(path: Path, read_only: bool) -> FileConnection:
    """A connection to a SQLite file, with the settings that keep a ledger safe. See db/engine.py."""
    mode = _mode(path) if read_only else "mode=rwc"
    uri = f"file:{quote(str(path))}?{mode}"
    stamp = _stamp(path) if mode in (ALONE, IMMUTABLE) else None
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=WAIT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=FileConnection,
    )
    try:
        connection.path, connection.stamp = path, stamp
        with _LOCK:  # no lock is taken yet: the first statement takes one
            connection.identity = _identity(path) or (0, 0)
            _OPEN.add(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        if mode == ALONE:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # the index of the log is kept in memory
        if not read_only:
            _use_write_ahead_log(connection)
            connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _mode(path: Path) -> str:
    """How a file is opened that is only read.

    Beside a write-ahead log SQLite makes an index, <name>-shm. In a folder where it cannot, a file without a
    log has no writer now, nor has one whose log has no index.
    """
    if os.access(path.parent, os.W_OK):
        return "mode=ro"
    if not Path(f"{path}-wal").exists():
        return IMMUTABLE
    return "mode=ro" if Path(f"{path}-shm").exists() or os.name != "posix" else ALONE


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for other connections here, so a locked switch is tried again."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        there = path.stat()
    except OSError:
        return None
    return there.st_dev, there.st_ino


def _stamp(path: Path) -> Stamp:
    """What changes when a file or its log is written. Opening a ledger makes an empty log, which is none."""
    return _marks(path), _marks(Path(f"{path}-wal"))


def _marks(path: Path) -> tuple[int, ...] | None:
    try:
        there = path.stat()
    except OSError:
        return None
    return (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns) if there.st_size else None
