"""Files are written whole or not at all, and never over a ledger or over somebody else's file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from db import whole_files
from db.errors import ConfigError, FarmError
from db.ledger import Ledger
from db.whole_files import UNFINISHED, Kind, refuse_other, write_bytes_whole, write_whole
from tests.support.full_disk import full_disk
from tests.support.held import bytes_of

PAGE = Kind(b"<page>", b"made by us")
OURS = b"<page> made by us: 1"


def test_our_own_file_is_replaced_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    write_bytes_whole(path, OURS, PAGE)
    write_bytes_whole(path, OURS + b" and 2", PAGE)
    assert path.read_bytes() == OURS + b" and 2"
    assert list(path.parent.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_empty_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    write_bytes_whole(tmp_path / "empty", OURS, PAGE)
    assert (tmp_path / "empty").read_bytes() == OURS


@pytest.mark.parametrize("content", [b"mine", b"<page> of mine", b"x" * 200_000 + b"made by us", b"<pag"])
def test_a_file_of_another_kind_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"no earlier output .*name another file"):
        write_bytes_whole(path, OURS, PAGE)
    with pytest.raises(ConfigError, match=r"there is a file of this name .*remove this one first"):
        write_bytes_whole(path, OURS)
    assert path.read_bytes() == content


def test_a_ledger_stays_whatever_is_in_it(tmp_path: Path) -> None:
    """Under every name that leads to it, while it is open, and not only the ledger in use."""
    path = tmp_path / "farm.db"
    (tmp_path / "link").symlink_to(path)
    with Ledger.open(path, create=True) as ledger:
        before = bytes_of(path), bytes_of(f"{path}-wal")
        os.link(path, tmp_path / "second-name")
        for name in ("farm.db", "link", "second-name", "farm.db-wal", "farm.db-shm", "farm.db-journal"):
            with pytest.raises(ConfigError, match="name another file"):
                write_bytes_whole(tmp_path / name, OURS, Kind(b""))
        assert (bytes_of(path), bytes_of(f"{path}-wal")) == before
        ledger.check()
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE t AS SELECT '<page> made by us' AS x")
    other.close()
    with pytest.raises(ConfigError, match="SQLite database"):
        refuse_other(tmp_path / "other.sqlite", Kind(b"", b"made by us"))


def test_a_folder_and_an_unreadable_place_are_said(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="this is a folder"):
        write_bytes_whole(tmp_path / "folder", OURS, PAGE)
    (tmp_path / "file").write_bytes(OURS)
    for path in (tmp_path / "file" / "page", tmp_path / ("n" * 300), Path("/proc/none/page")):
        with pytest.raises(FarmError, match="cannot be written"):
            write_bytes_whole(path, OURS, PAGE)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "page")
    for content in (OURS, OURS + b" again"):
        write_bytes_whole(tmp_path / "link", content, PAGE)
        assert (tmp_path / "page").read_bytes() == content
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("there", [False, True])
def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "page.html"
    if there:
        path.write_bytes(OURS)
    with full_disk(1000), pytest.raises(FarmError, match=r"page.html: .*File too large.*free space"):
        write_bytes_whole(path, OURS * 1000, PAGE)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [OURS] * there
    with pytest.raises(FarmError, match="No space left on device"):
        write_bytes_whole(Path("/dev/full"), OURS, PAGE)


def test_an_error_of_the_writer_leaves_nothing(tmp_path: Path) -> None:
    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "page", fails)
    assert list(tmp_path.iterdir()) == []


def unfinished(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.startswith(UNFINISHED)]


HALF = """
import sys, time
from pathlib import Path
from db.whole_files import write_whole
def half(path):
    path.write_bytes(b"<page> ma")
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").touch()
    print("half", flush=True)
    time.sleep(60)
write_whole(Path(sys.argv[1]), half)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a [page].html"
    (tmp_path / f"{UNFINISHED}mine-{path.name}").touch()  # no name of ours
    (tmp_path / f"{UNFINISHED}01234567-x-{path.name}").touch()  # left under another name
    kept = sorted(unfinished(tmp_path))
    writer = subprocess.Popen([sys.executable, "-c", HALF, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        write_bytes_whole(path, OURS, PAGE)
        assert len(unfinished(tmp_path)) == len(kept) + 3
        writer.send_signal(signal.SIGKILL)
    finally:
        writer.kill()
        writer.communicate()
    write_bytes_whole(tmp_path / "other", OURS, PAGE)
    assert len(unfinished(tmp_path)) == len(kept) + 3
    write_bytes_whole(path, OURS + b" again", PAGE)
    assert sorted(unfinished(tmp_path)) == kept
    assert path.read_bytes() == OURS + b" again"


def test_a_file_that_was_taken_for_a_leftover_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer removes our new file in the moment before it is locked."""
    lock = whole_files._lock
    taken: list[Path] = []

    def late(handle: int) -> bool | None:
        if len(taken) < 2:
            (found,) = tmp_path.iterdir()
            found.unlink()
            taken.append(found)
        return lock(handle)

    monkeypatch.setattr(whole_files, "_lock", late)
    write_bytes_whole(tmp_path / "page", OURS, PAGE)
    assert len(taken) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["page"]
    assert (tmp_path / "page").read_bytes() == OURS


def test_where_files_cannot_be_locked_they_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_files, "fcntl", None)
    (tmp_path / f"{UNFINISHED}01234567-page").touch()
    write_bytes_whole(tmp_path / "page", OURS, PAGE)
    assert (tmp_path / "page").read_bytes() == OURS
    assert unfinished(tmp_path) == [f"{UNFINISHED}01234567-page"]
