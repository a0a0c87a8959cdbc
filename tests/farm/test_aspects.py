"""Criteria over a real HTTP provider: rows beside the judgement, other weights for nothing, and one alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.simulator import Judge
from db.ids import keyed_uniform
from db.ledger import Ledger
from db.queries import training
from db.records import Annotation, AnnotationStatus, AnnotatorCard, AnnotatorKind, AspectVerdict
from db.tables import ANNOTATION, ASPECT
from farm.snapshot import Choice, snapshot
from tests.support.command_line import farm, refused, told
from tests.support.known_members import chances, served
from tests.support.known_pools import pairs_of, people_of, write

PAIRS = pairs_of(120)
CRITERIA = ("helpfulness", "correctness", "coherence")


def worth(name: str) -> Any:
    return lambda instruction, input, output: 4 * keyed_uniform("worth", output, name) - 2


JUDGE = Judge(aspects={name: worth(name) for name in CRITERIA}, noise=0.8)
CHANCES = {name: chances(Judge(utility=worth(name), noise=0.8), PAIRS) for name in CRITERIA}


def near(found: float, chance: np.ndarray[Any, Any]) -> bool:
    """Whether a count is within four standard deviations of the sum of independent chances."""
    return bool(abs(found - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum()))


def judge_file(folder: Path, name: str, **parser: object) -> str:
    """A copy of the catalogue's `aspects`, at temperature 1."""
    from annotators.catalogue import FOLDER

    (folder / name).mkdir()
    (folder / name / "prompt.jinja").write_text((FOLDER / "aspects" / "prompt.jinja").read_text())
    options = {"name": "aspects", **parser}
    lines = ["kind: llm", f"name: {name}", "model: m", "decoding: {temperature: 1, max_tokens: 40}"]
    (folder / name / "annotator.yaml").write_text("\n".join([*lines, f"parser: {json.dumps(options)}", ""]))
    return str(folder / name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A judge with a taste for each criterion; three people who speak of correctness as it does."""
    folder = tmp_path_factory.mktemp("aspects")
    ledger = write(folder / "farm.db", PAIRS)
    with Ledger.open(ledger) as opened, opened.writing() as writer:
        ids = [pair.id for pair in opened.pairs()]
        for card, said in people_of(CHANCES["correctness"], 3, seed=1):
            [number] = writer.annotators([card])
            aspects = ((AspectVerdict("correctness", float(each)),) for each in said)
            both = zip(ids, aspects, strict=True)
            writer.annotations([Annotation(i, number, 0.5, 0.5, None, aspects=each) for i, each in both])
    first = judge_file(folder, "even", criteria=CRITERIA)
    with served({"m": JUDGE}) as simulator:
        base = ("--base-url", simulator.base_url)
        asked = told(ledger, "annotate", first, *base)
        hits = simulator.stats().hits
        weighed = judge_file(folder, "weighed", criteria={"helpfulness": 5, "correctness": 1, "coherence": 1})
        again = told(ledger, "annotate", weighed, *base)
        assert simulator.stats().hits == hits
    (folder / "soft").mkdir()
    options = {"name": "aspects", "criteria": {"helpfulness": 1, "correctness": 3}, "soft": True}
    reading = ["kind: llm", "name: soft", "recorded: {annotator: even}", f"parser: {json.dumps(options)}", ""]
    (folder / "soft" / "annotator.yaml").write_text("\n".join(reading))
    read = told(ledger, "annotate", folder / "soft")
    return {"ledger": ledger, "asked": asked, "again": again, "read": read, "hits": hits}


def verdicts(path: Path, annotator: str) -> dict[int, tuple[float, dict[str, AspectVerdict]]]:
    """By pair: the overall preference, and the aspects."""
    with Ledger.open(path) as ledger, ledger.reading() as connection:
        number = next(card.id for card in ledger.annotators() if card.name == annotator)
        rows = connection.execute(ANNOTATION.select().where(ANNOTATION.c.annotator_id == number)).all()
        aspects: dict[int, dict[str, AspectVerdict]] = {}
        for each, *said in connection.execute(ASPECT.select()):
            aspects.setdefault(each, {})[said[0]] = AspectVerdict(*said)
    return {row.pair_id: (row.preference, aspects[row.id]) for row in rows}


def test_one_request_a_pair_gives_a_row_for_each_criterion(study: dict[str, Any]) -> None:
    assert study["asked"]["requests"] == study["hits"] == len(PAIRS)
    assert study["asked"]["statuses"] == {"ok": len(PAIRS)}
    found = verdicts(study["ledger"], "even")
    assert all(tuple(sorted(aspects)) == tuple(sorted(CRITERIA)) for _, aspects in found.values())
    for name in CRITERIA:
        won = sum(aspects[name].preference or 0.0 for _, aspects in found.values())
        assert near(won, CHANCES[name])
    for preference, aspects in found.values():
        assert preference == float(sum(aspects[name].preference or 0.0 for name in CRITERIA) > 1.5)


def test_other_weights_ask_nobody_and_change_the_overall_verdict_alone(study: dict[str, Any]) -> None:
    assert study["again"]["requests"] == study["read"]["requests"] == 0
    assert study["again"]["statuses"] == study["read"]["statuses"] == {"ok": len(PAIRS)}
    even, weighed, soft = (verdicts(study["ledger"], name) for name in ("even", "weighed", "soft"))
    assert {pair: aspects for pair, (_, aspects) in even.items()} == {
        pair: aspects for pair, (_, aspects) in weighed.items()
    }
    for pair, (_, aspects) in even.items():
        said = {name: aspects[name].preference or 0.0 for name in CRITERIA}
        assert weighed[pair][0] == said["helpfulness"]  # 5 of 7 outvote the others
        assert soft[pair][0] == pytest.approx((said["helpfulness"] + 3 * said["correctness"]) / 4)
        assert soft[pair][1].keys() == {"helpfulness", "correctness"}
    assert {preference for preference, _ in soft.values()} == {0.0, 0.25, 0.75, 1.0}


def test_the_audit_of_an_aspect_is_that_of_its_verdicts(study: dict[str, Any]) -> None:
    """The majority of three people is first with chance m = p²(3 - 2p); the judge meets it with
    pm + (1 - p)(1 - m). Overall people say tie, which the judge never does."""
    ledger = study["ledger"]
    report = told(ledger, "audit", "--aspect", "correctness")
    right = {each["annotator"]: each for each in report["annotators"]}
    assert right.keys() == {"even", "weighed", "soft", "person-0", "person-1", "person-2"}
    p = CHANCES["correctness"]
    m = p**2 * (3 - 2 * p)
    assert near(right["even"]["accuracy"]["value"] * len(PAIRS), p * m + (1 - p) * (1 - m))
    assert right["even"]["accuracy"] == right["weighed"]["accuracy"] == right["soft"]["accuracy"]
    assert report["aspect"] == "correctness"
    whole = told(ledger, "audit", "--annotator", "even")
    assert whole["annotators"][0]["accuracy"]["value"] == 0
    assert (whole["aspect"], whole["aspects"]) == (None, sorted(CRITERIA))


def test_only_who_judges_by_an_aspect_is_audited_on_it(study: dict[str, Any]) -> None:
    ledger = study["ledger"]
    report = told(ledger, "audit", "--aspect", "coherence", "--reference", "even")
    assert {each["annotator"] for each in report["annotators"]} == {"even", "weighed"}
    assert report["strengths"] is report["ratings"] is None
    assert "Aspects, for --aspect: coherence, correctness, helpfulness." in farm(ledger, "audit").out
    shown = farm(ledger, "audit", "--aspect", "coherence", "--reference", "even").out
    assert shown.startswith("Verdicts on the aspect coherence, in place of the overall ones.")


def test_a_snapshot_of_an_aspect_trains_on_its_verdicts(study: dict[str, Any]) -> None:
    found = verdicts(study["ledger"], "even")
    with Ledger.open(study["ledger"]) as ledger:
        whole = snapshot(ledger, "whole", Choice(("even",)))
        part = snapshot(ledger, "right", Choice(("even",), aspect="correctness"))
        assert part.card.key != whole.card.key
        assert part == snapshot(ledger, "right", Choice(("even",), aspect="correctness"))
        pairs = {each.output_a.text: each.id for each in ledger.pairs()}
        for name, report in (("", whole), ("correctness", part)):
            rows = list(training.labelled(ledger, report.card.id))
            assert len(rows) == len(PAIRS)
            for row in rows:
                preference, aspects = found[pairs.get(row.output_a) or pairs[row.output_b]]
                expected = aspects[name].preference if name else preference
                assert row.label == (expected if row.output_a in pairs else 1 - (expected or 0.0))
        everybody = snapshot(ledger, "all", Choice(aspect="correctness")).card
        assert everybody.rows == 6 * len(PAIRS)  # three annotators and three people
        assert snapshot(ledger, "two", Choice(aspect="coherence")).card.rows == 2 * len(PAIRS)
    node = told(study["ledger"], "trace", "snapshot:right")
    assert node["facts"]["choice"]["aspect"] == "correctness"


def test_what_says_nothing_of_an_aspect_is_left_out_and_what_failed_is_not(ledger_url: str) -> None:
    """A tie of identical outputs is spoken of as a whole. An unreadable reply lacks the aspect too."""
    name = "100% 'sure' \\ %s :x"
    judge = AnnotatorCard("judge", AnnotatorKind.LLM)
    with Ledger.open(ledger_url, create=True) as ledger:
        with ledger.writing() as writer:
            [number, other] = writer.annotators([judge, AnnotatorCard("other", AnnotatorKind.LLM)])
            one, two, three, four = writer.pairs(PAIRS[:4])
            aspect = (AspectVerdict(name, 0.0, 1, 5),)
            writer.annotations(
                [
                    Annotation(one, number, 1.0, 1.0, False, aspects=aspect),
                    Annotation(two, number, 0.5, 0.5, False),
                    Annotation(three, number, None, None, False, AnnotationStatus.UNREADABLE, "mumbled"),
                    Annotation(four, number, 1.0, 1.0, False, aspects=aspect),
                    Annotation(four, number, None, None, False, AnnotationStatus.RETRACTED, attempt=1),
                    Annotation(one, other, 1.0, 1.0, False),
                ]
            )
        assert [row.label for row in training.labelled(ledger, _frozen(ledger, name))] == [0.0]
    report = told(ledger_url, "audit", "--aspect", name, "--reference", "judge")
    [row] = report["annotators"]
    assert (row["annotator"], row["n"], row["unreadable"]) == ("judge", 2, 0.5)


def _frozen(ledger: Ledger, aspect: str) -> int:
    return snapshot(ledger, "x", Choice(aspect=aspect)).card.id


def test_aspects_of_both_orders_are_averaged(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "farm.db", create=True) as ledger:
        with ledger.writing() as writer:
            [number] = writer.annotators([AnnotatorCard("judge", AnnotatorKind.LLM)])
            [one, two] = writer.pairs(PAIRS[:2])
            said = {(one, False): 1.0, (one, True): 0.0, (two, False): 1.0, (two, True): 1.0}
            writer.annotations(
                [
                    Annotation(pair, number, 0.0, 0.0, swapped, aspects=(AspectVerdict("x", preference),))
                    for (pair, swapped), preference in said.items()
                ]
            )
        card = snapshot(ledger, "mean", Choice(aspect="x", average_orders=True)).card
        assert sorted(row.label for row in training.labelled(ledger, card.id)) == [0.5, 1.0]


def test_aspects_travel_in_our_own_format_and_by_merge(study: dict[str, Any], tmp_path: Path) -> None:
    rows, there, merged = tmp_path / "rows.jsonl", tmp_path / "there.db", tmp_path / "merged.db"
    assert farm(study["ledger"], "export", "preferences", rows).code == 0
    told(there, "import", "preferences", rows)
    assert _aspects(there) == _aspects(study["ledger"])
    with Ledger.open(merged, create=True):
        pass
    told(merged, "merge", study["ledger"])
    assert _aspects(merged) == _aspects(study["ledger"])


def _aspects(path: Path) -> list[tuple[Any, ...]]:
    """All aspects with the outputs that they are about, whatever the ids."""
    with Ledger.open(path) as ledger, ledger.reading() as connection:
        keys = {pair.id: pair.key for pair in ledger.pairs()}
        names = {card.id: card.name for card in ledger.annotators()}
        query = ANNOTATION.join(ASPECT).select()
        rows = connection.execute(query.with_only_columns(ANNOTATION.c.pair_id, ANNOTATION.c.annotator_id,
                                                          *list(ASPECT.c)[1:]))  # fmt: skip
        return sorted((keys[pair], names[who], *said) for pair, who, *said in rows)


@pytest.mark.parametrize(
    ("aspects", "reason"),
    [
        ([], "not an object"),
        ({"x": [1.0]}, r"x is \[1.0\], not \[preference, score, score\]"),
        ({"x": [2.0, None, None]}, "not .preference"),
        ({"x": ["1", None, None]}, "not .preference"),
    ],
)
def test_a_row_whose_aspects_are_none_is_refused(
    study: dict[str, Any], tmp_path: Path, aspects: object, reason: str
) -> None:
    farm(study["ledger"], "export", "preferences", tmp_path / "rows.jsonl", "--annotator", "even")
    line = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    line["meta"]["_farm"]["aspects"] = aspects
    (tmp_path / "one.jsonl").write_text(json.dumps(line) + "\n")
    said = farm(tmp_path / "x.db", "import", "preferences", tmp_path / "one.jsonl")
    assert said.code == 1
    assert re.search(reason, " ".join(said.out.split()))


def test_a_trace_tells_the_verdict_on_each_criterion(study: dict[str, Any]) -> None:
    with Ledger.open(study["ledger"]) as ledger, ledger.reading() as connection:
        number = connection.execute(ASPECT.select().where(ASPECT.c.name == CRITERIA[0])).first().annotation_id  # type: ignore[union-attr]
    node = told(study["ledger"], "trace", f"annotation:{number}")
    assert node["facts"]["aspects"].keys() == set(CRITERIA)


def test_wrong_aspects_are_one_line(study: dict[str, Any]) -> None:
    ledger = study["ledger"]
    assert "did you mean 'coherence'" in refused(ledger, "audit", "--aspect", "coherance")
    assert "there is coherence, correctness, helpfulness" in refused(ledger, "snapshot", "y", "--aspect", "z")
    assert "--labels and --aspect" in farm(ledger, "audit", "--aspect", "coherence", "--labels").error
    assert "--unpaired and --aspect" in farm(ledger, "snapshot", "y", "--aspect", "x", "--unpaired").error
