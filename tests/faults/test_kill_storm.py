"""Each command that writes, killed at random moments and started again: nothing half, lost or paid twice.

The state of a ledger and of the files beside it is a set of facts. After every kill it holds what was there
before, and nothing that an undisturbed run does not make. After the same command has run to its end it is
what an undisturbed run makes.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest
import torch
from sqlalchemy import func, not_, or_, select

from annotators.simulator import Judge, Simulator, SimulatorConfig
from db.ledger import Ledger
from db.queries.exports import RowFilter
from db.queries.history import CLOCKED
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Membership, ProducerKind
from db.tables import COMPLETION, LEASE, METADATA, METRIC, OUTPUT, RUN
from farm.export import export_file
from farm.options.snapshot import Choice
from farm.snapshot import snapshot
from tests.support import forked
from tests.support.command_line import farm_arguments
from tests.support.judged_sums import write_sums
from tests.support.judging_runs import FULL, fill, verdicts
from tests.support.tiny_models import write_model

KILLS = 56 if FULL else 1  # of each command on each database: 1,120 and 20 in all
IN_A_ROW = 4  # at most, before the command may end
WIDTH = 4  # requests in flight
PANEL = """
kind: panel
name: panel
least_agreement: 1
members: [{annotator: plain}, {annotator: rating}]
contested: {annotator: explained}
"""
Facts = set[tuple[object, ...]]
DATE = re.compile(rb"\d{4}-\d\d-\d\d([ T][\d:+]+)?")
HIDDEN = (".unfinished-", ".partial-")  # how the names of files begin that are being written
SAID = "said.txt"
TINY = "--max-steps 6 --save-every 2 --keep 9 --batch-size 4 --max-length 128 --log-every 1 --device cpu"


@dataclass(frozen=True)
class Place:
    """A ledger, the folder for files, what was prepared, and the server that models run at."""

    ledger: str
    out: Path
    ready: Path
    server: Simulator


Command = Callable[[Place], list[object]]


def served(place: Place) -> list[object]:
    return ["--base-url", place.server.base_url, "--concurrency", WIDTH]


COMMANDS: dict[str, Command] = {
    "annotate": lambda place: ["annotate", "plain", *served(place)],
    "panel": lambda place: ["annotate", place.ready / "panel.yaml", *served(place)],
    "import": lambda place: ["import", "preferences", place.ready / "rows.jsonl"],
    "merge": lambda place: ["merge", place.ready / "other.db"],
    "export": lambda place: ["export", "preferences", place.out / "rows.jsonl"],
    "backup": lambda place: ["backup", place.out / "copy.db"],
    "report": lambda place: ["report", place.out / "page.html"],
    "snapshot": lambda place: ["snapshot", "kept"],
    "train": lambda place: [
        *("train", "dpo", "--snapshot", "people", "--model", place.ready / "model"),
        *("--out", place.out / "run", *TINY.split()),
    ],
    "sample": lambda place: ["sample", "judge", "--set", "sums", "--n", 2, *served(place)],
}
PAID = ("annotate", "panel", "sample")
ONCE = ("export", "backup")  # refuse a file that is there, as it is whole
ALIKE = (
    "panel",
    "export",
    "report",
    "train",
)  # PostgreSQL gives them nothing that SQLite does not: make prove


def judged(url: str | Path, first: int) -> None:
    """A ledger of sums that a person judged, from number `first` on, and of pairs that nobody did."""
    fill(url, 40)
    with Ledger.open(url) as ledger, ledger.writing() as writer:
        for right in write_sums(writer, first + 20)[first:]:
            writer.outputs([replace(right, producer="reference", producer_kind=ProducerKind.REFERENCE)])
            writer.memberships([Membership(right.instruction, "sums")])
        [ben] = writer.annotators([AnnotatorCard("ben", AnnotatorKind.HUMAN)])
        writer.annotations([Annotation(number, ben, 1.0, 1.0, False) for number in range(1, 30 + first)])


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another ledger, to be merged, its judgements as a file, a tiny model, and a panel."""
    folder = tmp_path_factory.mktemp("ready")
    judged(folder / "other.db", 20)
    with Ledger.open(folder / "other.db") as other:
        export_file(other, "preferences", folder / "rows.jsonl", RowFilter())
    write_model(folder / "model")
    (folder / "panel.yaml").write_text(PANEL)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(SimulatorConfig(judge=Judge(utility="length"), latency=0.01)) as running:
        yield running


@contextmanager
def copied(base: str, folder: Path) -> Iterator[str]:
    """A copy of a ledger that nobody has open: a file, or a database on the server."""
    if "://" not in base:
        yield str(shutil.copy(base, folder / "farm.db"))
        return
    import psycopg

    server, _, name = base.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
        try:
            yield f"{base}_copy"
        finally:
            connection.execute(f"DROP DATABASE {name}_copy WITH (FORCE)")


def rows_of(ledger: Ledger) -> Facts:
    """Every row of every table, but for what the clock says."""
    facts: Facts = set()
    with ledger.reading() as connection:
        for table in METADATA.sorted_tables:
            if table is not LEASE:
                columns = [each for each in table.columns if each is not RUN.c.started]
                query = select(*columns)
                if table is METRIC:
                    clocked = or_(*(METRIC.c.name.startswith(each) for each in CLOCKED))
                    query = query.where(not_(clocked))
                facts |= {(table.name, *row) for row in connection.execute(query)}
    return facts


