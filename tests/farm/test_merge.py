"""`farm merge`: the facts of another ledger, none twice."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import farm, refused, told


def test_everything_comes_over_once(sums_ledger: Path, tmp_path: Path) -> None:
    told(sums_ledger, "backup", tmp_path / "copy.db")
    added = told(tmp_path / "new.db", "merge", tmp_path / "copy.db")["added"]
    assert added == told(sums_ledger, "status")["counts"]
    assert not any(told(tmp_path / "new.db", "merge", sums_ledger)["added"].values())


def test_a_contradiction_stops_the_merger_or_is_told(sums: Path, tmp_path: Path) -> None:
    """Two ledgers of the same three judgements, of which one differs."""
    rows = [json.loads(line) for line in sums.read_text().splitlines()[:3]]
    other = [*rows[:2], rows[2] | {"preference": 3 - rows[2]["preference"]}]
    for name, judged in (("ours", rows), ("theirs", other)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, judged)))
        told(tmp_path / f"{name}.db", "import", "preferences", tmp_path / f"{name}.jsonl")
    ours, theirs = tmp_path / "ours.db", tmp_path / "theirs.db"
    before = told(ours, "status")["counts"]
    assert "merge with --keep-ours" in refused(ours, "merge", theirs)
    assert told(ours, "status")["counts"] == before
    report = told(ours, "merge", theirs, "--keep-ours")
    assert len(report["conflicts"]) == 1
    assert report["added"]["annotation"] == report["added"]["pair"] == 0
    assert "1 judgement differed; this ledger's were kept." in farm(ours, "merge", theirs, "--keep-ours").out


def test_what_is_no_ledger_is_not_merged(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no ledger" * 1000)
    for other in ("none.db", "text.db"):
        assert other in refused(tmp_path / "new.db", "merge", tmp_path / other)
