"""A PostgreSQL server that breaks connections, or is restarted, while a run is in full work: it goes on."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.engine import Address
from db.errors import LedgerUnreachable
from db.ledger import Ledger
from db.tables import CLAIM, COMPLETION
from farm.annotate import AnnotateReport
from tests.support.judging_runs import count, fill, run, verdicts

PAIRS = 400
SERVER = Path(__file__).parents[2] / ".ci" / "postgres"
Break = Callable[[], None]

pytestmark = pytest.mark.filterwarnings(  # the driver misses the end of a cursor whose connection broke
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)


@contextmanager
def again_and_again(act: Break, every: float) -> Iterator[list[float]]:
    """In the block another thread does this every so many seconds. Gives the times at which it did.

    It does so ever more rarely, so that on a machine that is slow the run comes to its end.
    """
    done: list[float] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every * 1.25 ** len(done)):
            act()
            done.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        ended.set()
        thread.join()


def judged_under(act: Break, url: str, every: float) -> tuple[AnnotateReport, int]:
    """A run that is disturbed, and how often. Its books agree with the server's to the request."""
    fill(url, PAIRS)
    slow = SimulatorConfig(judge=Judge(utility="length"), latency=0.05)
    with Simulator(slow) as server, Ledger.open(url) as ledger:
        with again_and_again(act, every) as done:
            report = run(ledger, server, concurrency=8)
        stats = server.stats()
        with ledger.reading() as connection:
            rows = connection.execute(COMPLETION.select()).all()
        assert len(verdicts(ledger)) == PAIRS
        assert sum(row.sendings for row in rows) == stats.hits == report.requests  # nothing is lost
        assert len(rows) == stats.requests == stats.hits == PAIRS  # nor paid twice
        assert count(ledger, CLAIM) - PAIRS <= 64 * len(done)  # those of which no end was heard
    gc.collect()  # in this test, where the driver may warn
    return report, len(done)


def test_a_run_goes_on_when_its_connections_are_terminated(postgres_url: str) -> None:
    import psycopg

    with psycopg.connect(os.environ["FARM_POSTGRES_URL"], autocommit=True) as admin:

        def terminate() -> None:
            name = postgres_url.rpartition("/")[2]
            all_of = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            admin.execute(all_of, [name])

        report, broken = judged_under(terminate, postgres_url, 0.2)
    assert broken >= 3
    assert report.statuses == {"ok": PAIRS}


@pytest.fixture
def own_server() -> Iterator[tuple[str, Break]]:
    """A server of our own, and what crashes it and starts it again."""
    folder = tempfile.mkdtemp(prefix="farm-postgres-", dir="/var/tmp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = os.environ | {"FARM_POSTGRES_DIR": folder, "FARM_POSTGRES_PORT": str(port)}
    started = subprocess.run(
        [str(SERVER), "start"], env=environ, stdout=subprocess.PIPE, text=True, check=False
    )
    if started.returncode:
        shutil.rmtree(folder)
        pytest.skip("no PostgreSQL can be started here")
    owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    program = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))[-1]

    def restart() -> None:
        asked = [*owner, str(program), "-D", f"{folder}/data", "-m", "immediate", "-w", "restart"]
        subprocess.run(asked, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    try:
        yield started.stdout.strip(), restart
    finally:
        subprocess.run([str(SERVER), "stop"], env=environ, stdout=subprocess.DEVNULL, check=True)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_goes_on_when_the_server_crashes_and_starts_again(own_server: tuple[str, Break]) -> None:
    url, restart = own_server
    report, crashes = judged_under(restart, url, 1.0)
    assert crashes >= 1
    assert report.statuses == {"ok": PAIRS}


def test_claims_of_which_no_end_was_heard_are_asked(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that claimed reached the disk, and then the connection broke."""
    fill(postgres_url, 20)
    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as server:
        with Ledger.open(postgres_url) as ledger:
            broken: list[object] = []
            commit = ledger._engine.dialect.do_commit

            def unheard(connection: object) -> None:
                commit(connection)  # type: ignore[arg-type]
                if len(server_claims()) == 20 and not broken:
                    broken.append(connection)
                    connection.close()  # type: ignore[attr-defined]
                    raise OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)

            def server_claims() -> list[object]:
                with Ledger.open(postgres_url) as other, other.reading() as reader:
                    return list(reader.execute(CLAIM.select()))

            monkeypatch.setattr(ledger._engine.dialect, "do_commit", unheard)
            report = run(ledger, server)
            assert broken
        assert (report.requests, report.elsewhere, server.stats().hits) == (20, 0, 20)
        with Ledger.open(Address.of(postgres_url).url.render_as_string(hide_password=False)) as ledger:
            assert (len(verdicts(ledger)), count(ledger, CLAIM)) == (20, 40)


def test_a_server_that_stays_away_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("db.ledger.PATIENCE", 0.5)
    tries = []

    def act() -> None:
        tries.append(1)
        raise LedgerUnreachable("the server broke the connection")

    with Ledger.open(tmp_path / "farm.db", create=True) as ledger, pytest.raises(LedgerUnreachable):
        ledger.patiently(act)
    assert len(tries) > 1
