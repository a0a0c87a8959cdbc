"""People of known tastes are imitated: their own taste is found where it can be learnt, and only there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from annotators import catalogue
from annotators.simulator import Judge, Leaning, Simulator
from annotators.spec import AnnotatorSpec
from db.ids import keyed_uniform
from db.ledger import Ledger, PairFilter
from db.queries.people import judged_by
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Pair
from tests.support.command_line import farm, refused, told
from tests.support.known_members import chances, served
from tests.support.known_pools import Said, pairs_of, people_of, write

PAIRS = pairs_of(120)
TASTES = ("warm", "dry")


def taste(name: str) -> Any:
    """What some people like: a keyed draw for each output."""

    def worth(instruction: str, input: str, output: str) -> float:
        return keyed_uniform("taste", name, output)

    return worth


LEANING = {name: Leaning(utility=taste(name), weight=40.0) for name in TASTES}
LEARNING = Judge(utility="random", learns=LEANING)
HEEDING = Judge(utility="random", heeds={f"you like what is {name}": LEANING[name] for name in TASTES})
DEAF = Judge(utility="random")


def people(pairs: Sequence[Pair] = PAIRS, tastes: Sequence[str] = (*TASTES, *TASTES)) -> list[Said]:
    """A person for each taste, who errs now and then. The first two like what the last two like."""
    said = []
    for number, name in enumerate(tastes):
        [(_, votes)] = people_of(chances(Judge(utility=taste(name), noise=0.1), pairs), 1, number)
        said.append((AnnotatorCard(f"{name}-{number}", AnnotatorKind.HUMAN), votes))
    return said


def said_by(ledger: Ledger, name: str) -> dict[str, float]:
    """What a person said of each pair, by its key."""
    [card] = [each for each in ledger.annotators() if each.name == name]
    rows = judged_by(ledger, [card.id], PairFilter())
    return dict(zip(rows["pair"], rows["preference"], strict=True))


def imitate(ledger: Any, out: Path, provider: Simulator, *more: object) -> Any:
    return told(ledger, *command(out, provider, *more))


def command(out: Path, provider: Simulator, *more: object) -> tuple[object, ...]:
    asked = ("--model", "m", "--base-url", provider.base_url)
    return ("annotators", "imitate", "plain", "--out", out, *asked, *more)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A judge that learns from examples. The run is stopped by its budget, and started again."""
    folder = tmp_path_factory.mktemp("imitate")
    ledger, out = write(folder / "farm.db", PAIRS, *people()), folder / "us"
    with served({"m": LEARNING}) as provider:
        plan = imitate(ledger, out, provider, "--dry-run")
        there = out.exists()
        stop = refused(ledger, *command(out, provider, "--max-requests", 100))
        found = imitate(ledger, out, provider)
        shown = farm(ledger, *command(out, provider)).out
        hits = provider.stats()
        pooled = told(ledger, "annotate", out / "pool.yaml", "--base-url", provider.base_url, "--limit", 20)
    return {
        "ledger": ledger, "out": out, "plan": plan, "there": there, "stop": stop, "found": found,
        "shown": shown, "stats": hits, "pooled": pooled,
    }  # fmt: skip


def test_a_taste_that_examples_show_is_found(study: dict[str, Any]) -> None:
    found = study["found"]
    assert (found["better"], found["personal"]) == ("yes", "yes")
    assert found["all"]["own"]["value"] > 0.75 > 0.65 > found["all"]["alone"]["value"]
    assert [each["shots"] for each in found["persons"]] == [8] * 4
    assert found["all"]["retest"]["value"] is None
    said = " ".join(study["shown"].split())
    assert "People agree more with their own imitation than with plain alone at temperature 1" in said
    assert "It is their own taste" in said
    assert "Nobody judged a pair twice" in said


