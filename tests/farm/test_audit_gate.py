"""`farm audit --require` and `--disagreements`: what stops a pipeline, and what to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.evaluation.requirements import requirement_of
from tests.support.command_line import farm, refused, told


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs that ann prefers the first of; `good` agrees on 36 of them, `bad` on 10."""
    path = tmp_path_factory.mktemp("gate") / "farm.db"
    cards = [AnnotatorCard("ann", AnnotatorKind.HUMAN)]
    cards += [AnnotatorCard(name, AnnotatorKind.LLM) for name in ("good", "bad")]
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        made = []
        for i in range(40):
            asked = Instruction(f"Say {i}.")
            made.append(Pair.of(Output(asked, f"It is {i}.", "m"), Output(asked, f"No. {i}!", "n"))[0])
        ann, good, bad = writer.annotators(cards)
        for i, pair in enumerate(writer.pairs(made)):
            for who, right in ((ann, True), (good, i >= 4), (bad, i < 10)):
                writer.annotations([Annotation(pair, who, float(right), float(right), False)])
    return path


def rules(ledger: Path, *given: str) -> tuple[int, list[dict[str, Any]]]:
    flags = [each for rule in given for each in ("--require", rule)]
    said = farm(ledger, "audit", *flags)
    return said.code, json.loads(farm(ledger, "audit", *flags, "--json").out)["rules"]


def test_a_rule_that_holds_lets_the_pipeline_go_on(ledger: Path) -> None:
    code, [found] = rules(ledger, "good: agreement.low >= 0.6")
    assert (code, found["holds"], found["annotator"]) == (0, True, "good")
    assert 0.6 <= found["value"] < 0.9


def test_a_rule_without_a_name_is_about_every_judge_and_names_the_worst(ledger: Path) -> None:
    code, [low, high] = rules(ledger, "agreement >= 0.6", "agreement <= 0.8")
    assert code == 1
    assert (low["holds"], low["annotator"], low["value"]) == (False, "bad", 0.25)
    assert (high["holds"], high["annotator"], high["value"]) == (False, "good", 0.9)
    code, [both] = rules(ledger, "agreement >= 0.2")
    assert (code, both["holds"], both["annotator"]) == (0, True, "bad")


def test_each_rule_has_a_line_after_the_tables(ledger: Path) -> None:
    said = farm(ledger, "audit", "--require", "good: agreement > 0.5", "--require", "bad: agreement > 0.5")
    assert said.code == 1
    assert said.out.splitlines()[-2:] == [
        "holds  good: agreement > 0.5  (good: 0.9)",
        "FAILS  bad: agreement > 0.5  (bad: 0.25)",
    ]


def test_the_rules_of_a_file_count_with_those_of_flags(ledger: Path, tmp_path: Path) -> None:
    file = tmp_path / "rules.txt"
    file.write_text("# what we ask\n\ngood: agreement.n >= 40  # all of them\nbad: unreadable < 1\n")
    report = told(ledger, "audit", "--require-file", file, "--require", "good: accuracy > 0")
    assert [each["rule"] for each in report["rules"]] == [
        "good: accuracy > 0",
        "good: agreement.n >= 40",
        "bad: unreadable < 1",
    ]
    file.write_text("agreement over 0.6\n")
    assert "rules.txt, line 1" in refused(ledger, "audit", "--require-file", file)
    assert "cannot be read" in refused(ledger, "audit", "--require-file", tmp_path / "none.txt")


def test_what_is_not_defined_meets_no_rule(ledger: Path) -> None:
    code, [price, alpha] = rules(ledger, "good: price_per_1000 <= 5", "reference: alpha >= 0")
    assert code == 1
    assert (price["holds"], price["value"], alpha["holds"], alpha["annotator"]) == (
        False,
        None,
        False,
        "human",
    )


@pytest.mark.parametrize("text", ["", "agreement", "agreement = 1", "agreement.top > 1", "> 1", "a: b > c"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no rule"):
        requirement_of(text)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("goood: agreement > 0", "did you mean 'good'"),
        ("good: agreemnt > 0", "did you mean 'agreement'"),
        ("reference: confusion > 0", "no measure 'confusion'"),
    ],
)
def test_who_or_what_is_not_there_is_one_line(ledger: Path, rule: str, words: str) -> None:
    assert words in refused(ledger, "audit", "--require", rule)


def test_the_worst_pairs_come_first(ledger: Path) -> None:
    """ann says 1 everywhere. Both judges say 0 of none; pairs 5 to 10 have 1, the others a half."""
    found = told(ledger, "audit", "--disagreements", 3)["disagreements"]
    assert [each["pair"] for each in found] == [1, 2, 3]
    assert [(each["people"], each["judges"]) for each in found] == [(1.0, 0.5)] * 3
    alone = told(ledger, "audit", "--annotator", "bad", "--disagreements", 50)["disagreements"]
    assert [each["pair"] for each in alone] == list(range(11, 41))
    assert alone[0]["instruction"] == "Say 10."
    assert {alone[0]["first"], alone[0]["second"]} == {"It is 10.", "No. 10!"}
    seen = farm(ledger, "audit", "--disagreements", 2).out
    assert "Where people and judges differ most" in seen
    assert told(ledger, "audit")["disagreements"] == []
