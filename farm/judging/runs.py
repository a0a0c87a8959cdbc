"""Runs: their names, the sign of life that each gives, and whether another run still lives.

A run is one call of `farm annotate` over the ledger. Its name begins with a random number, so that no two
runs share one. While it lives, it raises a counter in the ledger every BEAT seconds (`lease`).

Another run is believed to live until one of three things is seen. Its counter is gone: it ended, or its
claims were taken over. Its process is gone, and it ran on this machine in our space of process numbers. Or
its counter stood still for LEASE seconds while the ledger could be written. These seconds are measured by the
steady clock of the observer. No clock is compared with another: clocks that differ or jump do no harm.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from annotators.clients.failures import RunInterrupted
from db.errors import LedgerError
from db.ledger import Ledger
from db.writer import Writer

BEAT = 5.0  # seconds between two signs of life
LEASE = 60.0  # seconds without one after which a run is taken for dead
LOOK = 1.0  # seconds between two looks at another run
FRESH = 40.0  # seconds after its last sign of life in which a run may send
T = TypeVar("T")
Result = TypeVar("Result")
_under_way: set[str] = set()  # names of this process's runs that may be waiting for a reply


class Life(Enum):
    """What is known of another run."""

    ALIVE = auto()
    ENDED = auto()
    UNKNOWN = auto()  # not seen for long enough


def new_run_name() -> str:
    """A name for a run of this process; no other run has it."""
    return f"{secrets.token_hex(8)}/{_space()}/{os.getpid()}/{birth(os.getpid()) or ''}"


def _space() -> str:
    """Where process numbers mean the same: boot of the machine and namespace. Empty where nobody says."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""  # /proc is that of another namespace
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def birth(pid: int) -> str | None:
    """When a process began, by the kernel's clock; "ended" for a zombie. None where the system does not say.

    The system gives the number of an ended process to a new one. The birth tells the two apart.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if state == "Z" else numbers[18]


def _process(run: str) -> Life:
    """What this machine knows of the process of a run."""
    _, space, pid, born = run.split("/") if run.count("/") == 3 else ("", "", "", "")
    if not space or space != _space():
        return Life.UNKNOWN
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return Life.ENDED
    except PermissionError:
        pass
    now = birth(int(pid))
    if now is None:
        return Life.UNKNOWN  # the process is another user's, and hidden
    return Life.ALIVE if now == born and int(pid) != os.getpid() else Life.ENDED


@dataclass
class _Seen:
    """What was seen of a counter: its value, whether it ever moved, for how long it has stood still."""

    beats: int
    looked: float
    moved: bool = False
    still: float = 0.0  # seconds


class OtherRuns:
    """What one run knows of the others. clock: seconds of a steady clock.

    ended: runs that still have a counter, and were found to be dead.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ended: set[str] = set()
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._beats: Mapping[str, int] = {}

    def look(self, beats: Mapping[str, int]) -> None:
        """Take in the counters of all runs, read while the ledger could be written."""
        self._beats = beats

    def life(self, run: str) -> Life:
        """What is known of a run, by the counters seen last."""
        if run in _under_way:
            return Life.ALIVE
        if run not in self._beats:
            return Life.ENDED
        known = _process(run)
        known = known if known is not Life.UNKNOWN else self._watched(run, self._beats[run])
        if known is Life.ENDED:
            self.ended.add(run)
        return known

    def _watched(self, run: str, beats: int) -> Life:
        now = self._clock()
        seen = self._seen.setdefault(run, _Seen(beats, now))
        if seen.beats != beats:
            seen.beats, seen.moved, seen.still = beats, True, 0.0
        else:
            seen.still += min(now - seen.looked, BEAT)  # what lies between two looks nobody saw
        seen.looked = now
        if seen.still >= LEASE:
            return Life.ENDED
        return Life.ALIVE if seen.moved else Life.UNKNOWN


class LeftToOthers(Generic[T]):
    """What one run leaves to the runs that claimed it.

    elsewhere: how many things. unsure: those of them whose run may live or not, with the run.
    """

    def __init__(self) -> None:
        self.others = OtherRuns()
        self.elsewhere = 0
        self.unsure: list[tuple[str, T]] = []

    def leave(self, run: str, things: Sequence[T]) -> bool:
        """Leave these to the run that claimed them, unless it is dead. Returns whether they are."""
        life = self.others.life(run)
        if life is Life.ENDED:
            return False
        self.elsewhere += len(things)
        if life is Life.UNKNOWN:
            self.unsure += [(run, thing) for thing in things]
        return True

    def freed(self, ledger: Ledger) -> list[T]:
        """Wait until it is known whether the runs live. Returns what dead ones had claimed.

        It takes LEASE seconds at most.
        """
        while any(self.others.life(run) is Life.UNKNOWN for run, _ in self.unsure):
            time.sleep(LOOK)
            self.others.look(ledger.write_patiently(Writer.beats))
        free = [thing for run, thing in self.unsure if self.others.life(run) is Life.ENDED]
        self.unsure = []
        self.elsewhere -= len(free)
        return free

    def patiently(self, ledger: Ledger, act: Callable[[], Result]) -> Result:
        """As Ledger.patiently. What `act` left is forgotten before it acts again."""
        elsewhere, unsure = self.elsewhere, list(self.unsure)

        def again() -> Result:
            self.elsewhere, self.unsure = elsewhere, list(unsure)
            return act()

        return ledger.patiently(again)


def awake_clock() -> float:
    """Seconds of a steady clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """The sign of life of one run, in a `with` statement: a thread raises its counter in the ledger."""

    def __init__(self, ledger: Ledger, run: str, clock: Callable[[], float] = awake_clock) -> None:
        self.ledger, self.run, self._clock = ledger, run, clock
        self._ended = threading.Event()
        self._lost = False
        self._beaten = clock()

    def __enter__(self) -> Lease:
        self.ledger.write_patiently(lambda writer: writer.begin_lease(self.run))
        self._beaten = self._clock()
        _under_way.add(self.run)
        self._thread = threading.Thread(target=self._live, daemon=True, name="farm lease")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _under_way.discard(self.run)
        self._ended.set()
        self._thread.join(timeout=BEAT)
        try:
            with self.ledger.writing() as writer:
                writer.end_leases([self.run])
        except LedgerError:
            pass  # the counter stands still from now on, which says the same

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            began = self._clock()
            try:
                with self.ledger.writing() as writer:
                    self._lost = not writer.renew_lease(self.run)
            except LedgerError:
                continue  # another writes, or the server is away: we may send again after the next beat
            if self._lost:
                return
            self._beaten = began

    async def confirm(self) -> None:
        """Wait until others believe that this run lives. Raises RunInterrupted where they did not.

        A process that was stopped for long, or whose machine slept, may have lost its claims to another run.
        """
        for tries in count():
            if self._lost:
                raise RunInterrupted(
                    "this run gave no sign of life for a minute, and another has taken over its requests",
                    remedy="run the same command again: nothing is asked twice",
                )
            if self._clock() - self._beaten < FRESH:
                return
            await asyncio.sleep(min(0.01 * 2**tries, 1.0))