def test_nothing_that_is_held_out_is_shown(study: dict[str, Any]) -> None:
    """No instruction of an example is asked of anybody, and each example is the person's own judgement."""
    with Ledger.open(study["ledger"], read_only=True) as ledger:
        cards = {card.name: card for card in ledger.annotators()}
        pairs = {pair.id: pair for pair in ledger.pairs()}
        ids = list(pairs)
        asked = {
            pairs[question.pair_id].instruction.text
            for each in study["found"]["persons"]
            for question in ledger.standing(cards[each["member"]].id, ids)
        }
        votes = {each["person"]: said_by(ledger, each["person"]) for each in study["found"]["persons"]}
    texts = {pair.key: pair for pair in PAIRS}
    for each in study["found"]["persons"]:
        folder = study["out"] / "members" / each["member"]
        spec = catalogue.load(str(folder))
        assert isinstance(spec, AnnotatorSpec)
        lineage = json.loads((folder / "lineage.json").read_text())
        assert (lineage["person"], len(lineage["read"])) == (each["person"], 8)
        for key, shot in zip(lineage["read"], spec.shots, strict=True):
            assert shot.instruction not in asked
            better = shot.output_1 if shot.first else shot.output_2
            preferred = votes[each["person"]][texts[key].key] == 1
            assert better == (texts[key].output_a if preferred else texts[key].output_b).text


def test_the_files_are_the_judges_that_were_asked(study: dict[str, Any]) -> None:
    """The same fingerprints, so the pool and each member find what was asked before."""
    for each in study["found"]["persons"]:
        loaded = catalogue.load(str(study["out"] / "members" / each["member"]))
        assert loaded.fingerprint == each["fingerprint"]
    pool = yaml.safe_load((study["out"] / "pool.yaml").read_text())
    assert [line["annotator"] for line in pool["members"]] == [
        f"members/{each['member']}" for each in study["found"]["persons"]
    ]
    assert study["pooled"]["statuses"] == {"ok": 20}


def test_nothing_is_paid_for_twice(study: dict[str, Any]) -> None:
    assert not study["there"]
    assert "the budget is used up" in study["stop"]
    assert {bill.billed for bill in study["stats"].bills.values()} == {1}
    planned = sum(each["requests"] for each in study["plan"].values())
    assert study["found"]["paid"]["requests"] + 100 == planned == study["stats"].hits
    kept = json.loads((study["out"] / "imitation.json").read_text())["imitation"]
    assert kept["paid"]["requests"] == 0
    for name in ("own", "alone", "others", "gain", "personal"):
        assert kept["all"][name] == pytest.approx(study["found"]["all"][name])


def test_a_judge_that_learns_nothing_is_said_to_be_no_better(ledger_url: str, tmp_path: Path) -> None:
    write(ledger_url, PAIRS, *people())
    with served({"m": DEAF}) as provider:
        found = imitate(ledger_url, tmp_path / "us", provider, "--limit", 40)
    assert found["better"] == "not decided"
    assert found["personal"] == "not decided"


def test_a_taste_that_all_share_is_no_taste_of_their_own(tmp_path: Path) -> None:
    """Examples make the judge better for all of them; nothing of it is one person's."""
    ledger = write(tmp_path / "farm.db", PAIRS, *people(tastes=["warm"] * 3))
    with served({"m": LEARNING}) as provider:
        found = imitate(ledger, tmp_path / "us", provider)
        said = " ".join(farm(ledger, *command(tmp_path / "us", provider)).out.split())
    assert (found["better"], found["personal"]) == ("yes", "not decided")
    assert "NOT shown: that it is their own taste" in said


def test_a_persona_is_heeded_without_any_example(tmp_path: Path) -> None:
    table = tmp_path / "personas.csv"
    lines = [f'warm-{n},"You like what is warm, always."' for n in (0, 2)]
    lines += [f"dry-{n},You like what is dry." for n in (1, 3)]
    table.write_text("\n".join(["person,persona", *lines, ""]))
    ledger = write(tmp_path / "farm.db", PAIRS, *people())
    with served({"m": HEEDING}) as provider:
        found = imitate(ledger, tmp_path / "us", provider, "--personas", table, "--shots", 0)
    assert (found["better"], found["personal"]) == ("yes", "yes")
    assert {each["shots"] for each in found["persons"]} == {0}
    spec = catalogue.load(str(tmp_path / "us" / "members" / "us-1"))
    assert isinstance(spec, AnnotatorSpec)
    assert (spec.persona, spec.shots) == ("You like what is dry.", ())


