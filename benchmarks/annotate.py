"""How fast pairs are judged end to end: rendering, claims, requests, completions, parsing, judgements.

The provider is the simulator in a process of its own. For each latency: annotations per second, the share
of the ideal (concurrency / latency), and peak memory at two sizes.

    python benchmarks/annotate.py --json benchmarks/results/annotate.json
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from db.ledger import Ledger
from db.records import Instruction, Output, Pair

FARM = Path(sys.executable).parent / "farm"
RUN = """
import json, resource, sys, time
from db.ledger import Ledger
from farm.annotate import Provider, Task, annotate
path, url, name, *rest = sys.argv[1:]
provider = Provider(base_url=url, concurrency=int(rest[0])) if rest else Provider(base_url=url)
with Ledger.open(path) as ledger:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    report = annotate(ledger, name, Task(), lambda *_: None, provider)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
assert set(report.statuses) == {"ok"}, report
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
read = report.statuses["ok"]
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"read": read, "seconds": seconds, "cpu_seconds": cpu, "peak_mib": int(peak) / 1024}))
"""
"""Judges all pairs of a ledger: LEDGER URL ANNOTATOR [CONCURRENCY]."""


@contextmanager
def simulator(latency: float) -> Iterator[str]:
    """The base URL of a provider with this latency in seconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(f"latency: {latency}\njudge: {{utility: length}}\n")
        config.flush()
        command = [FARM, "serve-simulator", "--port", "0", "--config", config.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait()


def make_ledger(path: Path, pairs: int) -> None:
    """Pairs of about 3 kB of text."""
    with Ledger.open(path, create=True) as ledger:
        for start in range(0, pairs, 5_000):
            made = []
            for i in range(start, min(start + 5_000, pairs)):
                ask = Instruction(f"Explain number {i} in a few sentences, please.")
                texts = (f"Number {i}. " + "It is a number. " * 80, f"{i}! " + "Numbers are fine. " * 70)
                made.append(Pair.of(*(Output(ask, text, f"m{k}") for k, text in enumerate(texts)))[0])
            with ledger.writing() as writer:
                writer.pairs(made)


def measure(latency: float, pairs: int, concurrency: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, simulator(latency) as url:
        path = Path(folder, "farm.db")
        make_ledger(path, pairs)
        command = [sys.executable, "-c", RUN, str(path), url, "plain", str(concurrency)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(out)
    result = {
        "latency": latency,
        "concurrency": concurrency,
        "pairs": pairs,
        "per_second": pairs / found["seconds"],
        "cpu_ms": 1000 * found["cpu_seconds"] / pairs,
        "peak_mib": found["peak_mib"],
    }
    return result | ({"share_of_ideal": result["per_second"] * latency / concurrency} if latency else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--large", type=int, default=20_000, help="pairs of the larger memory run")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = []
    for latency, pairs, concurrency in (
        (0.0, 4_000, 50),
        (0.05, 4_000, 100),
        (1.0, 6_000, 200),
        (0.0, 1_000, 50),
        (0.0, options.large, 50),
    ):
        runs.append(measure(latency, pairs, concurrency))
        print(json.dumps(runs[-1]), flush=True)
        time.sleep(1)
    result = {
        "command": "python " + " ".join(sys.argv),
        "runs": runs,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
