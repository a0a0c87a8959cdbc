"""`farm backup`: a checked copy, under a name that is free."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import farm, refused, told


def test_the_copy_tells_what_the_ledger_tells(sums_ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "copy.db"
    report = told(sums_ledger, "backup", copy)
    assert report == {"path": str(copy), "bytes": copy.stat().st_size}
    assert told(copy, "status") | {"ledger": ""} == told(sums_ledger, "status") | {"ledger": ""}
    assert told(copy, "audit", "--draws", 0) == told(sums_ledger, "audit", "--draws", 0)
    assert [each.name for each in copy.parent.iterdir()] == ["copy.db"]


def test_a_person_hears_that_it_was_checked(sums_ledger: Path, tmp_path: Path) -> None:
    shown = farm(sums_ledger, "backup", tmp_path / "copy.db").out
    assert shown == f"{(tmp_path / 'copy.db').stat().st_size:,} bytes in {tmp_path / 'copy.db'}, checked\n"


def test_nothing_is_overwritten_and_no_ledger_is_made(sums_ledger: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.db").write_text("mine")
    assert "there is a file of this name" in refused(sums_ledger, "backup", tmp_path / "taken.db")
    assert (tmp_path / "taken.db").read_text() == "mine"
    assert "there is no ledger here" in refused(tmp_path / "no.db", "backup", tmp_path / "copy.db")
    assert [each.name for each in tmp_path.iterdir()] == ["taken.db"]
