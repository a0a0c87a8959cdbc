"""The command line as a user meets it: one JSON object, one clear line for an error, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from annotators.simulator import Simulator, SimulatorConfig
from tests.support.command_line import FARM

ROOT = Path(__file__).parent.parent


def farm(*arguments: object, ledger: Path) -> subprocess.CompletedProcess[str]:
    command = [str(FARM), "--ledger", str(ledger), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def told(*arguments: object, ledger: Path) -> Any:
    """The JSON object that a command prints, and nothing else."""
    result = farm(*arguments, "--json", ledger=ledger)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 1,200 judgements."""
    path = tmp_path_factory.mktemp("sums") / "preferences.jsonl"
    subprocess.run([sys.executable, ROOT / "examples" / "make_preferences.py", path], check=True)
    return path


@pytest.fixture(scope="module")
def ledger(sums: Path) -> Path:
    path = sums.parent / "farm.db"
    told("import", "preferences", sums, ledger=path)
    return path


def test_import_reports_and_is_idempotent(sums: Path, tmp_path: Path) -> None:
    first = told("import", "preferences", sums, ledger=tmp_path / "x.db")
    again = told("import", "preferences", sums, sums, ledger=tmp_path / "x.db")
    assert (first["read"], first["kept"], first["known"], first["refused"]) == (1200, 1200, 0, 0)
    assert (again["read"], again["kept"], again["known"]) == (2400, 0, 2400)


def test_a_contradicting_row_is_refused_and_the_ledger_stays(
    sums: Path, ledger: Path, tmp_path: Path
) -> None:
    row = json.loads(sums.read_text().splitlines()[0])
    (tmp_path / "x.jsonl").write_text(json.dumps(row | {"preference": 3 - row["preference"]}))
    before = told("audit", "--draws", 0, ledger=ledger)
    report = told("import", "preferences", tmp_path / "x.jsonl", ledger=ledger)
    assert report["refused"] == 1
    assert "in the ledger already with preference" in report["files"][0]["refusals"][0]["reason"]
    assert told("audit", "--draws", 0, ledger=ledger) == before


def test_a_wrong_file_among_right_ones_leaves_the_ledger_as_it_was(sums: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_text(sums.read_text()[:-40])
    result = farm("import", "preferences", sums, torn, ledger=tmp_path / "x.db")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "torn.jsonl:1200: this is not JSON" in result.stderr
    assert not any(told("status", ledger=tmp_path / "x.db")["counts"].values())


def test_annotate_and_audit(ledger: Path) -> None:
    for name in ("longest", "shortest", "first", "random", "list-lover"):
        report = told("annotate", name, ledger=ledger)
        assert (report["pairs"], report["new"] + report["already"]) == (240, 240)
        assert told("annotate", name, ledger=ledger)["new"] == 0
    found = {each["annotator"]: each for each in told("audit", ledger=ledger)["annotators"]}
    assert found["longest"]["agreement"]["value"] + found["shortest"]["agreement"]["value"] == pytest.approx(
        1
    )
    assert found["first"]["position_bias"] == 1.0
    assert found["longest"]["beats_longest"] is False
    low, value, high = (found["ada"]["agreement"][name] for name in ("low", "value", "high"))
    assert low < value < high


def test_both_orders_and_replicates(ledger: Path) -> None:
    report = told("annotate", "random", "--orders", "both", "--replicates", 2, "--limit", 50, ledger=ledger)
    assert report["new"] == 200
    found = {each["annotator"]: each for each in told("audit", "--draws", 0, ledger=ledger)["annotators"]}
    both = next(
        each for name, each in found.items() if name.startswith("random") and each["order_consistency"]
    )
    assert both["variance"] is not None


def test_audit_slices_and_filters(ledger: Path) -> None:
    report = told("audit", "--by", "subset", "--annotator", "ada", "--draws", 0, ledger=ledger)
    assert [each["subset"] for each in report["slices"]] == ["even", "odd"]
    assert [each["annotator"] for each in report["annotators"]] == ["ada"]
    assert sum(each["reference"]["units"] for each in report["slices"]) == report["reference"]["units"] == 240
    one = told("audit", "--source", "sums", "--subset", "odd", "--draws", 0, ledger=ledger)
    assert one["reference"]["units"] == 120
    judge = told("audit", "--reference", "strict-judge", "--draws", 0, ledger=ledger)
    assert judge["reference"]["name"] == "strict-judge"


def test_csv_defuses_formulas(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0]) | {"annotator": "=cmd|' /C calc'!A1"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told("import", "preferences", tmp_path / "x.jsonl", ledger=tmp_path / "x.db")
    told("audit", "--csv", tmp_path / "x.csv", ledger=tmp_path / "x.db")
    header, line = (tmp_path / "x.csv").read_text().splitlines()[:2]
    assert header.startswith("source,subset,tries,annotator,kind,n,")
    assert "'=cmd" in line


def test_markup_and_control_characters_of_names_are_shown_plain(sums: Path, tmp_path: Path) -> None:
    row = json.loads(sums.read_text().splitlines()[0]) | {"annotator": "[red]\x1b[31mada\x07"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))
    told("import", "preferences", tmp_path / "x.jsonl", ledger=tmp_path / "x.db")
    shown = farm("audit", ledger=tmp_path / "x.db").stdout
    assert "[red]\\x1b[31mada\\x07" in shown
    assert "\x1b" not in shown


