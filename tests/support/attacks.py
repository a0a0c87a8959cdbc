"""What attacks share: a command in a process of its own, with its peak memory, and a server of raw bytes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.command_line import farm_arguments, told

MOST_MEMORY = 2**30  # bytes of memory that a hostile input may take, at the peak
ROOT = Path(__file__).parents[2]
MEASURE = """
import resource, subprocess, sys
child = subprocess.Popen(sys.argv[3:])
try:
    code = child.wait(float(sys.argv[2]))
except subprocess.TimeoutExpired:
    child.kill()
    code = child.wait()
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code % 256)
"""
"""A small process that starts the command: a peak counts the memory of whoever started it, too."""
Answer = Callable[[bytes], Iterator[bytes]]
"""(the request's head) -> the bytes of the reply."""


class Attacked(NamedTuple):
    """What became of a command. peak: bytes of memory at most."""

    code: int
    out: str
    error: str
    seconds: float
    peak: int


SEEN: list[Attacked] = []
"""The commands that ended within the limits, for benchmarks/attacks.py."""


def attacked(
    ledger: Path | str,
    *arguments: object,
    environ: Mapping[str, str] | None = None,
    timeout: float = 120,
    stdout: Path | None = None,
) -> Attacked:
    """Run a command in a process of its own. Fails where it takes longer than `timeout` seconds, or
    MOST_MEMORY."""
    began = time.monotonic()
    with stdout.open("wb") if stdout else tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        with tempfile.NamedTemporaryFile() as peak:
            command = farm_arguments(ledger, *arguments)
            ended = subprocess.run(
                [sys.executable, "-S", "-c", MEASURE, peak.name, str(timeout), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=error,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | dict(environ or {}),
                check=False,
            )
            kilobytes = int(peak.read())
        shown, complained = "" if stdout else _all_of(out), _all_of(error)
    seconds = time.monotonic() - began
    assert seconds < timeout, f"not ended after {seconds:.0f} s: {complained[-500:]}"
    done = Attacked(ended.returncode, shown, complained, seconds=seconds, peak=kilobytes * 1024)
    assert done.peak < MOST_MEMORY, f"{done.peak / 2**20:.0f} MB"
    print(f"peak {done.peak / 2**20:.0f} MB, {done.seconds:.1f} s: {arguments[0]}")
    SEEN.append(done)
    return done


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def refusal(done: Attacked) -> str:
    """The one line with which a command refused."""
    assert (done.code, done.out) == (1, ""), (done.code, done.out[-500:], done.error[-2000:])
    assert done.error.startswith("farm: "), done.error[-2000:]
    assert done.error.count("\n") == 1, done.error[-2000:]
    return done.error


def ledger_of(folder: Path, pairs: int = 2) -> Path:
    """A ledger of a few pairs, judged by ada."""
    rows = [{"prompt": f"Say {n}.", "chosen": f"{n}", "rejected": f"{n}, I say"} for n in range(pairs)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told(folder / "farm.db", "import", "trl", folder / "rows.jsonl", "--annotator", "ada", "--source", "s")
    return folder / "farm.db"


def completion(text: str = "A", **changes: object) -> bytes:
    """The body of a good reply."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 400, "completion_tokens": 1, "total_tokens": 401}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage, **changes}).encode()


def reply(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole reply."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode() + body


@contextmanager
def raw_server(answer: Answer) -> Iterator[str]:
    """A server that puts any bytes on the wire, one request for each connection. The base URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    for part in answer(_request(connection)):
                        connection.sendall(part)
                except OSError:
                    pass  # the client went away

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _request(connection: socket.socket) -> bytes:
    """The head of a request; its body is read, and forgotten."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (got := connection.recv(65536))
        if not got:
            raise OSError("no request")
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head
