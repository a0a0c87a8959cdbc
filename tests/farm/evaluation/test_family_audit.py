"""`farm audit --families` on ledgers in which everybody's taste is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.records import AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.statistics.agreement import Floats
from tests.support.command_line import farm, refused, told
from tests.support.known_pools import Said, write

QUESTIONS = 150
WORTH = {"gpt-4": 0.8, "claude-3": 0.7, "qwen-2": 0.4, "student": 0.5, "llama-3": 0.0}
JUDGES = {"gpt-judge": "gpt-4o", "claude-judge": "claude-3", "fair-judge": "gpt-4o-mini", "odd": "unheard-of"}


def pairs_made() -> list[Pair]:
    """Every model beside llama-3, and the first two beside each other."""
    made = []
    for i in range(QUESTIONS):
        asked = Instruction(f"Question {i}")
        outputs = {name: Output(asked, f"Answer {i} of {name}", name) for name in WORTH}
        met = [(name, "llama-3") for name in WORTH if name != "llama-3"] + [("gpt-4", "claude-3")]
        made += [Pair.of(outputs[a], outputs[b])[0] for a, b in met]
    return made


def votes(pairs: list[Pair], seed: int, taste: Callable[[str], float]) -> Floats:
    rng = np.random.default_rng(seed)

    def worth(output: Output) -> float:
        return WORTH[output.producer] + taste(output.producer)

    lead = np.array([worth(pair.output_a) - worth(pair.output_b) for pair in pairs])
    said: Floats = (rng.random(len(pairs)) < 1 / (1 + np.exp(-2 * lead))).astype(float)
    return said


def nothing(_: str) -> float:
    return 0.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gpt-judge likes GPT and the student that learnt from it; the others are fair."""
    pairs = pairs_made()
    tastes: dict[str, Callable[[str], float]] = {
        "gpt-judge": lambda name: {"gpt-4": 2.0, "student": 2.0}.get(name, 0.0),
    }
    said: list[Said] = [
        (AnnotatorCard(f"person-{k}", AnnotatorKind.HUMAN), votes(pairs, 300 + k, nothing)) for k in range(3)
    ]
    for k, (name, model) in enumerate(JUDGES.items()):
        card = AnnotatorCard(name, AnnotatorKind.LLM, {"model": model})
        said.append((card, votes(pairs, 40 + k, tastes.get(name, nothing))))
    return write(tmp_path_factory.mktemp("families") / "farm.db", pairs, *said)


def rows(found: Any) -> dict[tuple[str, str, str], Any]:
    return {(each["annotator"], each["kin"], each["against"]): each for each in found["annotators"]}


@pytest.fixture(scope="module")
def report(path: Path) -> Any:
    return told(path, "audit", "--families", "--taught", "student=openai")["families"]


def test_who_prefers_its_own_is_told_from_who_does_not(report: Any) -> None:
    found = rows(report)
    assert set(found) == {
        (name, kin, against)
        for name, kin in (
            ("gpt-judge", "own"),
            ("gpt-judge", "taught"),
            ("fair-judge", "own"),
            ("fair-judge", "taught"),
            ("claude-judge", "own"),
        )
        for against in ("people", "other judges")
    }
    for against in ("people", "other judges"):
        for kin in ("own", "taught"):
            assert found["gpt-judge", kin, against]["beyond"]["value"] > 0
            assert found["gpt-judge", kin, "people"]["beyond"]["low"] > 0
        for name in ("fair-judge", "claude-judge"):
            beyond = found[name, "own", against]["beyond"]
            assert beyond["low"] < 0 < beyond["high"]
    assert report["unknown"] == ["odd"]