def test_export_round_trips_and_appears_whole_or_not_at_all(ledger: Path, tmp_path: Path) -> None:
    assert told("export", "preferences", tmp_path / "x.parquet", ledger=ledger)["rows"] >= 1200
    assert (
        told("import", "preferences", tmp_path / "x.parquet", "--source", "x", ledger=tmp_path / "y.db")[
            "refused"
        ]
        == 0
    )
    again = farm("export", "preferences", tmp_path / "x.parquet", ledger=ledger)
    assert again.returncode == 1
    assert "file of this name" in again.stderr
    assert farm("export", "trl", tmp_path / "x.csv", ledger=ledger).returncode == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.parquet", "x.parquet.card.md", "y.db"]


def test_backup_and_merge(ledger: Path, tmp_path: Path) -> None:
    told("backup", tmp_path / "copy.db", ledger=ledger)
    added = told("merge", tmp_path / "copy.db", ledger=tmp_path / "new.db")["added"]
    assert added == told("status", ledger=ledger)["counts"]
    assert not any(told("merge", ledger, ledger=tmp_path / "new.db")["added"].values())


def test_doctor(ledger: Path, tmp_path: Path) -> None:
    findings = {each["name"]: each for each in told("doctor", ledger=ledger)["findings"]}
    assert findings["ledger"]["level"] == "ok"
    assert {"python", "sqlite", "disk", "schema", "torch", "gpu"} <= set(findings)
    (tmp_path / "bad.db").write_bytes(b"no ledger" * 1000)
    broken = farm("doctor", "--json", ledger=tmp_path / "bad.db")
    assert broken.returncode == 1
    assert not json.loads(broken.stdout)["healthy"]


