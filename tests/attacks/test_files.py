"""Files that are larger than they seem, or other than they say: one line, bounded memory."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.ledger import Ledger
from tests.support.attacks import attacked, ledger_of, refusal

MEGABYTES = 300 if os.environ.get("FARM_FULL") else 30


def parts(shape: str) -> Iterator[bytes]:
    """A text of MEGABYTES that begins as a file of rows."""
    block = {"array": b"{},\n", "line": b"{},", "blank": b"\n\n\n\n", "string": b"abcd", "zeros": b"\0\0\0\0"}
    start = {"array": b"[\n", "line": b"[", "blank": b"{\n", "string": b'["', "zeros": b""}
    yield start[shape]
    for _ in range(MEGABYTES):
        yield block[shape] * (2**20 // len(block[shape]))


@pytest.mark.parametrize(
    "shape",
    ["array", *(pytest.param(each, marks=pytest.mark.slow) for each in ("line", "blank", "string", "zeros"))],
)
def test_a_packed_file_is_unpacked_in_bounded_memory(shape: str, tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    before = counts(ledger)
    with gzip.open(tmp_path / "evil.json.gz", "wb", compresslevel=1) as packed:
        for part in parts(shape):
            packed.write(part)
    done = attacked(ledger, "import", "trl", tmp_path / "evil.json.gz", "--source", "evil", timeout=500)
    refusal(done)
    assert counts(ledger) == before


def counts(ledger: Path) -> dict[str, int]:
    with Ledger.open(ledger) as opened:
        return opened.counts()


def test_a_number_that_is_too_large_is_one_line(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    row = {"instruction": "a", "output_1": "b", "output_2": "c", "preference": 1, "annotator": "ada"}
    text = json.dumps(row | {"meta": {"n": 1}}).replace('{"n": 1}', '{"n": 1e999}')
    (tmp_path / "x.jsonl").write_text(text)
    said = refusal(attacked(ledger, "import", "preferences", tmp_path / "x.jsonl", "--source", "x"))
    assert "x.jsonl:1: this is not JSON: 1e999 is too large for a number" in said


def test_parquet_that_is_not_utf8_is_one_line(tmp_path: Path) -> None:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    texts = arrow.array([b"\xff\xfe"]).cast(arrow.binary())
    column = arrow.Array.from_buffers(arrow.utf8(), 1, texts.buffers())
    table = arrow.table({"prompt": column, "chosen": ["a"], "rejected": ["b"]})
    parquet.write_table(table, tmp_path / "x.parquet")
    said = refusal(attacked(ledger_of(tmp_path), "import", "trl", tmp_path / "x.parquet", "--source", "x"))
    assert "a text is not UTF-8" in said


@pytest.mark.slow
def test_output_without_room_is_one_line(tmp_path: Path) -> None:
    for command in (["status"], ["status", "--json"]):
        done = attacked(ledger_of(tmp_path), *command, stdout=Path("/dev/full"))
        assert (done.code, done.error.count("\n")) == (1, 1), done.error
        assert "standard output: there is no room to write" in done.error


@pytest.mark.slow
def test_replicates_beyond_measure_are_refused(tmp_path: Path) -> None:
    command = ["annotate", "longest", "--replicates", 100_000_000]
    done = attacked(ledger_of(tmp_path), *command, timeout=60)
    assert done.code != 0
    assert "10000" in done.error.replace(",", "")
