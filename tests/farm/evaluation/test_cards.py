"""Cards say what the ledger knows, and nothing that a foreign name makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.errors import ConfigError
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.queries.exports import RowFilter
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair, Run
from farm.audit import AuditOptions, audit_ledger
from farm.evaluation.cards import model_card, write_model_card
from farm.export import card_path, export_file
from farm.import_ import import_files

ROOT = Path(__file__).parents[3]
HOSTILE = "<script>x</script> | [a](javascript:x)\n# heading \x1b[31m"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp("cards")
    made = [sys.executable, str(ROOT / "examples" / "make_preferences.py"), str(folder / "p.jsonl")]
    subprocess.run(made, check=True, capture_output=True)
    with Ledger.open(folder / "farm.db", create=True) as opened:
        import_files(opened, "preferences", [folder / "p.jsonl"], ReadOptions(), lambda *_: None)
        yield opened


def cells(card: str, first: str) -> list[str]:
    """The cells of the table row that begins with this one."""
    [row] = [line for line in card.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_dataset_card_has_the_audits_own_figures(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = export_file(ledger, "trl", file, RowFilter(annotators=("strict-judge",)))
    card = card_path(file).read_text()
    assert f"{rows:,} rows in the format `trl`" in card
    assert rows == len(file.read_text().splitlines())
    report = audit_ledger(ledger, AuditOptions(draws=0))
    [each] = [each for each in report.whole.annotators if each.name == "strict-judge"]
    found = cells(card, "strict-judge")
    assert found[2] == f"{each.n:,}"
    assert found[3].startswith(f"{each.measures['agreement'].value:.3f} [")
    assert "| ada |" not in card  # she judged these questions, and is not in the file
    keys = {made.name: made.key for made in ledger.annotators()}
    assert cells(card, "strict-judge")[4] == keys["strict-judge"]
    assert f"majority of each other: {report.whole.reference.measures['agreement'].value:.3f}" in card
    assert "| sums | even | 120 |" in card
    assert "from 480 judgements of 240 questions" in card
    assert "Others judged these questions 720 times. That is not in the file." in card
    assert "farm import trl pairs.jsonl" in card
    assert "licence of their source" in card


def test_a_card_that_is_there_is_not_written_over(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    card_path(file).write_text("mine")
    with pytest.raises(ConfigError, match="no earlier output"):
        export_file(ledger, "trl", file, RowFilter())
    assert not file.exists()
    assert card_path(file).read_text() == "mine"


def test_prompts_are_told_by_hash_and_foreign_names_stay_names(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        asked = Instruction("ask")
        pair, _ = Pair.of(Output(asked, "one", "a"), Output(asked, "two", "b"))
        judge = AnnotatorCard(HOSTILE, AnnotatorKind.LLM, {"prompt": "secret text", "model": "m"})
        with ledger.writing() as writer:
            [pair_id] = writer.pairs([pair])
            [judge_id] = writer.annotators([judge])
            writer.annotations([Annotation(pair_id, judge_id, 1.0, 1.0, False)])
        export_file(ledger, "preferences", tmp_path / "p.jsonl", RowFilter())
        card = card_path(tmp_path / "p.jsonl").read_text()
    assert "secret text" not in card
    assert judge.key in card
    assert "<script>" not in card.replace("\\<", "")
    assert "\n# heading" not in card
    assert "](javascript" not in card
    assert "\x1b" not in card
    assert "No person judged these questions." in card


def test_a_model_card_walks_back_to_where_training_began(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        folders = [tmp_path / "sft", tmp_path / "dpo"]
        first = Run("train sft", "{}", "0.1", "hub/base", str(folders[0]), "2026-01-01", 0, None, "demos")
        model = str(folders[0] / "step-00000060" / "model")
        config = json.dumps({"beta": 0.1})
        second = Run("train dpo", config, "0.1", model, str(folders[1]), "2026-01-02", 7, None, "more")
        with ledger.writing() as writer:
            ids = [writer.run(run) for run in (first, second)]
            writer.metrics(ids[1], 5, {"loss": 0.7})
            writer.metrics(ids[1], 10, {"loss": 0.5, "seconds/step": 0.3, "tokens_per_second": 90.0})
        checkpoint = folders[1] / "step-00000010"
        write_model_card(ledger, ids[1], checkpoint)
        assert not checkpoint.exists()
        checkpoint.mkdir(parents=True)
        write_model_card(ledger, ids[1], checkpoint)
        card = (checkpoint / "README.md").read_text()
        assert card == model_card(ledger, ids[1], checkpoint)
    assert cells(card, f"run {ids[1]}")[1] == "train dpo"
    assert cells(card, f"run {ids[0]}")[1:4] == ["train sft", "hub/base", "demos"]
    assert cells(card, "loss") == ["loss", "0.5"]
    assert "seconds" not in card, "an equal run has an equal card"
    assert "tokens_per_second" not in card
    assert cells(card, "beta") == ["beta", "0.1"]
    assert 'from_pretrained("step-00000010/model")' in card
    assert "seed 7" in card