def test_doctor_asks_a_server(ledger: Path) -> None:
    def endpoint(url: str) -> tuple[str, str, str]:
        told = json.loads(farm("doctor", "--json", "--base-url", url, ledger=ledger).stdout)
        [found] = [each for each in told["findings"] if each["name"] == "endpoint"]
        assert told["healthy"] == (found["level"] != "fault")
        return found["level"], found["found"], found["remedy"]

    with Simulator(SimulatorConfig()) as simulator:
        level, found, _ = endpoint(simulator.base_url)
        assert (level, "answers 200; models: " in found) == ("ok", True)
        gone = simulator.base_url
    level, found, remedy = endpoint(gone)
    assert (level, remedy) == ("fault", "is the server up, and at this address?")
    assert endpoint("file:///x")[0] == "fault"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "nonsuch", "x"], "there is no format 'nonsuch' (one of "),
        (["import", "trl", "none.jsonl"], "none.jsonl: there is no such file"),
        (["import", "trl", "x", "--kind", "dog"], "--kind is 'dog'"),
        (["annotate", "longst"], "no annotator 'longst'"),
        (["annotate", "longest", "--orders", "odd"], "--orders is 'odd' (one of random, both, stored)"),
        (["annotate", "oracle", "--utility", "nowhere:nothing"], "nowhere:nothing cannot be loaded"),
        (["audit", "--source", "nowhere"], "no judgement fits"),
        (["audit", "--annotator", "nobody"], "no annotator 'nobody' judged here"),
        (["audit", "--reference", "gold"], "nobody of kind gold judged here"),
        (["audit", "--nulls", "maybe"], "--nulls is 'maybe' (wrong or drop)"),
        (["status", "--contamination"], "--eval: no instructions to compare"),
        (["status", "--contamination", "--threshold", "2"], "--threshold is 2.0"),
        (["export", "pandalm", "x.json"], "pandalm is read and not written"),
    ],
)
def test_errors_are_one_line_with_a_remedy(ledger: Path, arguments: list[str], message: str) -> None:
    result = farm(*arguments, ledger=ledger)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("farm: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_wrong_usage_and_no_ledger(tmp_path: Path) -> None:
    assert farm("audit", "--nonsuch", ledger=tmp_path / "x.db").returncode == 2
    missing = farm("audit", ledger=tmp_path / "x.db")
    assert missing.returncode == 1
    assert "there is no ledger here (make one with `farm import`" in missing.stderr
    assert not (tmp_path / "x.db").exists()
    assert "Traceback" in farm("--debug", "audit", ledger=tmp_path / "x.db").stderr


def test_the_version_is_the_declared_one(tmp_path: Path) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shown = farm("--version", ledger=tmp_path / "x.db")
    assert (shown.returncode, shown.stdout) == (0, f"{declared}\n")


def test_contamination(tmp_path: Path, sums: Path) -> None:
    ledger = tmp_path / "x.db"
    told("import", "preferences", sums, ledger=ledger)
    asked = ["What is 3 plus 7?", "what is 3 PLUS 7", "Please, what is 4 plus 20, my dear?", "Name a colour."]
    (tmp_path / "test.txt").write_text("\n".join(asked))
    told("import", "instructions", tmp_path / "test.txt", "--use", "eval", ledger=ledger)
    found = told("status", "--contamination", "--threshold", 0.3, ledger=ledger)
    assert (found["n_exact"], found["n_near"]) == (2, 1)
    # "what is 4 plus 20" has 3 shingles of 3 words; the question around it 6: 3 / 6
    assert min(each["similarity"] for each in found["overlaps"]) == pytest.approx(3 / 6)
    assert found["overlaps"][0]["training_set"] == "sums"


def test_annotators_lists_the_catalogue_and_shows_one_whole(ledger: Path, tmp_path: Path) -> None:
    lines = {each["name"]: each for each in told("annotators", ledger=tmp_path / "none.db")}
    assert {"plain", "crowd", "longest"} <= lines.keys()
    assert lines["longest"]["price_per_1000"] == 0
    assert lines["plain"]["price_per_1000"] > 0
    shown = told("annotators", "plain", "--model", "home-made", ledger=ledger)
    assert shown["line"]["model"] == "home-made"
    assert shown["line"]["price_per_1000"] is None
    assert "What is 3 plus 7?" in shown["prompt"][-1][1]  # the ledger's first pair
    assert len(told("annotators", "crowd", ledger=ledger)["members"]) == 13
    assert "no annotator 'plian'" in farm("annotators", "plian", ledger=ledger).stderr