def test_the_figures_are_those_of_a_count_by_hand(path: Path, report: Any) -> None:
    """gpt-judge beside people: pairs without the student, and never two outputs of the family."""
    pairs = pairs_made()
    people = np.mean([votes(pairs, 300 + k, nothing) for k in range(3)], axis=0)
    judge = votes(pairs, 40, lambda name: {"gpt-4": 2.0, "student": 2.0}.get(name, 0.0))
    own: dict[str, list[tuple[float, float]]] = {}
    other: dict[str, list[float]] = {}
    for pair, mine, theirs in zip(pairs, judge, people, strict=True):
        a, b = pair.output_a.producer, pair.output_b.producer
        if "student" in (a, b):
            continue
        for name, against, turn in ((a, b, False), (b, a, True)):
            said = (1 - mine, 1 - theirs) if turn else (mine, theirs)
            if name == "gpt-4":
                own.setdefault(against, []).append(said)
            elif against != "gpt-4":
                other.setdefault(against, []).append(said[0] - said[1])
    of_own = [said for each in own.values() for said in each]
    found = rows(report)["gpt-judge", "own", "people"]
    assert found["pairs"] == len(of_own) == 2 * QUESTIONS
    assert found["own"]["value"] == pytest.approx(np.mean([one for one, _ in of_own]))
    assert found["others"]["value"] == pytest.approx(np.mean([one for _, one in of_own]))
    beyond = {
        name: len(each) * (np.mean([one - two for one, two in each]) - np.mean(other[name]))
        for name, each in own.items()
    }
    assert found["beyond"]["value"] == pytest.approx(sum(beyond.values()) / len(of_own))


def test_no_other_judge_counts_on_its_own_familys_outputs(report: Any) -> None:
    """claude-judge is left out where gpt-4 meets claude-3, so gpt-judge's pairs are those beside llama-3."""
    assert rows(report)["gpt-judge", "own", "other judges"]["pairs"] == QUESTIONS
    assert rows(report)["gpt-judge", "own", "people"]["pairs"] == 2 * QUESTIONS


def test_families_are_what_the_user_says(path: Path, tmp_path: Path) -> None:
    """By flags, by a price table of one's own, and `none`."""
    found = told(path, "audit", "--families", "--family", "odd=qwen", "--family", "gpt-4=none")["families"]
    assert found["unknown"] == []
    assert {each["annotator"] for each in found["annotators"]} == {"odd", "claude-judge"}
    (tmp_path / "mine.yaml").write_text("families: {ours: [unheard-of, student]}\n")
    found = told(path, "audit", "--families", "--prices", tmp_path / "mine.yaml")["families"]
    assert ("odd", "own", "people") in rows(found)


def test_members_of_a_panel_and_of_a_pool_give_their_families(tmp_path: Path) -> None:
    pairs = pairs_made()[:50]
    member = AnnotatorCard("one", AnnotatorKind.LLM, {"model": "gpt-4"})
    panel = AnnotatorCard(
        "panel", AnnotatorKind.PANEL, {"members": [{"name": "one", "fingerprint": member.key}]}
    )
    pool = AnnotatorCard("pool", AnnotatorKind.LLM, {"members": [{"model": "gpt-4"}, {"model": "claude-3"}]})
    human = AnnotatorCard("ada", AnnotatorKind.HUMAN)
    said = [(card, votes(pairs, k, nothing)) for k, card in enumerate((member, panel, pool, human))]
    found = rows(told(write(tmp_path / "farm.db", pairs, *said), "audit", "--families")["families"])
    assert found["panel", "own", "people"]["families"] == ["openai"]
    assert found["pool", "own", "people"]["families"] == ["anthropic", "openai"]


def test_it_is_shown(path: Path) -> None:
    seen = farm(path, "audit", "--families").out
    assert "Outputs of a judge's own family" in seen
    assert "unknown family, compared with nobody (--family NAME=FAMILY): odd" in seen
    assert told(path, "audit")["families"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--families", "--family", "gpt"), "--family takes NAME=FAMILY"),
        (("--families", "--taught", "nobody=openai"), "nobody here is called 'nobody'"),
        (("--family", "odd=qwen"), "--family goes with --families"),
    ],
)
def test_wrong_words_are_one_line(path: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused(path, "audit", *words)
