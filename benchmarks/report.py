"""Measures how long `farm report` takes for 100,000 annotations, and how large the page is.

python benchmarks/report.py --json benchmarks/results/report.json
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.ledger import prepare, records, through_ledger


def main() -> None:
    """Make a ledger of the size that the options name, time the report, and print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, page = Path(folder, "farm.db"), Path(folder, "report.html")
        prepare(path, options.pairs, options.annotators)
        through_ledger(path, list(records(options.pairs, options.annotators)))
        start = time.perf_counter()
        command = [sys.executable, "-m", "cli", "--ledger", str(path), "report", str(page)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        size = page.stat().st_size
    result = {
        "command": "python benchmarks/report.py --json benchmarks/results/report.json",
        "annotations": options.pairs * options.annotators,
        "seconds": seconds,
        "bytes": size,
        "environment": {"python": platform.python_version(), "machine": platform.machine()},
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
