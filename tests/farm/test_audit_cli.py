"""`farm audit` as typed: slices, filters, CSV."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import told


@pytest.fixture(scope="module")
def ledger(sums_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the 1,200 judgements, for this file to write to."""
    return Path(shutil.copy(sums_ledger, tmp_path_factory.mktemp("ledger")))


def test_annotate_and_audit(ledger: Path) -> None:
    for name in ("longest", "shortest", "first", "random", "list-lover"):
        report = told(ledger, "annotate", name)
        assert (report["pairs"], report["new"] + report["already"]) == (240, 240)
        assert told(ledger, "annotate", name)["new"] == 0
    found = {each["annotator"]: each for each in told(ledger, "audit")["annotators"]}
    assert found["longest"]["agreement"]["value"] + found["shortest"]["agreement"]["value"] == pytest.approx(
        1
    )
    assert found["first"]["position_bias"] == 1.0
    assert found["longest"]["beats_longest"] == "not decided"  # it is itself
    low, value, high = (found["ada"]["agreement"][name] for name in ("low", "value", "high"))
    assert low < value < high


def test_both_orders_and_replicates(ledger: Path) -> None:
    report = told(ledger, "annotate", "random", "--orders", "both", "--replicates", 2, "--limit", 50)
    assert report["new"] == 200
    found = {each["annotator"]: each for each in told(ledger, "audit", "--draws", 0)["annotators"]}
    both = next(
        each for name, each in found.items() if name.startswith("random") and each["order_consistency"]
    )
    assert both["variance"] is not None


def test_audit_slices_and_filters(ledger: Path) -> None:
    report = told(ledger, "audit", "--by", "subset", "--annotator", "ada", "--draws", 0)
    assert [each["subset"] for each in report["slices"]] == ["even", "odd"]
    assert [each["annotator"] for each in report["annotators"]] == ["ada"]
    assert sum(each["reference"]["units"] for each in report["slices"]) == report["reference"]["units"] == 240
    one = told(ledger, "audit", "--source", "sums", "--subset", "odd", "--draws", 0)
    assert one["reference"]["units"] == 120
    judge = told(ledger, "audit", "--reference", "strict-judge", "--draws", 0)
    assert judge["reference"]["name"] == "strict-judge"


def test_csv_defuses_formulas(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0]) | {"annotator": "=cmd|' /C calc'!A1"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told(tmp_path / "x.db", "import", "preferences", tmp_path / "x.jsonl")
    told(tmp_path / "x.db", "audit", "--csv", tmp_path / "x.csv")
    header, _, line = (tmp_path / "x.csv").read_text().splitlines()[:3]
    assert header.startswith("source,subset,tries,annotator,kind,n,")
    assert "'=cmd" in line
