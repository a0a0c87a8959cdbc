"""A judge aligned to people of a known taste: a rule that helps is found, one that does not is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from annotators import catalogue
from annotators.simulator import Judge, Leaning, Simulator
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.records import Pair
from farm.options.align import AlignTask
from tests.support.command_line import farm, refused, told
from tests.support.known_members import chances, served
from tests.support.known_pools import pairs_of, people_of, write

PAIRS = pairs_of(130)
MANY = pairs_of(240)
SIDES = ("--train", 0.33, "--validation", 0.3)
PROMISE = "Prefer the output that keeps its promise."
OTHERS = ("Prefer the output that is kind.", "Prefer the output that is brave.")


def taste(name: str, seed: int) -> Any:
    """What a rule asks for: a keyed draw for each output."""

    def worth(instruction: str, input: str, output: str) -> float:
        return keyed_uniform("taste", name, seed, output)

    return worth


def judges(seed: int) -> Mapping[str, Judge]:
    """A judge that heeds three rules where its prompt names them, and a proposer that knows all three."""
    rules = {rule: taste(rule, seed) for rule in (PROMISE, *OTHERS)}
    heeds = {rule: Leaning(utility=worth, weight=100) for rule, worth in rules.items()}
    proposes = {rule: Leaning(utility=worth) for rule, worth in rules.items()}
    return {"m": Judge(utility="random", seed=seed, heeds=heeds), "big": Judge(proposes=proposes)}


def people(ledger: Any, seed: int, rule: str, pairs: Sequence[Pair] = PAIRS) -> Any:
    """Two people who go by a rule and err now and then."""
    voting = chances(Judge(utility=taste(rule, seed), noise=0.15), pairs)
    return write(ledger, pairs, *people_of(voting, 2, seed))


def align(ledger: Any, out: Path, provider: Simulator, *more: object) -> Any:
    return told(ledger, *command(out, provider, *more))


def command(out: Path, provider: Simulator, *more: object) -> tuple[object, ...]:
    asked = ("--model", "m", "--proposer", "big", "--rules", 3, "--base-url", provider.base_url)
    return ("annotators", "align", "plain", "--out", out, *SIDES, *asked, *more)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A rule is planted. The run is stopped by its budget, and started again until it is through."""
    folder = tmp_path_factory.mktemp("align")
    ledger, out = people(folder / "farm.db", 0, PROMISE), folder / "aligned"
    with served(judges(0)) as provider:
        plan = align(ledger, out, provider, "--dry-run")
        there = out.exists()
        stops = [refused(ledger, *command(out, provider, "--max-requests", 90)) for _ in range(2)]
        found = align(ledger, out, provider)
        shown = farm(ledger, *command(out, provider)).out
        judged = told(ledger, "annotate", out, "--base-url", provider.base_url)
        stats = provider.stats()
    return {
        "ledger": ledger, "out": out, "plan": plan, "there": there, "stops": stops, "found": found,
        "shown": shown, "judged": judged, "stats": stats,
    }  # fmt: skip


def test_a_planted_rule_is_found_and_accepted(study: dict[str, Any]) -> None:
    found = study["found"]
    assert found["accepted"]
    [best] = [each for each in found["candidates"] if each["name"] == found["best"]]
    assert best["rule"] == PROMISE
    assert sum(found["pairs"].values()) == len(PAIRS)
    gain = found["test"]["gain"]
    assert 0 < gain["low"] < gain["value"] < gain["high"]
    assert gain["n"] == found["pairs"]["test"]
    assert "Accepted: " in study["shown"]


def test_only_the_best_candidate_is_tested(study: dict[str, Any]) -> None:
    """Each side's pairs: the judge sees all, a candidate the validation side, the best the test side too."""
    pairs, found = study["found"]["pairs"], study["found"]
    with Ledger.open(study["ledger"], read_only=True) as ledger:
        cards = {card.name: card.id for card in ledger.annotators()}
        ids = list(range(1, len(PAIRS) + 1))
        counts = {
            each["name"]: len(ledger.standing(cards[each["name"]], ids)) for each in found["candidates"]
        }
    best = found["best"]
    assert study["judged"]["already"] == pairs["validation"] + pairs["test"]
    assert {name: n for name, n in counts.items() if name != best} == {
        each["name"]: pairs["validation"] for each in found["candidates"] if each["name"] != best
    }


def test_nothing_is_paid_for_twice(study: dict[str, Any]) -> None:
    """Two stops by the budget, and two more runs: every request was billed once."""
    assert all("the budget is used up" in line for line in study["stops"])
    assert {bill.billed for bill in study["stats"].bills.values()} == {1}
    paid = study["found"]["paid"]
    rest = sum(each["requests"] for each in paid.values()) + 2 * 90 + study["judged"]["requests"]
    assert rest == study["stats"].hits
    assert "paid for" not in study["shown"]
    last = json.loads((study["out"] / "alignment.json").read_text())["alignment"]
    assert {**last, "paid": paid} == study["found"]


def test_the_plan_is_the_most_and_writes_nothing(study: dict[str, Any]) -> None:
    assert not study["there"]
    pairs, plan = study["found"]["pairs"], study["plan"]
    assert plan["judge"]["requests"] == len(PAIRS)
    assert plan["candidates"]["requests"] == 3 * pairs["validation"] + pairs["test"]
    assert plan["proposer"]["requests"] == 1
    total = sum(each["requests"] for each in plan.values())
    assert study["stats"].hits - study["judged"]["requests"] == total


