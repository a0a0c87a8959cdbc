"""`farm audit` as typed: slices, filters, CSV."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import farm, told


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


RATED = {"ann": (True, True, False, False, True), "bob": (True, False, False, True, True)}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of ratings alone: two people on five answers to three questions, one rated by ann alone."""
    folder = tmp_path_factory.mktemp("rated")
    rows = [
        {"prompt": f"Question {n % 3}?", "completion": f"Answer {n}", "label": label, "annotator": who}
        for who, labels in RATED.items()
        for n, label in enumerate(labels)
        if (who, n) != ("bob", 4)
    ]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told(
        folder / "x.db", "import", "trl-unpaired", folder / "x.jsonl", "--source", "votes", "--kind", "human"
    )
    return folder / "x.db"


def test_ratings_have_counts_means_and_agreement(rated: Path, tmp_path: Path) -> None:
    """Of 4 shared answers 2 differ: D_o = 4/8. Of their 8 ratings 4 are good: D_e = 2 4 4 / (8 7) = 4/7."""
    found = told(rated, "audit", "--csv", tmp_path / "x.csv")["ratings"]
    assert (found["n"], found["outputs"], found["shared"]) == (9, 5, 4)
    assert found["alpha"]["value"] == pytest.approx(1 - 0.5 / (4 / 7))
    assert (found["difference"]["value"], found["difference"]["n"]) == (0.5, 4)
    means = {each["annotator"]: each["mean"] for each in found["raters"]}
    assert (means["ann"]["value"], means["bob"]["value"]) == (pytest.approx(0.6), 0.5)
    assert means["ann"]["low"] < 0.6 < means["ann"]["high"]
    with (tmp_path / "x.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "ratings"]
    assert [(row["annotator"], row["n"]) for row in rows] == [("", "9"), ("ann", "5"), ("bob", "4")]
    assert float(rows[2]["rating_mean"]) == 0.5


def test_ratings_are_chosen_as_judgements_are(rated: Path, ledger: Path) -> None:
    assert told(ledger, "audit")["ratings"] is None
    one = told(rated, "audit", "--annotator", "ann")["ratings"]
    assert (one["n"], one["shared"], one["alpha"]["value"]) == (5, 0, None)
    shown = farm(rated, "audit")
    assert "Ratings: 9 of 5 outputs" in shown.out
    assert "Reference" not in shown.out
    assert farm(rated, "audit", "--source", "other").code == 1
    assert "no annotator 'cleo'" in farm(rated, "audit", "--annotator", "cleo").error


def test_csv_defuses_formulas(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0]) | {"annotator": "=cmd|' /C calc'!A1"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told(tmp_path / "x.db", "import", "preferences", tmp_path / "x.jsonl")
    told(tmp_path / "x.db", "audit", "--csv", tmp_path / "x.csv")
    header, _, line = (tmp_path / "x.csv").read_text().splitlines()[:3]
    assert header.startswith("source,subset,tries,annotator,kind,n,")
    assert "'=cmd" in line
