"""Compares how fast the ledger writes judgements with a bare sqlite3 executemany of the same rows.

PAIRS x ANNOTATORS annotations are written in two ways: (a) as ready tuples by sqlite3's own executemany, and
(b) as records through `Ledger`. Tables, indexes and durability are the same (WAL, synchronous=FULL, one
transaction), and the ways take turns. Then `farm audit` is timed on the ledger that (b) wrote.

    python benchmarks/ledger.py --pairs 100000 --annotators 10 --json benchmarks/results/ledger.json
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair

COLUMNS = (
    "id, pair_id, annotator_id, item_id, replicate, swapped, attempt, preference, label, status, reason, "
    "completion_id, slot"
)
INSERT = f"INSERT INTO annotation ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"


def prepare(path: Path, pairs: int, annotators: int) -> None:
    """Make a ledger with pairs and annotators but no annotations. Half of the annotators are people."""
    with Ledger.open(path, create=True) as ledger:
        for start in range(0, pairs, 5_000):
            batch = [_pair(i) for i in range(start, min(start + 5_000, pairs))]
            with ledger.writing() as writer:
                writer.pairs(batch)
        kinds = (AnnotatorKind.HUMAN, AnnotatorKind.LLM)
        with ledger.writing() as writer:
            writer.annotators([AnnotatorCard(f"annotator-{k}", kinds[k % 2]) for k in range(annotators)])


def _pair(i: int) -> Pair:
    instruction = Instruction(f"Instruction {i}: say something of about this length, please.")
    texts = (f"First answer {i}" + " and more" * (i % 7), f"Second answer {i}" + " or so" * (i % 11))
    return Pair.of(*(Output(instruction, text, f"model-{k}") for k, text in enumerate(texts)))[0]


def records(pairs: int, annotators: int) -> Iterator[Annotation]:
    """Yield judgements in which every annotator agrees with a common truth in 80 % of the pairs."""
    for pair in range(1, pairs + 1):
        truth = keyed_uniform("truth", pair) < 0.5
        for annotator in range(1, annotators + 1):
            draw = (pair * 7919 + annotator * 104_729) % 1000 / 1000
            preference = float(truth if draw < 0.8 else not truth)
            yield Annotation(pair, annotator, preference, preference, swapped=bool(draw * 1000 % 2 < 1))


def bare(path: Path, rows: Sequence[tuple[object, ...]]) -> float:
    """Write the rows by sqlite3's executemany in one transaction; returns the seconds."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")
    start = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(INSERT, rows)
    connection.execute("COMMIT")
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


def through_ledger(path: Path, facts: list[Annotation]) -> float:
    """Write the same rows as records through `Ledger` in one transaction; returns the seconds."""
    with Ledger.open(path) as ledger:
        start = time.perf_counter()
        with ledger.writing() as writer:
            written = writer.annotations(facts)
        seconds = time.perf_counter() - start
    if written.added != len(facts):
        raise SystemExit(f"only {written.added} of {len(facts)} were new")
    return seconds


def audit(path: Path) -> dict[str, float]:
    """Seconds and peak memory of `farm audit`, started as a user does."""
    command = [str(Path(sys.executable).parent / "farm"), "--ledger", str(path), "audit", "--json"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"seconds": seconds, "peak_gib": peak / 2**20}


def main() -> None:
    """Write in both ways in turn, audit, and print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    facts = list(records(options.pairs, options.annotators))
    rows = [
        (
            i,
            a.pair_id,
            a.annotator_id,
            None,
            0,
            int(bool(a.swapped)),
            0,
            a.preference,
            a.label,
            "ok",
            None,
            None,
            None,
        )
        for i, a in enumerate(facts, 1)
    ]
    times: dict[str, list[float]] = {"bare": [], "ledger": []}
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty.db")
        prepare(empty, options.pairs, options.annotators)
        for round_number in range(options.rounds):
            for name in times:
                path = Path(folder, f"{name}.db")
                path.write_bytes(empty.read_bytes())
                seconds = bare(path, rows) if name == "bare" else through_ledger(path, facts)
                times[name].append(seconds)
                print(f"round {round_number + 1}: {name:6} {len(rows) / seconds:10,.0f} rows/s", flush=True)
        del facts, rows
        audited = audit(Path(folder, "ledger.db"))
    rate = {name: options.pairs * options.annotators / statistics.median(times[name]) for name in times}
    result = {
        "command": "python " + " ".join(sys.argv),
        "rows_per_second": rate,
        "ratio": rate["ledger"] / rate["bare"],
        "audit": audited,
        "environment": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "machine": platform.machine(),
        },
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
