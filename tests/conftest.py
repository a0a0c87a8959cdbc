"""What every test shares: no network beyond this machine, ledgers of both kinds, the real data."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell put in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else the processes we start ignore Ctrl-C

LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect


def _local_connect(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if isinstance(address, tuple) and not str(host).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {host}: tests stay on this machine")
    _connect(self, address)  # type: ignore[arg-type]


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    socket.socket.connect = _local_connect  # type: ignore[method-assign, assignment]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture
def real_data() -> Path:
    """The folder of real preference data; the test skips where there is none."""
    folder = os.environ.get("FARM_REAL_DATA")
    if not folder:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    return Path(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a ledger that does not exist yet: a file, or a fresh database on the server."""
    if request.param == "sqlite":
        yield str(tmp_path / "ledger.db")
        return
    yield from _fresh_database()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    yield from _fresh_database()


def _fresh_database() -> Iterator[str]:
    server = os.environ.get("FARM_POSTGRES_URL")
    if not server:
        pytest.skip("FARM_POSTGRES_URL is not set: no PostgreSQL server here")
    import psycopg

    name = f"farm_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server.rsplit("/", 1)[0] + f"/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
