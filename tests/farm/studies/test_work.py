"""Processes side by side: what comes of jobs, what they make possible, and the end after an error."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from farm.studies.work import workers


def add(name: str, path: Path) -> str:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{name}\n")
    return name


def fail(message: str) -> str:
    raise ValueError(message)


def rest(path: Path) -> str:
    time.sleep(0.5)
    return add("rested", path)


def stay(path: Path) -> str:
    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    time.sleep(300)
    return "stayed"


def lead(path: Path) -> None:
    with workers(1) as pool:
        pool.begin(partial(stay, path)).result()


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    """A killed study must not go on training, and writing to its ledger, in processes that nobody sees."""
    path = tmp_path / "pid"
    leader = multiprocessing.get_context("spawn").Process(target=lead, args=(path,))
    leader.start()
    until(path.exists)
    worker = int(path.read_text())
    leader.kill()
    leader.join()
    until(lambda: not alive(worker), seconds=30)


def until(holds: Callable[[], bool], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_result_begins_what_it_makes_possible(tmp_path: Path) -> None:
    path = tmp_path / "done"

    def follow(name: str) -> Iterator[Callable[[], str]]:
        if len(name) < 3:
            yield partial(add, f"{name}a", path)

    with workers(2) as pool:
        found = list(pool.finished([pool.begin(partial(add, name, path)) for name in ("x", "y")], follow))
    assert sorted(found) == ["x", "xa", "xaa", "y", "ya", "yaa"]
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(found)
    assert lines.index("x") < lines.index("xa") < lines.index("xaa")


def test_the_first_error_ends_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "done"
    jobs = [partial(fail, "the first job failed"), *(partial(rest, path) for _ in range(20))]
    with workers(1) as pool, pytest.raises(ValueError, match="the first job failed"):
        list(pool.each(jobs))
    assert not path.exists() or len(path.read_text().splitlines()) < 20


def test_whoever_leaves_waits_for_nothing_that_has_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "done"
    with pytest.raises(KeyboardInterrupt), workers(1) as pool:
        for _ in range(20):
            pool.begin(partial(rest, path))
        raise KeyboardInterrupt
    assert not path.exists() or len(path.read_text().splitlines()) < 20
