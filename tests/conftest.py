"""What every test shares: no network beyond this machine, ledgers of both kinds, the real data, a study."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from db.sqlite_file import held

if TYPE_CHECKING:
    from farm.quickstart import Quickstart

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell put in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else the processes we start ignore Ctrl-C
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # as under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile(
    "same",
    derandomize=not os.environ.get("FARM_FULL"),  # new examples in `make prove` alone
    deadline=None,  # a busy machine is no fault of a test
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same")

LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect


def _local_connect(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else ""
    if isinstance(address, tuple) and not str(host).startswith(LOOPBACK):
        raise RuntimeError(f"a test tried to reach {host}: tests stay on this machine")
    _connect(self, address)  # type: ignore[arg-type]


def _no_open_past_sqlite(event: str, arguments: tuple[object, ...]) -> None:
    """Fail where something opens the file of a ledger that is open here: closing it ends SQLite's locks."""
    if event == "open" and isinstance(name := arguments[0], str | bytes | os.PathLike):
        path = Path(os.fsdecode(name))
        assert not held(path), f"{path} is an open ledger: SQLite alone may open it (db/sqlite_file.py)"


sys.addaudithook(_no_open_past_sqlite)


def pytest_configure(config: pytest.Config) -> None:
    """Exact values are a CPU's: a GPU is hidden, from tests' processes too, but for its own tests."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


MODELS = {"made", "trained", "studied", "make_model", "model_dir", "pad_is_eos_dir", "scorer_dir"}
TRAINERS = tuple(f"tests/farm/{each}" for each in ("methods", "training", "test_train", "test_quickstart"))

LENGTHY = tuple((Path(__file__).parent / "support" / "lengthy.txt").read_text().split())
"""Beginnings of names of tests that take half a second of a core or more, as `pytest --durations` tells."""


def marks_of(item: pytest.Item) -> Iterator[str]:
    """What a test needs, by its place and its fixtures, so that `make quick` can leave it out."""
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if "browser" in fixtures:
        yield "browser"
    if "postgres_url" in fixtures or parameters.get("ledger_url") == "postgresql":
        yield "postgres"
    if "studied" in fixtures or (item.nodeid.startswith(TRAINERS) and fixtures & MODELS):
        yield "training"
    if "site" in fixtures or item.nodeid.startswith(LENGTHY):
        yield "lengthy"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in marks_of(item):
            item.add_marker(name)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    socket.socket.connect = _local_connect  # type: ignore[method-assign, assignment]
    yield
    socket.socket.connect = _connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
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


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made once for all processes of a run of the tests; no test changes it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made := folder.with_suffix(".made")).exists():
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Quickstart:
    """A finished quickstart of seconds, with what it found as a file of its own gives it back."""
    from farm.quickstart import Quickstart
    from farm.studies.results import StudyResults
    from tests.support.tiny_study import study

    def make(folder: Path) -> None:
        with ThreadPoolExecutor(1) as aside:  # an open browser keeps an event loop in this thread
            aside.submit(study, folder).result()[0].results.write(folder / "found.json")

    folder = once(tmp_path_factory, "studied", make)
    return Quickstart(folder / "farm.db", folder / "report.html", StudyResults.read(folder / "found.json"))


@pytest.fixture(scope="session")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1,200 judgements of five people and judges on 240 pairs."""

    def make(folder: Path) -> None:
        folder.mkdir()
        script = Path(__file__).parent.parent / "examples" / "make_preferences.py"
        subprocess.run([sys.executable, str(script), str(folder / "preferences.jsonl")], check=True)

    return once(tmp_path_factory, "sums", make) / "preferences.jsonl"


@pytest.fixture(scope="session")
def sums_ledger(sums: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of these judgements; who writes to it copies it first."""
    from tests.support.command_line import told

    def make(folder: Path) -> None:
        folder.mkdir()
        told(folder / "farm.db", "import", "preferences", sums)

    return once(tmp_path_factory, "sums_ledger", make) / "farm.db"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation as a site, built strictly; the test skips where its builder is not installed."""
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: no site is built")

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
        built = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        )
        assert built.returncode == 0, built.stdout + built.stderr

    return once(tmp_path_factory, "site", make)