def test_every_candidate_is_an_annotator_with_its_lineage(study: dict[str, Any]) -> None:
    """It names the judge, the rule, and the disagreements that were read, which are of the training side."""
    out, ledger = study["out"], study["ledger"]
    with Ledger.open(ledger, read_only=True) as opened:
        keys = {pair.key: pair for pair in opened.pairs()}
    for each in study["found"]["candidates"]:
        loaded = catalogue.load(each["folder"])
        assert (loaded.name, loaded.fingerprint) == (each["name"], each["fingerprint"])
        lineage = json.loads((Path(each["folder"]) / "lineage.json").read_text())
        assert (lineage["from"], lineage["rules"]) == ("plain", [each["rule"]])
        assert 0 < len(lineage["read"]) <= 20
        task = AlignTask("plain", out, train=0.33)
        sides = {
            keyed_uniform("alignment side", keys[key].instruction.key, task.seed) for key in lineage["read"]
        }
        assert max(sides) < task.train
    traced = farm(ledger, "trace", f"completion:{lineage['completion']}", "--content").out
    assert f"Rule: {PROMISE}" in traced
    assert "people_preferred" in traced
    best = Path(study["out"]) / "candidates" / study["found"]["best"]
    for name in ("annotator.yaml", "prompt.jinja", "lineage.json"):
        assert (out / name).read_text() == (best / name).read_text()
    assert json.loads((out / "alignment.json").read_text())["alignment"]["accepted"]


def test_a_rule_that_people_do_not_go_by_is_refused(ledger_url: str, tmp_path: Path) -> None:
    """The judge heeds what the proposer writes, so verdicts change, but people do not agree more."""
    people(ledger_url, 1, "Something that nobody proposes.")
    with served(judges(1)) as provider:
        found = align(ledger_url, tmp_path / "out", provider, "--limit", 30)
        said = farm(ledger_url, *command(tmp_path / "out", provider, "--limit", 30)).out
    assert not found["accepted"]
    assert len(found["candidates"]) == 3
    assert not (tmp_path / "out" / "annotator.yaml").exists()
    assert "NOT accepted" in said or "Nothing was tested" in said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_planted_rule_is_found_with_any_seed(seed: int, tmp_path: Path) -> None:
    ledger = people(tmp_path / "farm.db", seed, PROMISE, MANY)
    with served(judges(seed)) as provider:
        found = align(ledger, tmp_path / "out", provider, "--seed", seed)
    assert found["accepted"]
    assert [each["rule"] for each in found["candidates"] if each["name"] == found["best"]] == [PROMISE]


@pytest.mark.slow
def test_two_rules_are_found_in_two_rounds(tmp_path: Path) -> None:
    """The second round goes on from the first one's best: its prompt has both rules."""
    both = Judge(utility=lambda *texts: taste(PROMISE, 3)(*texts) + taste(OTHERS[0], 3)(*texts), noise=0.1)
    ledger = write(tmp_path / "farm.db", MANY, *people_of(chances(both, MANY), 3, 3))
    with served(judges(3)) as provider:
        found = align(ledger, tmp_path / "out", provider, "--rounds", 2)
    assert found["accepted"]
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert set(lineage["rules"]) == {PROMISE, OTHERS[0]}
    prompt = (tmp_path / "out" / "prompt.jinja").read_text()
    assert prompt.index(lineage["rules"][0]) < prompt.index(lineage["rules"][1])


def test_what_cannot_be_aligned_is_one_line(study: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is asked and nothing is written."""
    ledger, out = study["ledger"], tmp_path / "new"
    given = ("--model", "m", "--proposer", "big", "--base-url", "http://127.0.0.1:9/v1")
    align_ = ("annotators", "align")
    before = Path(ledger).read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    for arguments, message in (
        (("crowd", "--out", out), "crowd is no language model with a prompt"),
        (("longest", "--out", out), "longest is no language model with a prompt"),
        (("plain", "--out", out, "--people", "nobody"), "no annotator 'nobody' judged here"),
        (("plain", "--out", out, "--train", 0.01), "people judged"),
        (("plain", "--out", out, "--limit", 10), "people judged 10 pairs of the train side"),
        (("plain", "--out", out, "--train", 0.5, "--validation", 0.5), "nothing is left to test on"),
        (("plain", "--out", other), "a folder of something else"),
        (("plain", "--out", study["out"], "--seed", 7), "an alignment of another judge"),
    ):
        assert message in refused(ledger, *align_, *SIDES, *arguments, *given)
    assert not out.exists()
    assert Path(ledger).read_bytes() == before
    assert (other / "notes.txt").read_text() == "mine"


def test_a_proposer_without_a_rule_is_told_with_its_words(tmp_path: Path) -> None:
    """A judge that proposes nothing answers as to any prompt that shows no comparison."""
    ledger = people(tmp_path / "farm.db", 0, PROMISE)
    with served(judges(0)) as provider:
        said = refused(ledger, *command(tmp_path / "out", provider, "--proposer", "m"))
    assert "m wrote no line that begins with Rule: ('There is nothing here to compare.')" in said
