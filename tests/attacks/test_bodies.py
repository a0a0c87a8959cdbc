"""Bodies that are larger than they seem: counted as they are unpacked, in bounded memory."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import repeat
from pathlib import Path

import pytest

from tests.support.attacks import Answer, attacked, completion, ledger_of, raw_server, reply

MEGABYTES = 1000 if os.environ.get("FARM_FULL") else 200
PACKED = "content-encoding: gzip\r\n"
CHUNKED = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"


@cache
def bomb(megabytes: int) -> bytes:
    """Spaces by the megabyte as gzip, about a thousandth of that size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * 2**20) for _ in range(megabytes)) + packer.flush()


def packed(head: bytes) -> Iterator[bytes]:
    yield reply(bomb(MEGABYTES), headers=PACKED)


def packed_twice(head: bytes) -> Iterator[bytes]:
    yield reply(gzip.compress(bomb(MEGABYTES)), headers="content-encoding: gzip, gzip\r\n")


def endless(status: bytes = b"200 OK") -> Answer:
    def answer(head: bytes) -> Iterator[bytes]:
        yield CHUNKED % status
        yield from repeat(b"100000\r\n" + b" " * 2**20 + b"\r\n")

    return answer


def small_objects(head: bytes) -> Iterator[bytes]:
    """16 MiB of JSON whose every three bytes become an object."""
    body = completion(x=[])
    yield reply(body.replace(b'"x": []', b'"x": [' + b"{}," * (5 * 2**20) + b"{}]"))


@pytest.mark.parametrize(
    "answer",
    [
        packed,
        pytest.param(packed_twice, marks=pytest.mark.slow),
        pytest.param(endless(), marks=pytest.mark.slow),
        pytest.param(small_objects, marks=pytest.mark.slow),
    ],
    ids=["gzip", "twice", "endless", "objects"],
)
def test_a_body_is_refused_at_its_limit(answer: Answer, tmp_path: Path) -> None:
    """All requests are answered so at once."""
    ledger = ledger_of(tmp_path, pairs=20)
    bomb(MEGABYTES)  # once, not in each thread of the server
    with raw_server(answer) as url:
        done = attacked(ledger, "annotate", "plain", "--base-url", url, "--model", "m")
    if answer is small_objects:
        assert done.code == 0, done.error
    else:
        assert done.code == 1
        assert "none of 20 requests brought a usable reply; most often: oversized" in done.error


@pytest.mark.slow
@pytest.mark.parametrize("status", [b"500 No", b"400 No", b"429 No"])
def test_an_endless_error_is_an_error_of_its_status(status: bytes, tmp_path: Path) -> None:
    with raw_server(endless(status)) as url:
        done = attacked(ledger_of(tmp_path), "doctor", "--base-url", url)
    assert f"answers {status[:3].decode()}" in done.out


@pytest.mark.slow
def test_a_drip_is_ended_by_the_time_for_a_whole_reply(tmp_path: Path) -> None:
    """A byte each second resets every timeout of the socket."""

    def drip(head: bytes) -> Iterator[bytes]:
        yield CHUNKED % b"200 OK"
        while True:
            yield b"1\r\n \r\n"
            time.sleep(0.2)

    with raw_server(drip) as url:
        done = attacked(ledger_of(tmp_path), "doctor", "--base-url", url, timeout=40)
    assert "TimeoutError" in done.out
