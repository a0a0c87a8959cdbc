"""Judges all pairs of a ledger once and prints what it took, as JSON. benchmarks/annotate.py runs it.

python benchmarks/annotate_once.py LEDGER URL ANNOTATOR [CONCURRENCY]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from db.ledger import Ledger
from farm.annotate import annotate
from farm.judging.provider import Provider, Task


def cpu_seconds() -> float:
    """Seconds of processors that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib() -> float:
    """The largest memory of this process so far, in MiB, as Linux counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) / 1024


def main(path: str, url: str, name: str, *concurrency: str) -> None:
    """Judge and print; every judgement must have a verdict."""
    provider = (
        Provider(base_url=url, concurrency=int(concurrency[0])) if concurrency else Provider(base_url=url)
    )
    with Ledger.open(path) as ledger:
        before, start = cpu_seconds(), time.perf_counter()
        report = annotate(ledger, name, Task(), lambda *_: None, provider)
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - before
    assert set(report.statuses) == {"ok"}, report
    read = report.statuses["ok"]
    print(json.dumps({"read": read, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
