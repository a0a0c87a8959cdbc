"""Opens files: their bytes, unpacked, and their lines."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from db.errors import FormatError
from db.interchange.rows import Refusal
from db.sqlite_file import held

MAX_LINE = 64 << 20  # bytes; a longer line is no row of a preference file
MANY = 100  # blank lines; those that follow are passed at once
AS_UTF8 = "save it as UTF-8 text"
POINTER = b"version https://git-lfs.github.com/spec/"


def require_file(path: Path) -> None:
    """Raise FormatError for the open ledger, for no file, and for a pointer to one that was not fetched."""
    _refuse_held(path)
    if not path.exists():
        raise FormatError("there is no such file", where=str(path), remedy="check the name")
    if path.is_dir():
        raise FormatError("this is a folder, not a file", where=str(path), remedy="name the files in it")
    with path.open("rb") as stream:
        if stream.read(len(POINTER)) == POINTER:
            what = "this is a pointer of Git LFS, not the file itself"
            raise FormatError(what, where=str(path), remedy="fetch the file with `git lfs pull`")


def _refuse_held(path: Path) -> None:
    """Raise FormatError where this is the ledger that is open: it must not be read past SQLite."""
    if held(path):
        what, remedy = "this is the ledger itself", "name the files to import; `farm merge` joins ledgers"
        raise FormatError(what, where=str(path), remedy=remedy)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is gzipped, without a byte-order mark.

    Raises FormatError where the file cannot be read or unpacked, or is the open ledger.
    """
    _refuse_held(path)
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream: BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with io.BufferedReader(stream, 1 << 20) as buffered:  # type: ignore[type-var]
                if buffered.peek(3)[:3] == codecs.BOM_UTF8:
                    buffered.read(3)
                yield buffered
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FormatError(
            f"the compressed file is broken: {error}", where=str(path), remedy="fetch it again"
        ) from error
    except OSError as error:
        raise FormatError(f"the file cannot be read: {error.strerror}", where=str(path)) from error


def lines(path: Path) -> Generator[tuple[int, str] | Refusal, None, None]:
    """Stream the lines of a file that are not blank, with their numbers.

    A line that is not UTF-8 or has MAX_LINE bytes or more is a Refusal; no more of it is held.
    """
    with opened(path) as stream:
        number = blank = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            if len(line) == MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_LINE)
                yield Refusal(number, "a line of over 64 MB")
                continue
            try:
                text = line.decode("utf-8").strip()
            except UnicodeDecodeError as error:
                yield Refusal(number, f"byte {error.start + 1} is not UTF-8 ({AS_UTF8})")
                continue
            if text:
                blank = 0
                yield number, text
            elif (blank := blank + 1) == MANY:
                number, blank = number + _pass_blank(stream), 0


def _pass_blank(stream: BinaryIO) -> int:
    """Pass the blank lines in a stream's buffer at once. Returns their number."""
    ahead = stream.peek()  # type: ignore[attr-defined]
    blank = ahead[: len(ahead) - len(ahead.lstrip())]
    stream.read(blank.rfind(b"\n") + 1)
    return int(blank.count(b"\n"))


def sha256_of(path: Path) -> str:
    """SHA-256 in hexadecimal of a file, or of all files of a folder in the order of their names.

    An open ledger that stands in the folder does not count.
    """
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file() and not held(file):
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
