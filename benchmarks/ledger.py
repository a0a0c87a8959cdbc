"""Compares how fast the ledger writes judgements with sqlite3's executemany, and measures what reads many.

PAIRS x ANNOTATORS annotations are written in two ways: (a) as ready tuples by sqlite3's own executemany, and
(b) as records through `Ledger`. Tables, indexes and durability are the same (WAL, synchronous=FULL, one
transaction), and the ways take turns.

    python benchmarks/ledger.py --pairs 100000 --annotators 10 --json benchmarks/results/ledger.json

With --rows, ledgers of so many judgements are made instead, and the commands that read all of them are run as
a user does. The leaderboard is that of one annotator, and then that of all people, who are half of them. A
ledger that stands in --folder already is read again, and not made anew.

    python benchmarks/ledger.py --rows 10000000 --folder FOLDER --json benchmarks/results/ledger.json

--only measures some of the commands again. What the file has of the others stays.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair

COLUMNS = (
    "id, pair_id, annotator_id, item_id, replicate, swapped, attempt, preference, label, status, reason, "
    "completion_id, slot"
)
BATCH = 200_000  # judgements of one transaction
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


def fill(path: Path, rows: int, annotators: int) -> None:
    """Make a ledger of so many judgements, a batch at a time. Under its name it is whole."""
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    prepare(unfinished, rows // annotators, annotators)
    facts = records(rows // annotators, annotators)
    with Ledger.open(unfinished) as ledger:
        while batch := list(islice(facts, BATCH)):
            with ledger.writing() as writer:
                writer.annotations(batch)
    unfinished.rename(path)


def commands(folder: Path) -> dict[str, list[str]]:
    """The arguments of each command that reads all judgements, by its name."""
    board = ["leaderboard", "--reference", "model-0", "--json", "--annotator"]
    return {
        "audit": ["audit", "--json"],
        "report": ["report", str(folder / "report.html"), "--json"],
        "leaderboard": [*board, "annotator-1"],
        "leaderboard of people": [*board, "human"],
        "export": ["export", "preferences", str(folder / "judgements.jsonl"), "--json"],
    }


def measured(path: Path, arguments: Sequence[str]) -> dict[str, float]:
    """Seconds, seconds of the processor, and peak memory of a command, started as a user does."""
    command = [str(Path(sys.executable).parent / "farm"), "--ledger", str(path), *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"farm {arguments[0]} failed")
    return {
        "seconds": time.perf_counter() - start,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "peak_gib": used.ru_maxrss / 2**20,
    }


def scale(
    sizes: Sequence[int], annotators: int, kept: Path | None, only: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Measure commands on a ledger of each size. kept: the folder of ledgers; None: they are not kept."""
    for rows in sizes:
        with tempfile.TemporaryDirectory() as made:
            path = Path(kept or made, f"{rows}.db")
            if not path.exists():
                fill(path, rows, annotators)
            for name, arguments in commands(Path(made)).items():
                if name not in only:
                    continue
                found: dict[str, Any] = {"rows": rows, "command": name, **measured(path, arguments)}
                yield found
                print("{rows:10,} {command:21} {seconds:6.0f} s".format(**found), end=" ")
                print("{processor_seconds:6.0f} s {peak_gib:5.2f} GiB".format(**found), flush=True)


def write_in_turns(pairs: int, annotators: int, rounds: int) -> dict[str, float]:
    """Rows a second of each way: the median of the rounds."""
    facts = list(records(pairs, annotators))
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
        prepare(empty, pairs, annotators)
        for round_number in range(rounds):
            for name in times:
                path = Path(folder, f"{name}.db")
                path.write_bytes(empty.read_bytes())
                seconds = bare(path, rows) if name == "bare" else through_ledger(path, facts)
                times[name].append(seconds)
                print(f"round {round_number + 1}: {name:6} {len(rows) / seconds:10,.0f} rows/s", flush=True)
    return {name: len(rows) / statistics.median(times[name]) for name in times}


def with_others(table: Sequence[Mapping[str, Any]], path: Path | None) -> list[Mapping[str, Any]]:
    """The table, after those rows of the file's that it does not have."""
    told = {(each["rows"], each["command"]) for each in table}
    before = json.loads(path.read_text()) if path and path.exists() else {}
    held = before.get("reading", {}).get("table", [])
    return [*(each for each in held if (each["rows"], each["command"]) not in told), *table]


def noted(part: str, found: Mapping[str, object], path: Path | None) -> None:
    """Print a part of the results, and put it in the place of its name in the file."""
    environment = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
    result = {part: {"command": "python " + " ".join(sys.argv), **found, "environment": environment}}
    print(json.dumps(result, indent=1))
    if path:
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(before | result, indent=1) + "\n")


def main() -> None:
    """Write in both ways in turn, or measure the commands; print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=commands(Path()), default=list(commands(Path())))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.rows:
        table = list(scale(options.rows, options.annotators, options.folder, options.only))
        noted("reading", {"table": with_others(table, options.json)}, options.json)
        return
    rate = write_in_turns(options.pairs, options.annotators, options.rounds)
    noted("writing", {"rows_per_second": rate, "ratio": rate["ledger"] / rate["bare"]}, options.json)


if __name__ == "__main__":
    main()
