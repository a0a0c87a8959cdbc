"""How long a panel takes whose members have judged already: it reads their judgements and writes its own.

    python benchmarks/panel.py [--pairs 100000] [--members 5] [--url URL] [--json FILE]

The members are language models, and their judgements are written as an earlier run of `farm annotate` would
have left them. The panel is then started as a user does, with a server that nothing listens at. The time
contains the start of the program. --url: an empty PostgreSQL database in place of an SQLite file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from annotators import catalogue
from annotators.composite import Composite
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Annotation, Instruction, Output, Pair

NOBODY = "http://127.0.0.1:9/v1"
BATCH = 5_000


def pair_of(number: int) -> Pair:
    """A pair of two answers to an instruction of its own."""
    instruction = Instruction(f"Instruction {number}: say something of about this length, please.")
    outputs = (Output(instruction, f"Answer {number}, of model {k}.", f"model-{k}") for k in range(2))
    return Pair.of(*outputs)[0]


def panel_file(path: Path, members: int) -> str:
    """A panel of so many models that vote by their majority."""
    lines = [f"- {{annotator: plain, name: judge-{k}, model: model-{k}}}" for k in range(members)]
    path.write_text("\n".join(["kind: panel", "name: panel", "members:", *lines, ""]))
    return str(path)


def prepare(url: str, file: str, pairs: int) -> None:
    """A ledger whose pairs all members of the panel have judged; each is right in four of five."""
    panel = catalogue.load(file)
    assert isinstance(panel, Composite)
    with Ledger.open(url, create=True) as ledger:
        with ledger.writing() as writer:
            ids = writer.annotators([member.card for member in panel.members])
        for start in range(0, pairs, BATCH):
            with ledger.writing() as writer:
                written = writer.pairs([pair_of(i) for i in range(start, min(start + BATCH, pairs))])
                said = [
                    Annotation(pair, who, vote, vote, swapped=False)
                    for pair in written
                    for who in ids
                    for vote in [float((pair % 2 == 0) == (keyed_uniform("right", pair, who) < 0.8))]
                ]
                writer.annotations(said)


def main() -> None:
    """Prepare the ledger, let the panel judge, and print and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=5)
    parser.add_argument("--url")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or str(Path(folder, "farm.db"))
        file = panel_file(Path(folder, "panel.yaml"), options.members)
        prepare(url, file, options.pairs)
        farm = str(Path(sys.executable).parent / "farm")
        command = [farm, "--ledger", url, "annotate", file, "--base-url", NOBODY, "--json"]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    assert (report["requests"], report["statuses"]) == (0, {"ok": options.pairs})
    result = {
        "command": "python " + " ".join(sys.argv),
        "pairs": options.pairs,
        "members": options.members,
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_mib": after.ru_maxrss / 2**10,
        "environment": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "load": os.getloadavg()[0],  # above the number of cores the wall clock also measures others
        },
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
