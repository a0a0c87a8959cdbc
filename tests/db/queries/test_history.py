"""Training runs: what each learnt from, how far it came, and which run another started from."""

from __future__ import annotations

from pathlib import Path

from db.ledger import Ledger
from db.queries.history import metrics, parent, runs
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair, Run


def test_runs_are_told_with_their_snapshot_their_steps_and_their_parent(tmp_path: Path) -> None:
    first = Run("train sft", "{}", "0.1", "base", "runs/sft", "2026-01-01T00:00:00", 0, set_name="demos")
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        with ledger.writing() as writer:
            asked = Instruction("Say hi.")
            [pair] = writer.pairs([Pair.of(Output(asked, "hi", "m"), Output(asked, "no", "n"))[0]])
            [ada] = writer.annotators([AnnotatorCard("ada", AnnotatorKind.HUMAN)])
            writer.annotations([Annotation(pair, ada, 1.0, 1.0, False)])
            snapshot = writer.snapshot("people", "k" * 32, "{}", [1])
            second = Run(
                "train dpo",
                "{}",
                "0.1",
                "runs/sft/step-00000020/model",
                "runs/dpo",
                "2026-01-02",
                1,
                snapshot,
            )
            beside = Run(
                "train dpo", "{}", "0.1", "runs/sft-2/model", "runs/other", "2026-01-03", 1, snapshot
            )
            numbers = [writer.run(each) for each in (first, second, beside)]
            for step in (10, 20):
                writer.checkpoint(numbers[0], step, f"runs/sft/step-{step:08}")
            writer.metrics(numbers[1], 2, {"loss": 0.5})
            writer.metrics(numbers[1], 1, {"loss": 0.75, "accuracy": 0.5})
            writer.metrics(numbers[1], 1, {"loss": 9.0})  # trained again after a crash: the first stays
        found = runs(ledger)
        assert [(each.id, each.run, each.snapshot, each.steps) for each in found] == [
            (numbers[0], first, None, 20),
            (numbers[1], second, "people", None),
            (numbers[2], beside, "people", None),
        ]
        assert [parent(each, found) for each in found] == [None, found[0], None]
        told = metrics(ledger).sort_values(["step", "name"]).to_dict("records")
        assert told == [
            {"run": numbers[1], "step": 1, "name": "accuracy", "value": 0.5},
            {"run": numbers[1], "step": 1, "name": "loss", "value": 0.75},
            {"run": numbers[1], "step": 2, "name": "loss", "value": 0.5},
        ]


def test_a_ledger_without_runs_has_an_empty_table(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "x.db", create=True) as ledger:
        assert runs(ledger) == []
        assert list(metrics(ledger).columns) == ["run", "step", "name", "value"]
        assert len(metrics(ledger)) == 0
