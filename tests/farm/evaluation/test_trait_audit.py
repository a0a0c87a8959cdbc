"""`farm audit --traits` and `--pairs` on a ledger in which everybody's taste is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.statistics.agreement import Floats
from tests.support.command_line import farm, told
from tests.support.known_pools import Said, write

QUESTIONS = 400


def text(number: int, side: int) -> str:
    """An answer of a drawn length, a third of them with a list, a fifth sorry."""

    def coin(what: str) -> float:
        return keyed_uniform(what, number, side)

    words = ["word"] * int(4 * 8 ** coin("length"))
    listed = "\n- one\n- two\n" if coin("list") < 1 / 3 else ""
    return ("Sorry. " if coin("apology") < 0.2 else "") + " ".join(words) + listed + f" {number}{'ab'[side]}"


def votes(pairs: list[Pair], seed: int, length: float, listed: float) -> Floats:
    """Votes by a logit of these weights: of the log of the length, and of having a list."""
    rng = np.random.default_rng(seed)

    def worth(output: Output) -> float:
        return float(length * np.log1p(len(output.text)) + listed * ("\n- one" in output.text))

    lead = np.array([worth(pair.output_a) - worth(pair.output_b) for pair in pairs])
    said: Floats = (rng.random(len(pairs)) < 1 / (1 + np.exp(-lead))).astype(float)
    return said


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Pair]]:
    """Three people who like length a little; a judge that likes lists, and one that dislikes length."""
    pairs = []
    for i in range(QUESTIONS):
        asked = Instruction(f"Question {i}")
        pairs.append(Pair.of(Output(asked, text(i, 0), "m"), Output(asked, text(i, 1), "n"))[0])
    said: list[Said] = [
        (AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN), votes(pairs, k, 0.5, 0.0)) for k in range(3)
    ]
    said.append((AnnotatorCard("lists", AnnotatorKind.LLM, {"a": 1}), votes(pairs, 7, 0.5, 2.0)))
    said.append((AnnotatorCard("brief", AnnotatorKind.LLM, {"a": 2}), votes(pairs, 8, -1.5, 0.0)))
    said.append((AnnotatorCard("same", AnnotatorKind.LLM, {"a": 3}), votes(pairs, 9, 0.5, 0.0)))
    return write(tmp_path_factory.mktemp("traits") / "farm.db", pairs, *said), pairs


@pytest.fixture(scope="module")
def report(study: tuple[Path, list[Pair]]) -> dict[str, Any]:
    found: dict[str, Any] = told(study[0], "audit", "--traits", "--pairs")
    return found


def rows(report: dict[str, Any]) -> dict[str, Any]:
    return {row["annotator"]: row["traits"] for row in report["traits"]["annotators"]}


def test_known_tastes_are_found(report: dict[str, Any]) -> None:
    """Effects are for one standard deviation; divided by it they are the weights that were put in."""
    scale, found = report["traits"]["scales"], rows(report)
    expected = {"people": (0.5, 0.0), "lists": (0.5, 2.0), "brief": (-1.5, 0.0), "same": (0.5, 0.0)}
    for name, weights in expected.items():
        for trait, weight in zip(("length", "list"), weights, strict=True):
            effect = found[name][trait]["effect"]
            assert effect["low"] <= scale[trait] * weight <= effect["high"], (name, trait)
    assert all(each["refused"] is None for each in report["traits"]["annotators"])


def test_a_judge_differs_from_people_where_its_taste_does(report: dict[str, Any]) -> None:
    found = rows(report)
    assert found["lists"]["list"]["over_people"]["low"] > 0
    assert found["brief"]["length"]["over_people"]["high"] < 0
    for trait in ("length", "list"):
        apart = found["same"][trait]["over_people"]
        assert apart["low"] < 0 < apart["high"]
    assert found["people"]["length"]["over_people"]["value"] is None


def test_the_share_for_more_of_a_trait_is_counted(
    report: dict[str, Any], study: tuple[Path, list[Pair]]
) -> None:
    _, pairs = study
    judged = votes(pairs, 7, 0.5, 2.0)
    told_apart = [
        (preference if "\n- one" in pair.output_a.text else 1 - preference)
        for pair, preference in zip(pairs, judged, strict=True)
        if ("\n- one" in pair.output_a.text) != ("\n- one" in pair.output_b.text)
    ]
    prefers = rows(report)["lists"]["list"]["prefers"]
    assert prefers["value"] == pytest.approx(np.mean(told_apart))
    assert prefers["n"] == len(told_apart)


def test_what_nobody_has_is_left_out(report: dict[str, Any]) -> None:
    for name in ("emoji", "markdown", "refusal", "shown first"):
        assert rows(report)["people"][name]["effect"]["value"] is None or name == "shown first"


def test_it_is_shown(study: tuple[Path, list[Pair]]) -> None:
    seen = farm(study[0], "audit", "--traits", "--pairs").out
    assert "What each annotator rewards" in seen
    [line] = [
        line for line in seen.split("What each annotator rewards")[1].splitlines() if line.startswith("lists")
    ]
    assert "*!" in line
    assert "one standard deviation more" in seen


def odd(folder: Path) -> Path:
    """Pairs that are hardly different, and one annotator that goes round in a circle."""
    asked = Instruction("Say it.")
    a, b, c = (
        Output(asked, said, f"m{k}") for k, said in enumerate(("red and blue", "red and  blue", "green"))
    )
    other = Instruction("And this.")
    one = Pair.of(Output(other, "It is red.", "m"), Output(other, "It is blue.", "n"))[0]
    pairs = [Pair.of(a, b)[0], Pair.of(b, c)[0], Pair.of(c, a)[0], one]
    wins = {(0, 1): a, (1, 2): b, (0, 2): c}  # a beats b, b beats c, c beats a
    card = AnnotatorCard("round", AnnotatorKind.LLM, {"x": 1})
    with Ledger.open(folder / "odd.db", create=True) as ledger, ledger.writing() as writer:
        [number] = writer.annotators([card])
        for pair_id, pair, winner in zip(
            writer.pairs(pairs), pairs, [*wins.values(), one.output_a], strict=True
        ):
            first = float(pair.output_a.key == winner.key)
            tie = 0.5 if pair is one else first
            writer.annotations([Annotation(pair_id, number, tie, tie, False)])
    return folder / "odd.db"


def test_odd_pairs_are_counted_and_named(tmp_path: Path) -> None:
    found = told(odd(tmp_path), "audit", "--pairs")["odd_pairs"]
    kinds = {each["kind"]: each for each in found["alike"]}
    assert found["pairs"] == 4
    assert {kind: each["pairs"] for kind, each in kinds.items()} == {"case and blanks": 1, "one word": 1}
    assert kinds["one word"]["ties"]["value"] == 1.0
    assert kinds["case and blanks"]["ties"]["value"] == 0.0
    [cycle] = found["cycles"]
    assert (cycle["annotator"], cycle["triads"], cycle["cycles"]) == ("round", 1, 1)
    seen = farm(tmp_path / "odd.db", "audit", "--pairs").out
    assert f"pair:{kinds['one word']['examples'][0]}" in seen
    assert "each beats the next" in seen


def test_without_the_flags_nothing_is_read(study: tuple[Path, list[Pair]]) -> None:
    plain = told(study[0], "audit")
    assert (plain["traits"], plain["odd_pairs"]) == (None, None)
