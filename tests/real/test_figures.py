"""The published and recomputed figures of real preference data, through the ledger and the audit."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.queries.exports import RowFilter
from farm.audit import AuditOptions, audit_ledger
from farm.export import export_file
from farm.import_ import import_files
from tests.conftest import once

REAL = pytest.StashKey[Path]()


@pytest.fixture(scope="module")
def figures(request: pytest.FixtureRequest) -> Any:
    return json.loads((_folder() / "figures_shared.json").read_text())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """All real judgements. No test changes it."""
    files = sorted(_folder().glob("*.jsonl.gz"))

    def make(folder: Path) -> None:
        folder.mkdir()
        with Ledger.open(folder / "all.db", create=True) as made:
            report = import_files(made, "preferences", files, ReadOptions(), lambda *_: None)
        assert report.total("refused") == 0
        assert report.total("kept") == report.total("read")

    with Ledger.open(once(tmp_path_factory, "real", make) / "all.db") as opened:
        yield opened


def _folder() -> Path:
    import os

    folder = os.environ.get("FARM_REAL_DATA")
    if not folder:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    return Path(folder)


def audited(ledger: Ledger, **options: Any) -> Any:
    return audit_ledger(ledger, AuditOptions(draws=0, **options)).to_json()


def annotator(report: Any, name: str) -> Any:
    return next(each for each in report["annotators"] if each["annotator"] == name)


@pytest.mark.slow
def test_every_row_is_there_and_again_adds_nothing(ledger: Ledger) -> None:
    before = ledger.counts()
    files = sorted(_folder().glob("*.jsonl.gz"))
    report = import_files(ledger, "preferences", files, ReadOptions(), lambda *_: None)
    assert report.total("known") == report.total("read") == before["annotation"]
    assert ledger.counts() == before


def test_pandalm(ledger: Ledger, figures: Any) -> None:
    expected = figures["pandalm"]["shared"]
    report = audited(ledger, source="pandalm")
    kappa = {
        (p["a"][-1], p["b"][-1]): p["cohen_kappa"] for p in report["pairs"] if "human" in p["a"] + p["b"]
    }
    for pair in ("12", "13", "23"):
        assert kappa[pair[0], pair[1]] == pytest.approx(expected[f"kappa_{pair}"], abs=5e-5)
    for judge in ("pandalm-7b", "gpt-3.5-turbo/pandalm-prompt"):
        assert annotator(report, judge)["accuracy"]["value"] == pytest.approx(
            expected[judge]["acc"], abs=5e-5
        )
    reference = report["reference"]
    assert reference["alpha"] == pytest.approx(expected["kripp_alpha_nominal"], abs=5e-5)
    assert reference["pairwise_agreement"] == pytest.approx(expected["pairwise_agreement"], abs=5e-5)
    assert reference["clear_majority_agreement"] == pytest.approx(
        expected["leave_one_out_majority_agreement"], abs=5e-5
    )


def test_llmfao(ledger: Ledger, figures: Any) -> None:
    expected = figures["llmfao"]["shared"]
    report = audited(ledger, source="llmfao")
    reference = report["reference"]
    assert reference["alpha"] == pytest.approx(expected["kripp_alpha_nominal"], abs=5e-5)
    assert reference["clear_majority_agreement"] == pytest.approx(
        expected["leave_one_out_majority_agreement"], abs=5e-5
    )
    for judge in ("gpt-4/llmfao-prompt", "gpt-3.5-turbo-instruct/llmfao-prompt"):
        found = annotator(report, judge)
        assert found["accuracy"]["value"] == pytest.approx(
            expected[judge]["agree_with_majority_3way"], abs=5e-5
        )
        assert found["accuracy"]["n"] == expected[judge]["n3"]


def test_tulu(ledger: Ledger, figures: Any) -> None:
    expected = figures["tulu1_human_eval"]["shared"]["_all"]
    reference = audited(ledger, source="tulu1_human_eval")["reference"]
    assert reference["alpha"] == pytest.approx(expected["kripp_alpha_nominal"], abs=5e-5)
    assert reference["pairwise_agreement"] == pytest.approx(expected["pairwise_agreement"], abs=5e-5)


def test_autoj(ledger: Ledger, figures: Any) -> None:
    expected = figures["autoj"]["shared"]
    found = annotator(audited(ledger, source="autoj"), "auto-j-13b")
    assert found["both_orders_accuracy"] == pytest.approx(expected["agreement_both_orders"] / 100, abs=5e-7)
    assert found["order_consistency"] == pytest.approx(expected["consistency"] / 100, abs=5e-7)


@pytest.mark.parametrize(("source", "reference"), [("llmbar", "gold"), ("llmbar_processed", "human")])
def test_llmbar(ledger: Ledger, figures: Any, source: str, reference: str) -> None:
    expected = figures["llmbar"]["shared"]
    report = audited(ledger, source=source, reference=reference, by=("subset",))
    compared = 0
    for part in report["slices"]:
        for found in part["annotators"]:
            figure = expected.get(found["annotator"], {}).get(part["subset"])
            if figure is None:
                assert found["kind"] in ("gold", "human")
                continue
            assert 100 * found["accuracy"]["value"] == pytest.approx(figure["acc"], abs=5e-5)
            assert 100 * found["order_consistency"] == pytest.approx(figure["agr"], abs=5e-5)
            compared += 1
    subsets = {"FairEval", "LLMEval^2", "MT-Bench"}
    wanted = sum((name in subsets) == (reference == "human") for each in expected.values() for name in each)
    assert compared == wanted > 0


def test_judgebench(ledger: Ledger, figures: Any) -> None:
    """By its own rule, over both orders; a reward model sees none."""
    found = audited(ledger, benchmark="judge-bench")["benchmark"]
    rows = {row["annotator"]: row for row in found["annotators"]}
    expected = figures["judgebench"]["shared"]
    assert found["prompts"] == expected["gold_items"]
    assert len(rows) == len(expected["judges"])
    for name, each in expected["judges"].items():
        row = rows[name.partition("|")[0]]
        assert (row["judged"], row["whole"]) == (each["n"], False)
        figure = {part: 100 * value["value"] for part, value in row["figures"].items()}
        figure["overall"] = figure.pop("score")
        assert figure == pytest.approx({part: each[part] for part in figure}, abs=5e-4)


def test_llmbar_by_its_own_rule(ledger: Ledger, figures: Any) -> None:
    """The published table has the mean of the adversarial subsets and that of all five."""
    found = audited(ledger, benchmark="llmbar")["benchmark"]
    published = figures["llmbar"]["shared"]
    compared = 0
    for row in found["annotators"]:
        subsets = {name: each["acc"] for name, each in published[row["annotator"]].items()}
        if row["judged"] < 419:
            continue
        adversarial = [subsets[f"Adversarial/{name}"] for name in ("Neighbor", "GPTInst", "GPTOut", "Manual")]
        expected = {"Natural": subsets["Natural"], "Adversarial": sum(adversarial) / 4}
        expected["score"] = (subsets["Natural"] + sum(adversarial)) / 5
        figure = {name: 100 * row["figures"][name]["value"] for name in expected}
        assert figure == pytest.approx(expected, abs=1e-3)
        assert row["whole"]
        compared += 1
    assert compared > 20


def test_faireval_joins_judgements_of_another_source(ledger: Ledger, figures: Any) -> None:
    report = audited(ledger, source="faireval")
    found = annotator(report, "gpt-4-0328/vicuna-prompt")
    assert found["accuracy"]["value"] == pytest.approx(figures["faireval"]["gpt4_agree_3way"], abs=5e-4)


@pytest.mark.slow
def test_a_round_trip_gives_every_row_back(ledger: Ledger, tmp_path: Path) -> None:
    export_file(ledger, "preferences", tmp_path / "all.jsonl", RowFilter())

    def rows(lines: Any) -> Counter[str]:
        return Counter(json.dumps(json.loads(line), sort_keys=True) for line in lines)

    original: Counter[str] = Counter()
    for file in _folder().glob("*.jsonl.gz"):
        with gzip.open(file, "rt") as lines:
            original += rows(lines)
    with (tmp_path / "all.jsonl").open() as lines:
        assert rows(lines) == original
