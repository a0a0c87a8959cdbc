"""Writes files: whole or not at all, and never in place of a ledger or of somebody else's file.

Every command that writes a file writes it here. The new file is made beside its place under another name,
synced to disk, and renamed. Its writer holds a lock on it, which ends with the writer: the next writer of the
same name removes what a killed one left.
"""

from __future__ import annotations

import glob
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and what is left stays
    fcntl = None  # type: ignore[assignment]

from db.errors import ConfigError, FarmError
from db.sqlite_file import BESIDE, held

UNFINISHED = ".unfinished-"
"""How the name of a file begins that is being written, or whose writer was killed."""
LOG = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # how a write-ahead log of SQLite begins
LEDGER = (b"SQLite format 3\0", *LOG)
END = 65_536  # bytes at each end of a file that are looked at
NAME = 64  # characters of a file's name that its unfinished file keeps, the last ones
STREAMS = ("/dev/std", "/dev/fd/", "/proc/self/fd/")  # names of files that this process has open
Result = TypeVar("Result")


class Kind(NamedTuple):
    """What the files of one kind of output have in common: the bytes by which a later run knows its own.

    begins: the first bytes of the file. holds: bytes near the beginning or the end of the file.
    """

    begins: bytes
    holds: bytes = b""


def refuse_other(path: Path, kind: Kind | None = None) -> None:
    """Raise ConfigError where `path` may not be written.

    kind: of the file to be written. A file that is there may be replaced if it is of this kind, or empty.
    Without a kind no file may be there. A SQLite database, such as a ledger, is never replaced, and no file
    is made under a name that SQLite keeps for itself beside a database.
    """
    place = Path(os.path.realpath(path))
    for ending in BESIDE:
        if place.name.endswith(ending) and _ends(Path(str(place).removesuffix(ending)))[0].startswith(LEDGER):
            what = "SQLite keeps this name for itself: a ledger stands beside it"
            raise ConfigError(what, where=str(path), remedy="name another file")
    if not os.path.exists(place) and not _is_stream(path):
        return
    if place.is_dir():
        raise ConfigError("this is a folder", where=str(path), remedy="name a file")
    if kind is None:
        remedy = "name a new file, or remove this one first; what this command writes under a name is whole"
        raise ConfigError("there is a file of this name", where=str(path), remedy=remedy)
    first, last = _ends(place)
    if first.startswith(LEDGER):
        what = "this file is a SQLite database, such as a ledger, and is never overwritten"
        raise ConfigError(what, where=str(path), remedy="name another file")
    if _is_stream(path) or not first or (first.startswith(kind.begins) and kind.holds in first + last):
        return
    what = "there is a file of this name, and it is no earlier output of this command"
    raise ConfigError(what, where=str(path), remedy="name another file, or remove this one first")


def write_whole(path: Path, write: Callable[[Path], Result], kind: Kind | None = None) -> Result:
    """Write a file under a temporary name beside `path`, sync it, and rename it. Folders are made.

    write: fills the empty file whose path it is given; what it returns is returned. kind: as for
    `refuse_other`, by which the place is looked at first. A symbolic link stays, and its target is written. A
    pipe or a terminal is written directly.

    Raises ConfigError where the place is taken, FarmError where the disk refuses. Then nothing is left.
    """
    refuse_other(path, kind)
    place = Path(os.path.realpath(path))
    try:
        if _is_stream(path):
            return write(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return _renamed(place, write)
    except OSError as error:
        what = f"the file cannot be written: {error.strerror or error}"
        raise FarmError(what, where=str(path), remedy="check free space and permissions") from None


def write_bytes_whole(path: Path, content: bytes, kind: Kind | None = None) -> None:
    """Write these bytes as `write_whole` does."""
    write_whole(path, lambda unfinished: unfinished.write_bytes(content), kind)


def _renamed(place: Path, write: Callable[[Path], Result]) -> Result:
    name = place.name[-NAME:]
    _sweep(place.parent, name)
    with _locked(place.parent, name) as unfinished:
        result = write(unfinished)
        sync(unfinished)
        unfinished.replace(place)
        sync(place.parent)
        return result


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[Path]:
    """A new file under a hidden name, locked while it is written. It is removed unless it was renamed."""
    while True:
        unfinished = folder / f"{UNFINISHED}{secrets.token_hex(4)}-{name}"
        handle = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        try:
            if _lock(handle) is not False and os.fstat(handle).st_nlink:
                yield unfinished
                return
        finally:  # where it was not yielded, another writer took it for a leftover: once more
            unfinished.unlink(missing_ok=True)
            os.close(handle)


def _sweep(folder: Path, name: str) -> None:
    """Remove the unfinished files of this name whose writers were killed, with what SQLite keeps beside."""
    for left in folder.glob(f"{UNFINISHED}{'[0-9a-f]' * 8}-{glob.escape(name)}"):
        try:
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # it was renamed meanwhile, or is another user's
        try:
            if _lock(handle):
                for each in (*(Path(f"{left}{ending}") for ending in BESIDE), left):
                    each.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock an open file. False where another process holds its lock, None where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sync(path: Path) -> None:
    """Wait until a file or a folder is on disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_stream(path: Path) -> bool:
    """Whether the path is a pipe, a device or an open file: there is nothing to rename."""
    if str(path).startswith(STREAMS):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _ends(place: Path) -> tuple[bytes, bytes]:
    """The first and last bytes of a regular file; nothing of anything else, and an open ledger is not read.

    Raises ConfigError where the file cannot be read: nobody knows what would be lost.
    """
    if not place.is_file():
        return b"", b""
    if held(place):
        return LEDGER[0], b""
    try:
        with place.open("rb") as file:
            first = file.read(END)
            file.seek(max(place.stat().st_size - END, 0))
            return first, file.read(END)
    except OSError as error:
        what = f"there is a file of this name that cannot be read: {error.strerror}"
        raise ConfigError(what, where=str(place), remedy="name another file") from None