def test_what_people_say_again_stands_beside_it(tmp_path: Path) -> None:
    """One person judges every pair twice, and says the same of three pairs of four."""
    ledger = write(tmp_path / "farm.db", PAIRS, *people())
    with Ledger.open(ledger) as opened, opened.writing() as writer:
        cards = {card.name: card for card in opened.annotators()}
        before, number = said_by(opened, "warm-0"), cards["warm-0"].id
        for place, pair in enumerate(list(opened.pairs())):
            vote = before[pair.key] if place % 4 else 1 - before[pair.key]
            writer.annotations([Annotation(pair.id, number, vote, vote, False, replicate=1)])
    with served({"m": DEAF}) as provider:
        found = imitate(ledger, tmp_path / "us", provider, "--limit", 30)
    retest = {each["person"]: each["retest"] for each in found["persons"]}
    assert retest["warm-0"]["value"] == pytest.approx(0.75)
    assert retest["warm-0"]["n"] == len(PAIRS)
    assert retest["warm-2"]["value"] is None
    assert found["all"]["retest"]["value"] == pytest.approx(0.75)


def test_what_cannot_be_imitated_is_one_line(study: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is asked and nothing is written."""
    ledger, out = study["ledger"], tmp_path / "new"
    given = ("--model", "m", "--base-url", "http://127.0.0.1:9/v1")
    names = ("bare", "unknown", "twice", "empty", "fine")
    bare, unknown, twice, empty, fine = (tmp_path / f"{each}.csv" for each in names)
    fine.write_text("person,persona\nwarm-0,kind\nwarm-2,stern\ndry-1,brief\n")
    bare.write_text("person,persona\nwarm-0,\n")
    unknown.write_text("person,persona\nwarm-9,kind\n")
    twice.write_text("person,persona\nwarm-0,kind\nwarm-0,stern\n")
    empty.write_text("person,persona\n")
    mute = tmp_path / "mute"
    mute.mkdir()
    (mute / "prompt.jinja").write_text("{% block user %}{{ pairs[0].first }}{% endblock %}")
    (mute / "annotator.yaml").write_text("{name: mute, kind: llm, model: m, parser: {name: verdict}}")
    before = Path(ledger).read_bytes()
    for arguments, message in (
        (("crowd", "--out", out), "crowd is no language model with a prompt"),
        (("ranking", "--out", out), "ranking ranks several outputs"),
        (("plain", "--out", out, "--person", "nobody"), "no annotator 'nobody' judged here"),
        (("plain", "--out", out, "--shots", 0), "nothing tells one person from another"),
        (("plain", "--out", out, "--held-out", 0.99), "0 of 4 persons judged"),
        (("plain", "--out", out, "--personas", tmp_path / "no.csv"), "there is no such file"),
        (("plain", "--out", out, "--personas", bare), "bare.csv:2: the row has no persona"),
        (("plain", "--out", out, "--personas", unknown), "unknown.csv:2: no annotator 'warm-9'"),
        (("plain", "--out", out, "--personas", twice), "twice.csv:3: warm-0 stands in two rows"),
        (("plain", "--out", out, "--personas", empty), "the table has no rows"),
        ((mute, "--out", out), "a prompt with shots has a {% block answer %}"),
        ((mute, "--out", out, "--personas", fine), "the prompt of mute shows no {{ persona }}"),
        (("plain", "--out", study["out"], "--seed", 7), "imitations of another judge"),
    ):
        assert message in refused(ledger, "annotators", "imitate", *arguments, *given)
    assert not out.exists()
    assert Path(ledger).read_bytes() == before
