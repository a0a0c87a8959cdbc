"""Measures how fast pairs are judged: rendering, claims, requests, completions, parsing, judgements.

The provider is the simulator in a process of its own. For each latency the result has the annotations per
second and their share of the ideal (concurrency / latency). At no latency it has the share of a bare loop
over the openai SDK.

    python benchmarks/annotate.py --json benchmarks/results/annotate.json
    python benchmarks/annotate.py --memory --json benchmarks/results/annotate_memory.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.clients import measure as measure_client
from db.ledger import Ledger
from db.records import Instruction, Output, Pair

FARM = Path(sys.executable).parent / "farm"
ONCE = Path(__file__).with_name("annotate_once.py")


@contextmanager
def simulator(latency: float) -> Iterator[str]:
    """Start a simulated provider and give its base URL. latency: seconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as config:
        config.write(f"latency: {latency}\njudge: {{utility: length}}\n")
        config.flush()
        command = [str(FARM), "serve-simulator", "--port", "0", "--config", config.name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.wait()


def make_ledger(path: Path, pairs: int) -> None:
    """Make a ledger with so many pairs of about 3 kB of text."""
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
    """Judge so many pairs in a process of its own; returns the figures of the run."""
    with tempfile.TemporaryDirectory() as folder, simulator(latency) as url:
        path = Path(folder, "farm.db")
        make_ledger(path, pairs)
        command = [sys.executable, str(ONCE), str(path), url, "plain", str(concurrency)]
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


def measure_bare(pairs: int, concurrency: int) -> dict[str, float]:
    """Requests per second of bare loops over one shared SDK client, at no latency."""
    with simulator(0.0) as url:
        return {
            name: measure_client(name, url, 0.0, pairs, concurrency).per_second
            for name in ("bare AsyncOpenAI", "bare OpenAI, threads")
        }


def main() -> None:
    """Measure speed, or memory with --memory, and print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--memory", action="store_true", help="peak memory at 1,000 and 100,000 pairs alone")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    asked = [(0.0, 4_000, 50), (0.05, 4_000, 100), (1.0, 20_000, 200)]
    result: dict[str, Any] = {"command": f"python benchmarks/annotate.py{' --memory' * options.memory}"}
    if options.memory:
        asked = [(0.0, 1_000, 100), (0.0, 100_000, 100)]
    else:
        result["bare_loops"] = measure_bare(4_000, 50)
    result["runs"] = []
    for latency, pairs, concurrency in asked:
        result["runs"].append(measure(latency, pairs, concurrency))
        print(json.dumps(result["runs"][-1]), flush=True)
    if options.memory:
        small, large = (run["peak_mib"] for run in result["runs"])
        result["growth"] = large / small - 1
    else:
        result["share_of_bare"] = result["runs"][0]["per_second"] / max(result["bare_loops"].values())
    result |= {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    print(json.dumps({key: value for key, value in result.items() if key != "runs"}))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
