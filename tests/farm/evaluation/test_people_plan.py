"""`farm people plan` through the ledger: the answer, its reasoning, its JSON, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.evaluation.people_plan import people_plan
from farm.evaluation.plan_pool import plan_pool
from farm.evaluation.scope import EVERYTHING, Scope
from farm.options.people import Planning

MODELS = ("sft", "dpo", "ppo")
QUALITY = (0.35, 0.5, 0.7)
RIGHT = {"sharp": 0.88, "fair": 0.75, "blunt": 0.6, "coin": 0.5}
PRICES = ("--price", "sharp=0.05", "--price", "fair=0.01", "--price", "blunt=0.001", "--price", "coin=0.001")


def write(path: Path, instructions: int, labelled: int, people: int = 1) -> Path:
    """Three models against a reference. Judges saw what people labelled, and that alone."""
    rng = np.random.default_rng(5)
    facts: list[tuple[int, str, float]] = []
    pairs: list[Pair] = []
    for i in range(instructions):
        asked = Instruction(f"Instruction {i}.")
        for model, quality in zip(MODELS, QUALITY, strict=True):
            pair, swapped = Pair.of(Output(asked, f"{model} {i}", model), Output(asked, f"base {i}", "base"))
            pairs.append(pair)
            if i >= labelled:
                continue
            good = float(rng.random() < quality)
            told = {f"person {k}": good if rng.random() < 0.9 else 1 - good for k in range(people)}
            told |= {name: good if rng.random() < right else 1 - good for name, right in RIGHT.items()}
            facts += [(len(pairs) - 1, who, 1 - said if swapped else said) for who, said in told.items()]
    names = [*(f"person {k}" for k in range(people)), *RIGHT]
    kinds = [AnnotatorKind.HUMAN] * people + [AnnotatorKind.LLM] * len(RIGHT)
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        ids = writer.pairs(pairs)
        cards = [AnnotatorCard(name, kind) for name, kind in zip(names, kinds, strict=True)]
        who_is = dict(zip(names, writer.annotators(cards), strict=True))
        writer.annotations([Annotation(ids[at], who_is[who], said, said, None) for at, who, said in facts])
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 x 4,000 pairs of which 3 x 100 are labelled."""
    return write(tmp_path_factory.mktemp("plan") / "farm.db", 4000, 100)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 x 60 pairs, of which 3 x 40 are labelled by three people."""
    return write(tmp_path_factory.mktemp("small") / "farm.db", 60, 40, people=3)


def run(path: Path, *words: str) -> Any:
    """The plan's JSON."""
    result = CliRunner().invoke(app, ["--ledger", str(path), "people", "plan", *words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_one_command_says_which_judges_to_buy_and_how_many_labels_are_missing(study: Path) -> None:
    wanted = ("--half-width", "0.04", "--runs", "150", *PRICES)
    plan = run(study, *wanted, "--budget", "200")
    # fair is $117, sharp $585: 11,700 pairs are open. What is right more often than .5 tells something
    assert plan["buy"] in (["fair"], ["blunt", "fair"])
    assert 0 < plan["cost"] <= 200
    assert [each["annotator"] for each in plan["left_out"]] == ["sharp"]
    assert "more than the budget" in plan["left_out"][0]["why"]
    assert [each["of"] for each in plan["intervals"]] == [f"win rate of {model}" for model in sorted(MODELS)]
    assert plan["labels"] == sum(each["needed"] for each in plan["intervals"])
    assert plan["there"] == 300
    assert plan["still"] == plan["labels"] - 300
    alone = plan["judges"][0]
    assert alone["annotators"] == []
    assert alone["labels"] > plan["labels"]
    for each in plan["intervals"]:
        assert each["reached"] >= 0.95
        assert each["low"] < 0.04 < each["high"] + 0.002
        # 1.96^2 p (1 - p) / .04^2 people alone; a judge saves up to half
        most = 3.8416 * 0.25 / 0.0016
        assert most / 2 * 0.8 < each["needed"] < most * 1.2
    rich = run(study, *wanted, "--budget", "2000")
    assert "sharp" in rich["buy"]
    assert rich["labels"] < plan["labels"]
    assert run(study, *wanted, "--budget", "0")["buy"] == []


def test_with_a_price_of_labels_the_whole_bill_decides(study: Path) -> None:
    wanted = ("--half-width", "0.04", "--runs", "150", *PRICES)
    assert run(study, *wanted, "--label-price", "0.02")["buy"] == []
    dear = run(study, *wanted, "--label-price", "10")
    assert "sharp" in dear["buy"]
    assert dear["label_cost"] == pytest.approx(10 * dear["still"])


def test_the_screen_says_the_answer_first(study: Path) -> None:
    words = ["--ledger", str(study), "people", "plan", "fair", "--half-width", "0.06", "--model", "ppo"]
    result = CliRunner().invoke(app, [*words, "--runs", "100", "--price", "fair=0.01"])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "+-0.06 in 90% of studies: win rates"
    assert "still to get" in lines[1]
    assert any(line.startswith("Buy fair: $39.00") for line in lines)  # 3,900 open pairs of ppo
    assert "Annotators beside people, compared in 100 simulated pilots" in result.stdout


def test_agreement_alpha_and_gaps_are_planned_too(small: Path) -> None:
    wide = ("--runs", "100", "--pool", "4000")
    agreed = run(small, "sharp", "fair", "--of", "agreement", "--half-width", "0.05", *wide)
    assert [each["of"] for each in agreed["intervals"]] == ["agreement of sharp", "agreement of fair"]
    # 1.96^2 p (1 - p) / .05^2: of sharp, .88 of .9 right people agree on .8; of fair, on .7
    for each, p in zip(agreed["intervals"], (0.8, 0.7), strict=True):
        assert each["value"] == pytest.approx(p, abs=0.1)
        assert each["needed"] == pytest.approx(3.8416 * p * (1 - p) / 0.0025, rel=0.45)
    assert agreed["labels"] == max(each["needed"] for each in agreed["intervals"])
    alpha = run(small, "--of", "alpha", "--half-width", "0.08", *wide)
    assert [each["people"] for each in alpha["votes"]] == [2, 3]
    assert alpha["labels"] == min(each["labels"] for each in alpha["votes"])
    assert alpha["labels"] == alpha["people"] * alpha["intervals"][0]["needed"]
    gap = run(small, "--of", "gap", "--half-width", "0.05", *wide)
    assert len(gap["intervals"]) == 3
    assert gap["buy"] == []
    assert all(0.5 <= each["value"] < 1 for each in gap["intervals"])


def test_more_people_on_a_question_help_where_questions_run_out(small: Path) -> None:
    fixed = run(small, "--half-width", "0.15", "--people", "3", "--runs", "100")
    assert fixed["people"] == 3
    assert [each["people"] for each in fixed["votes"]] == [3]
    with Ledger.open(small) as ledger:
        pool = plan_pool(ledger, EVERYTHING)
    assert pool.votes.shape == (180, 3)
    assert pool.reference() == "base"
    assert pool.labels_there(2).sum() == 240
    two = pool.some_votes(2, seed=1)
    assert (~np.isnan(two)).sum() == 240
    assert np.isnan(pool.some_votes(4, seed=1)).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--half-width", "0.02"), "would do (--pool); or accept --half-width 0."),
        (("--half-width", "0.7"), "below 0.5"),
        (("--half-width", "0.1", "--of", "alpha", "--people", "1"), "alpha compares people"),
        (("--half-width", "0.1", "--of", "gap", "--budget", "5"), "needs none"),
        (("--half-width", "0.1", "--price", "sharp=dear"), "a name and dollars for one question"),
        (("--half-width", "0.1", "--price", "shrap=1"), "judged no pair here"),
        (("shrap", "--half-width", "0.1"), "no annotator 'shrap'"),
        (("--half-width", "0.1", "--people", "4"), "10 labelled questions, not 0"),
        (("--half-width", "0.1", "--model", "nobody"), "nobody"),
        (("--half-width", "0.1", "--against", "base"), "--model"),
    ],
)
def test_what_cannot_be_planned_is_one_line(small: Path, words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(app, ["--ledger", str(small), "people", "plan", *words])
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_without_a_pilot_there_is_no_plan(tmp_path: Path) -> None:
    path = write(tmp_path / "farm.db", 20, 15, people=0)
    with Ledger.open(path) as ledger, pytest.raises(ConfigError, match="no pilot"):
        people_plan(ledger, Planning(half_width=0.1))
    few = write(tmp_path / "few.db", 20, 3)
    with Ledger.open(few) as ledger, pytest.raises(ConfigError, match="10 labelled questions, not 3"):
        people_plan(ledger, Planning(half_width=0.1), (), Scope(model="sft"))
    with Ledger.open(few) as ledger, pytest.raises(ConfigError, match="10 labelled questions"):
        people_plan(ledger, Planning(half_width=0.1, of="agreement"), ("sharp",))
