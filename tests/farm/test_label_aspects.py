"""farm label by criteria: what is written, and what audit, snapshot, export and a parser make of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.queries import training
from db.queries.aspects import aspects_of
from db.records import AspectVerdict, Instruction, Item, Output, Pair
from farm.label import LabelTask, chosen_pairs
from farm.pages.labelling.questions import questions
from farm.pages.labelling.sitting import Outcome, Sitting, person
from farm.snapshot import Choice, snapshot
from tests.support.command_line import told
from tests.support.label_page import Labelling, labelling

CRITERIA = ("help<b>ful", "true")


def fill(path: Path | str, count: int) -> None:
    """Pairs of a good and a bad output, of which the bad one is longer."""
    pairs = []
    for i in range(count):
        asked = Instruction(f"question {i}")
        pairs.append(Pair.of(Output(asked, f"good {i}", "m"), Output(asked, f"bad, and longer {i}", "n")))
    with Ledger.open(path, create=True) as opened, opened.writing() as writer:
        writer.items([Item("crossed", str(i), pair, flipped) for i, (pair, flipped) in enumerate(pairs)])


def likes(at: Sitting, start: str) -> str:
    """The key for the output that begins so."""
    question = at.shown().question
    assert question
    first = question.pair.output_b if question.swapped else question.pair.output_a
    return "1" if first.text.startswith(start) else "2"


def sat(ledger: Ledger, name: str) -> Sitting:
    """Somebody who finds the good output more helpful, the bad one true every second time, and the good one
    better."""
    card = person(name, "guideline", aspects=CRITERIA)
    pairs = chosen_pairs(ledger, LabelTask((name,), "crossed"))
    at = Sitting(ledger, card, questions(pairs, 0, card.key), aspects=CRITERIA)
    turn = 0
    while question := at.shown().question:
        on_aspects = (likes(at, "good"), "0" if turn % 2 else likes(at, "bad"))
        assert at.answer(question.key, likes(at, "good"), 1.0, on_aspects) is Outcome.SAVED
        turn += 1
    return at


def verdicts(ledger: Ledger) -> list[tuple[float, dict[str, float | None]]]:
    """Of each judgement in order: P(the good one is preferred), and the same on each criterion."""
    found = []
    pairs = {pair.id: pair for pair in ledger.pairs()}
    with ledger.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, pair_id, preference FROM annotation WHERE status = 'ok' ORDER BY id"
        ).fetchall()
    aspects = aspects_of(ledger, [row[0] for row in rows])
    for number, pair_id, preference in rows:
        good_first = pairs[pair_id].output_a.text.startswith("good")
        said = {
            each.name: each.preference if good_first else each.turned.preference
            for each in aspects.get(number, ())
        }
        found.append((preference if good_first else 1 - preference, said))
    return found


def test_criteria_are_rows_beside_the_judgement_in_canonical_order(ledger_url: str) -> None:
    fill(ledger_url, 20)
    with Ledger.open(ledger_url) as ledger:
        at = sat(ledger, "ada")
        assert at.summary().judged == 20
        expected = [(1.0, {CRITERIA[0]: 1.0, CRITERIA[1]: 0.5 if turn % 2 else 0.0}) for turn in range(20)]
        assert verdicts(ledger) == expected
        again = Sitting(ledger, at.card, questions(list(ledger.pairs()), 0, at.card.key), aspects=CRITERIA)
        assert again.summary().left == 0


def test_an_undo_takes_the_criteria_back_and_a_skip_has_none(ledger_url: str) -> None:
    fill(ledger_url, 2)
    with Ledger.open(ledger_url) as ledger:
        card = person("ada", "guideline", aspects=CRITERIA)
        at = Sitting(ledger, card, questions(list(ledger.pairs()), 0, card.key), aspects=CRITERIA)
        first = at.shown().question
        assert first
        assert at.answer(first.key, "1", 1.0, ("1", "2")) is Outcome.SAVED
        assert at.undo() is Outcome.UNDONE
        assert at.answer(first.key, "0", 1.0, ("0", "0")) is Outcome.SAVED
        second = at.shown().question
        assert second
        assert at.answer(second.key, "s") is Outcome.SAVED
        with ledger.reading() as connection:
            ids = [row[0] for row in connection.exec_driver_sql("SELECT id FROM annotation ORDER BY id")]
        found = aspects_of(ledger, ids)
        assert found.keys() == {ids[0], ids[2]}  # neither the retraction nor the skip
        assert {each.preference for each in found[ids[2]]} == {0.5}
        snapshot(ledger, "true", Choice(("ada",), aspect="true"))
        assert [row.label for row in training.labelled(ledger, 1)] == [0.5]  # the latest attempt alone


def test_audit_snapshot_export_and_a_parser_read_them(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    fill(path, 12)
    with Ledger.open(path) as ledger:
        for name in ("ada", "ben"):
            sat(ledger, name)
    report = told(path, "audit", "--aspect", "true")
    assert report["aspects"] == sorted(CRITERIA)
    assert {each["annotator"]: each["n"] for each in report["annotators"]} == {"ada": 12, "ben": 12}
    told(path, "snapshot", "helpful", "--annotator", "ada", "--aspect", CRITERIA[0])
    told(path, "export", "preferences", tmp_path / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    for row in rows:
        good = row["output_1"].startswith("good")
        assert row["meta"]["_farm"]["aspects"][CRITERIA[0]] == [float(good), None, None]
    (tmp_path / "weighed").mkdir()
    parser = {"name": "aspects", "criteria": {CRITERIA[0]: 1, "true": 2}}
    spec = ["kind: llm", "name: weighed", "recorded: {annotator: ada}", "outputs: ['1', '2']"]
    (tmp_path / "weighed" / "annotator.yaml").write_text(
        "\n".join([*spec, f"parser: {json.dumps(parser)}", ""])
    )
    read = told(path, "annotate", tmp_path / "weighed")
    assert (read["requests"], read["statuses"]) == (0, {"ok": 12})
    with Ledger.open(path) as ledger:
        found = verdicts(ledger)
    assert found[24:] == [
        (p, said) for p, said in zip([0.0, 1.0] * 6, [s for _, s in found[:12]], strict=True)
    ]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Labelling, Path]]:
    path = tmp_path_factory.mktemp("aspects") / "farm.db"
    fill(path, 4)
    flags = [flag for name in CRITERIA for flag in ("--aspect", name)]
    with labelling(path, "--annotator", "ada", "--catch", "0", *flags) as page:
        yield page, path


def test_over_http_every_criterion_needs_a_verdict(running: tuple[Labelling, Path]) -> None:
    page, path = running
    address, _, token = page.link("ada").partition("/?token=")
    with httpx2.Client(base_url=address, headers={"origin": address}) as client:
        client.get("/", params={"token": token})

        def post(**more: str) -> httpx2.Response:
            page = client.get("/").text
            fields = dict(re.findall(r'name="(token|question)" value="([^"]+)"', page))
            return client.post(
                "/judge", data=fields | {name.replace("_", "-"): v for name, v in more.items()}
            )

        html = client.get("/").text
        assert "help&lt;b&gt;ful" in html
        assert "help<b>" not in html
        assert html.count('role="radiogroup"') == 2
        wrong: list[dict[str, str]] = [{}, {"aspect_0": "1"}, {"aspect_0": "1", "aspect_1": "3"}]
        for said in wrong:
            refused = post(verdict="1", **said)
            assert (refused.status_code, "every criterion" in refused.text) == (400, True)
        with Ledger.open(path) as ledger:
            assert ledger.counts()["annotation"] == 0
        assert post(verdict="2", aspect_0="1", aspect_1="0").headers["location"] == "/?said=2"
        assert post(verdict="s").headers["location"] == "/?said=s"
        many = {f"aspect_{i}": "1" for i in range(30)}
        assert post(verdict="2", **many).status_code == 403
    with Ledger.open(path) as ledger, ledger.reading() as connection:
        query = "SELECT text FROM completion ORDER BY claim_id"
        replies = [row[0] for row in connection.exec_driver_sql(query)]
    assert sorted(replies) == ["help<b>ful: 1\ntrue: tie\noverall: 2", "s"]


def test_other_criteria_are_another_annotator() -> None:
    cards: list[Any] = [person("ada", "", aspects=each) for each in ((), ("a",), ("a", "b"), ("b", "a"))]
    assert len({card.key for card in cards}) == 4
    assert cards[0].key == person("ada", "").key


@pytest.mark.parametrize(
    ("aspects", "what"),
    [
        (("true", "True "), "one criterion twice"),
        (("",), "no name of up to 80"),
        (("a\nb",), "no name of up to 80"),
        (("x" * 81,), "no name of up to 80"),
        (tuple(f"c{i}" for i in range(13)), "is given 13 times, and 12 is the most"),
    ],
)
def test_criteria_that_cannot_be_shown_are_refused(aspects: tuple[str, ...], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        LabelTask(("ada",), aspects=aspects)


def test_a_verdict_is_turned_where_the_outputs_were() -> None:
    from farm.pages.labelling.criteria import aspects_of as made

    assert made(("x", "y"), ("1", "0"), swapped=False) == (AspectVerdict("x", 1.0), AspectVerdict("y", 0.5))
    assert made(("x",), ("1",), swapped=True) == (AspectVerdict("x", 0.0),)