def contents(ledger: Ledger) -> Facts:
    """Verdicts and outputs, without their ids: replies come in any order."""
    found: Facts = {("verdict", *each) for each in verdicts(ledger).items()}
    with ledger.reading() as connection:
        columns = [each for name, each in OUTPUT.c.items() if name != "id"]
        return found | {("output", *row) for row in connection.execute(select(*columns))}


def plain(saved: Any) -> object:
    """What torch saved, so that equal contents are equal: the order of its pickle depends on the past."""
    if isinstance(saved, dict):
        return frozenset((key, plain(value)) for key, value in saved.items())
    if isinstance(saved, list | tuple):
        return tuple(map(plain, saved))
    return (saved.shape, saved.numpy().tobytes()) if isinstance(saved, torch.Tensor) else saved


def file_facts(out: Path) -> Facts:
    """Every visible file: its name, and a hash of what it holds.

    A ledger holds its rows. The reference's values, to which lines are added, are their whole lines.
    """
    facts: Facts = set()
    for path in out.rglob("*"):
        name = path.relative_to(out)
        if path.is_dir() or any(part.startswith(HIDDEN) for part in name.parts):
            continue
        if path.parent.name == "reference":
            whole, _, _ = path.read_bytes().rpartition(b"\n")
            facts |= {("line", str(name), line) for line in whole.splitlines()}
            continue
        if path.suffix == ".db":
            with Ledger.open(path) as copy:
                copy.check()
                held: Any = frozenset(rows_of(copy))
        elif path.suffix == ".pt":
            held = plain(torch.load(path, weights_only=True))
        else:
            held = hashlib.sha256(DATE.sub(b"", path.read_bytes())).hexdigest()
        facts.add(("file", str(name), held))
    return facts


def state(name: str, place: Place) -> Facts:
    """What the ledger and the files hold. Raises where the ledger is damaged."""
    with Ledger.open(place.ledger) as ledger:
        ledger.check()
        return (contents(ledger) if name in PAID else rows_of(ledger)) | file_facts(place.out)


def bought(name: str, place: Place) -> int:
    """How much of what was paid for is stored."""
    table = OUTPUT if name == "sample" else COMPLETION
    with Ledger.open(place.ledger) as ledger, ledger.reading() as connection:
        query = select(func.count()).select_from(table)
        query = query if table is COMPLETION else query.where(OUTPUT.c.producer == "judge")
        return connection.execute(query).scalar_one()


def start(name: str, place: Place, kill_after: float | None = None) -> forked.Ended:
    arguments = farm_arguments(place.ledger, *COMMANDS[name](place))
    return forked.run(arguments, place.out.parent / SAID, kill_after)


class Storm:
    """A command that is killed again and again, from a fresh copy of the ledger on each time."""

    def __init__(self, name: str, fresh_place: Callable[[], AbstractContextManager[Place]]) -> None:
        self.name, self.fresh_place = name, fresh_place
        self.moments = random.Random(name)
        with fresh_place() as place:
            self.before = state(name, place)
            calm = start(name, place)
            assert calm.code == 0, calm.error
            self.calm = state(name, place)
        assert self.calm > self.before
        self.window = calm.seconds
        self.killed, self.half_way, self.twice = 0, 0, 0

    def round(self, most: int) -> None:
        """Kill the command at most so often, then let it end."""
        with self.fresh_place() as place:
            hits, kills = place.server.stats().hits, 0
            for _ in range(self.moments.randint(1, most)):
                ended = start(self.name, place, self.moments.uniform(0, self.window))
                if ended.code != -SIGKILL:
                    assert ended.code == 0 or self.name in ONCE, ended.error
                    self.window = min(self.window, ended.seconds)
                    break
                kills += 1
                now = state(self.name, place)
                assert self.before <= now, f"lost: {self.before - now}"
                assert now <= self.calm, f"half: {now - self.calm}"
                self.half_way += self.before < now < self.calm
            self.killed += kills
            self.end(place)
            if self.name in PAID:
                lost = place.server.stats().hits - hits - bought(self.name, place)
                assert 0 <= lost <= kills * WIDTH, f"{lost} were paid twice in {kills} kills"
                self.twice += lost

    def end(self, place: Place) -> None:
        """Let the command end, and compare."""
        whole = state(self.name, place) == self.calm
        ended = start(self.name, place)
        assert ended.code == 0 or (whole and self.name in ONCE), ended.error
        now = state(self.name, place)
        assert now == self.calm, now ^ self.calm
        assert not [each for begins in HIDDEN for each in place.out.rglob(f"{begins}*")]


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "ledger_url"),
    [
        pytest.param(name, kind, marks=[pytest.mark.slow] * (kind == "postgresql" and name in ALIKE))
        for kind in ("sqlite", "postgresql")
        for name in COMMANDS
    ],
    indirect=["ledger_url"],
)
def test_killed_at_random_a_command_leaves_nothing_half_and_ends_as_an_undisturbed_one(
    name: str, ledger_url: str, ready: Path, server: Simulator, tmp_path: Path
) -> None:
    base = ledger_url if "://" in ledger_url else str(tmp_path / "base.db")
    judged(base, 0)
    with Ledger.open(base) as ledger:
        snapshot(ledger, "people", Choice())

    @contextmanager
    def fresh_place() -> Iterator[Place]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        with copied(base, tmp_path) as url:
            yield Place(url, out, ready, server)

    storm = Storm(name, fresh_place)
    for _ in range(20 * KILLS):
        if storm.killed >= KILLS:
            break
        storm.round(min(IN_A_ROW, KILLS - storm.killed))
    assert storm.killed >= KILLS, "the command ended before it was killed often enough"
    print(f"{name}: {storm.killed} kills, {storm.half_way} half-way, {storm.twice} replies paid twice")
