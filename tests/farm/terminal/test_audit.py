"""What an audit looks like on a terminal and in a spreadsheet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from db.queries.frames import Judgements
from db.records import AnnotatorCard, AnnotatorKind
from farm.audit import AuditOptions, audit
from farm.evaluation.audit_report import AuditReport
from farm.terminal.audit import audit_view, write_csv

NAN = float("nan")


def study(*names: str, anchored: bool = True, n: int = 60) -> AuditReport:
    """One person, and judges that agree with the person on the first half of the questions."""
    verdicts = np.array([1.0] * n, dtype=np.float64)
    judges = np.array([1.0] * (n // 2) + [0.0] * (n - n // 2))
    everybody = np.concatenate([verdicts if anchored else verdicts * NAN, *[judges] * len(names)])
    judgements = pd.DataFrame(
        {
            "unit": np.tile(np.arange(n), len(names) + 1),
            "annotator": np.repeat(np.arange(len(names) + 1), n),
            "preference": everybody,
            "swapped": np.int8(-1),
            "replicate": 0,
            "price": NAN,
            "seconds": NAN,
        }
    )
    units = pd.DataFrame(
        {
            "unit": range(n),
            "pair_id": range(n),
            "instruction_id": range(n),
            "source": "s",
            "subset": "=2+3",
            "length_1": [50] * (3 * n // 4) + [1] * (n - 3 * n // 4),
            "length_2": 10,
            "list_1": False,
            "list_2": False,
            "identical": False,
        }
    )
    cards = [AnnotatorCard("ada", AnnotatorKind.HUMAN, id=0)]
    cards += [AnnotatorCard(name, AnnotatorKind.LLM, id=code) for code, name in enumerate(names, 1)]
    return audit(Judgements(judgements, units, tuple(cards)), AuditOptions(by=("subset",)))


def shown(report: AuditReport) -> str:
    file = io.StringIO()
    Console(file=file, width=200).print(audit_view(report))
    return file.getvalue()


def test_a_judge_no_better_than_length_is_named() -> None:
    text = shown(study("judge"))
    assert "Always preferring the longer output would have an agreement of 0.750 [0." in text
    assert "Worse than preferring the longer output: judge" in text
    assert "an unreadable verdict counts as wrong" in text


def test_longest_speaks_for_itself_where_it_judged() -> None:
    assert "Always preferring" not in shown(study("judge", "longest"))


def test_the_consensus_of_a_panel_is_told_or_refused() -> None:
    assert "right on 0.500 of 60 clear questions. Where a judged" in shown(study("a", "b", "c"))
    assert "No consensus of theirs: Dawid-Skene needs at least 30" in shown(
        study("a", "b", "c", anchored=False)
    )
    assert "consensus" not in shown(study("a", "b"))


def test_foreign_text_is_shown_as_it_is() -> None:
    text = shown(study("[red]judge[/red]\x1b[31m"))
    assert "[red]judge[/red]\\x1b[31m" in text
    assert "\x1b" not in text


def test_a_spreadsheet_runs_nothing_of_a_csv(tmp_path: Path) -> None:
    report = study("=1+1", "@name", "-name", "\tname", "plain")
    write_csv(report, tmp_path / "audit.csv")
    with (tmp_path / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["ada", "'=1+1", "'@name", "'-name", "'\tname", "plain"]
    alone = [row for row in rows if row["kind"] not in ("reference", "pair")]
    assert [row["annotator"] for row in alone] == names * 2  # the whole, and its one slice
    assert {row["subset"] for row in rows} == {"", "'=2+3"}
    assert float(alone[1]["agreement"]) == 0.5
    assert int(alone[1]["agreement_n"]) == 60


def test_the_csv_has_people_with_each_other_and_every_pair(tmp_path: Path) -> None:
    report = study("a", "b")
    write_csv(report, tmp_path / "audit.csv")
    with (tmp_path / "audit.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["subset"]]
    assert [(row["annotator"], row["kind"], row["other"]) for row in rows] == [
        ("human", "reference", ""),
        *((name, kind, "") for name, kind in (("ada", "human"), ("a", "llm"), ("b", "llm"))),
        *(("ada", "pair", "a"), ("ada", "pair", "b"), ("a", "pair", "b")),
    ]
    reference = report.whole.reference
    assert float(rows[0]["longest"]) == reference.measures["longest"].value
    assert float(rows[0]["longest_low"]) == reference.measures["longest"].low
    assert [float(row["pair_agreement"]) for row in rows[4:]] == [
        pair.agreement for pair in report.whole.pairs
    ]
