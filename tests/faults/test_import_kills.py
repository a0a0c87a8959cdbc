"""An import that is killed and started again makes, row for row, the ledger of an undisturbed one."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from db.interchange.preferences import instruction_id
from db.ledger import Ledger
from tests.support.command_line import farm_arguments

KILLS = 100


def preferences(path: Path, pairs: int) -> Path:
    """Two people's judgements of `pairs` pairs, with replies and unreadable ones among them."""
    with path.open("w") as file:
        for i in range(pairs):
            for person in ("ada", "ben"):
                row = {
                    "source": "kills", "subset": None, "item_id": f"k{i}",
                    "instruction_id": instruction_id(f"Question {i // 3}?", ""),
                    "instruction": f"Question {i // 3}?", "input": "",
                    "output_1": f"answer {i} " + "so " * (i % 50), "output_2": f"other {i}",
                    "output_1_model": "m", "output_2_model": None,
                    "annotator": person, "annotator_kind": "human", "preference": [1, 2, 0, None][i % 4],
                    "preference_raw": None, "order_swapped": [True, False, None][i % 3],
                    "raw_completion": f"reply {i}", "scores": None, "meta": {"n": i},
                }  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return path


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of the ledger."""
    connection = sqlite3.connect(path)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in names]
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in tables}
    finally:
        connection.close()


def command(ledger: Path, file: Path) -> list[str]:
    return farm_arguments(ledger, "import", "preferences", file, "--json")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_imports_end_as_undisturbed_ones(tmp_path: Path) -> None:
    file = preferences(tmp_path / "rows.jsonl", 6_000)
    start = time.monotonic()
    subprocess.run(command(tmp_path / "calm.db", file), check=True, capture_output=True)
    whole = time.monotonic() - start
    calm = rows(tmp_path / "calm.db")
    assert len(calm["annotation"]) == 12_000
    moments = random.Random(7)
    disturbed, unfinished = 0, 0
    ledger = tmp_path / "stormy.db"
    for kill in range(KILLS):
        process = subprocess.Popen(command(ledger, file), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(moments.uniform(0.3, 0.95) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        disturbed += process.returncode == -signal.SIGKILL
        if ledger.exists():
            with Ledger.open(ledger, create=True) as opened:
                opened.check()
                unfinished += 0 < opened.counts()["annotation"] < 12_000
        if kill % 3 == 2 or kill == KILLS - 1:
            subprocess.run(command(ledger, file), check=True, capture_output=True)
            assert rows(ledger) == calm
            for leftover in tmp_path.glob("stormy.db*"):
                leftover.unlink()
    assert disturbed >= KILLS / 5, "too few imports were killed to prove anything"
    assert unfinished, "no kill fell into the writing"
