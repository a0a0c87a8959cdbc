"""Names of runs, and whether the run that claimed a request may still be waiting for its reply.

A run is one call of `farm annotate` over the ledger. Its name holds the machine, the process, the time at
which it started, the birth of its process, and its number within the process.
"""

from __future__ import annotations

import os
import socket
import time
from itertools import count
from pathlib import Path

CLAIM_HOURS = 1.0  # for how long a claim of another machine is believed to be in flight
_numbers = count()  # of the runs of this process
_under_way: set[str] = set()  # names of this process's runs that may be waiting for a reply


def new_run_name() -> str:
    """A name for a run of this process; no other run has it."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{int(time.time())}/{birth(pid)}/{next(_numbers)}"


def begin(run: str) -> None:
    """Let a run of this process count as alive, for other threads too."""
    _under_way.add(run)


def end(run: str) -> None:
    """Let it count as alive no more."""
    _under_way.discard(run)


def is_alive(run: str) -> bool:
    """Whether the run of this name may still be waiting for a reply.

    A run of another machine is believed to be alive for CLAIM_HOURS after its start.
    """
    host, pid, started, born, *_ = run.split("/")
    if host != socket.gethostname():
        return time.time() - float(started) < CLAIM_HOURS * 3600
    if int(pid) == os.getpid():
        return run in _under_way
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return birth(int(pid)) == born


def birth(pid: int) -> str:
    """When a process began, by the kernel's clock. Empty where it has ended, or the system does not say.

    The system gives the number of an ended process to a new one. The birth tells the two apart.
    """
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else numbers[18]
