"""Panels and their like, exported into an empty ledger: the same parts and audit, and nobody is asked."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotators.simulator import Judge
from db.ids import keyed_uniform
from db.interchange.made_here import of_row
from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.records import AnnotatorCard, AnnotatorKind, Item
from tests.farm.test_export_round_trip import alike
from tests.support.command_line import told
from tests.support.known_members import composite_file, served
from tests.support.known_pools import pairs_of, write

NAMES = ("one", "two", "three")
PAIRS = pairs_of(40)


def judge(name: str) -> Judge:
    return Judge(
        utility=lambda instruction, input, output: 3 * keyed_uniform("worth", output, name), noise=0.6
    )


JUDGES = {name: judge(name) for name in NAMES}
SURE = "annotator: logprob, least_confidence: 0.8"
PEOPLE = AnnotatorCard("ada", AnnotatorKind.HUMAN, {"page": "farm label", "guideline": "Be fair."})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A panel, one with a gate, a cascade, and one judge asked until it is clear. Every second pair is an
    item that a source has the other way round."""
    folder = tmp_path_factory.mktemp("parts")
    ledger = write(folder / "farm.db", PAIRS, (PEOPLE, [float(i % 3 > 0) for i in range(len(PAIRS))]))
    with Ledger.open(ledger) as opened, opened.writing() as writer:
        writer.items([Item("study", f"q{i}", pair, True) for i, pair in enumerate(PAIRS) if i % 2])
    files = [
        composite_file(folder / "vote.yaml", "panel", NAMES),
        composite_file(folder / "strict.yaml", "panel", NAMES, "least_agreement: 1"),
        composite_file(folder / "cheap.yaml", "cascade", NAMES[:2], asked=SURE),
        composite_file(folder / "again.yaml", "sequential", ["one"], "sure: 0.9", "most: 5"),
    ]
    with served(JUDGES) as simulator:
        asked = [told(ledger, "annotate", file, "--base-url", simulator.base_url) for file in files]
    assert asked[0]["requests"] == 3 * len(PAIRS)
    told(ledger, "export", "preferences", folder / "x.jsonl")
    return {"ledger": ledger, "folder": folder, "files": files}


def brought(file: Path, path: Path) -> Path:
    """An empty ledger into which the file was imported."""
    with Ledger.open(path, create=True):
        pass
    told(path, "import", "preferences", file)
    return path


def parts(path: Path) -> Counter[tuple[object, ...]]:
    """What was made of what: who judged which pair, in which replicate, and the same of the part."""
    query = """
        SELECT pair.key, whole_maker.key, whole.replicate, part_maker.key, part.replicate, part.swapped
        FROM made_of
        JOIN annotation whole ON whole.id = made_of.annotation_id
        JOIN annotation part ON part.id = made_of.part_id AND part.pair_id = whole.pair_id
        JOIN annotator whole_maker ON whole_maker.id = whole.annotator_id
        JOIN annotator part_maker ON part_maker.id = part.annotator_id
        JOIN pair ON pair.id = whole.pair_id
    """
    with Ledger.open(path) as ledger, ledger.reading() as connection:
        return Counter(tuple(row) for row in connection.exec_driver_sql(query))


def audited(path: Path) -> dict[str, Any]:
    """What an audit says of each annotator, but for what requests cost and took."""
    found = {each["annotator"]: each for each in told(path, "audit")["annotators"]}
    return {
        name: {key: value for key, value in each.items() if not key.endswith("_per_1000")}
        for name, each in found.items()
    }


def test_an_empty_ledger_gets_the_same_parts_annotators_and_audit(
    study: dict[str, Any], tmp_path: Path
) -> None:
    other = brought(study["folder"] / "x.jsonl", tmp_path / "b.db")
    found = parts(study["ledger"])
    assert found.total() > 6 * len(PAIRS)
    assert parts(other) == found
    with Ledger.open(study["ledger"]) as one, Ledger.open(other) as two:
        assert {card.key for card in one.annotators()} == {card.key for card in two.annotators()}
    alike(audited(study["ledger"]), audited(other))
    again = told(other, "import", "preferences", study["folder"] / "x.jsonl")
    assert again["kept"] == 0
    assert parts(other) == found
    told(other, "export", "preferences", tmp_path / "y.jsonl")
    back, first = (
        sorted(map(json.dumps, map(_judged, path.read_text().splitlines())))
        for path in (tmp_path / "y.jsonl", study["folder"] / "x.jsonl")
    )
    assert back == first


def _judged(line: str) -> Any:
    """A row without what only one of a file's rows has."""
    row = json.loads(line)
    row["meta"]["_farm"]["made"].pop("spec", None)
    row["meta"]["_farm"].pop("price", None), row["meta"]["_farm"].pop("seconds", None)
    return row


def test_nobody_is_asked_for_what_stands_there(study: dict[str, Any], tmp_path: Path) -> None:
    """Neither for the panels that were brought, nor for a new one of the same members."""
    other = brought(study["folder"] / "x.jsonl", tmp_path / "b.db")
    new = composite_file(tmp_path / "new.yaml", "panel", NAMES[::-1], "combine: majority")
    with served(JUDGES) as simulator:
        for file in (*study["files"], new):
            report = told(other, "annotate", file, "--base-url", simulator.base_url)
            assert report["requests"] == 0
            assert report["already"] == (0 if file == new else len(PAIRS))
        assert simulator.stats().hits == 0


def test_parts_that_a_file_leaves_out_are_pointed_to_when_they_come(
    study: dict[str, Any], tmp_path: Path
) -> None:
    told(study["ledger"], "export", "preferences", tmp_path / "alone.jsonl", "--annotator", "vote")
    other = brought(tmp_path / "alone.jsonl", tmp_path / "b.db")
    assert not parts(other)
    with served(JUDGES) as simulator:
        report = told(other, "annotate", study["files"][0], "--base-url", simulator.base_url)
        assert (report["requests"], report["already"], simulator.stats().hits) == (0, len(PAIRS), 0)
    told(other, "import", "preferences", study["folder"] / "x.jsonl")
    told(other, "import", "preferences", tmp_path / "alone.jsonl")
    assert parts(other) == parts(study["ledger"])


def test_a_file_without_the_first_rows_is_taken_under_stand_ins(
    study: dict[str, Any], tmp_path: Path
) -> None:
    """As files of earlier releases are. What is known of an annotator then is its name, kind and key."""
    rows = [json.loads(line) for line in (study["folder"] / "x.jsonl").read_text().splitlines()]
    for row in rows:
        row["meta"]["_farm"]["made"].pop("spec", None)
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = brought(tmp_path / "old.jsonl", tmp_path / "b.db")
    with Ledger.open(other) as ledger:
        assert all(card.spec["imported"] for card in ledger.annotators())
    assert parts(other).total() == parts(study["ledger"]).total()
    known = told(other, "import", "preferences", study["folder"] / "x.jsonl")
    assert (known["kept"], known["refused"]) == (0, 0)
    with Ledger.open(other) as ledger, Ledger.open(study["ledger"]) as first:
        made, whole = (list(preference_rows(each, RowFilter())) for each in (ledger, first))
    assert [row.made and row.made.parts for row in made] == [row.made and row.made.parts for row in whole]


def test_parquet_holds_the_same(study: dict[str, Any], tmp_path: Path) -> None:
    told(study["ledger"], "export", "preferences", tmp_path / "x.parquet")
    other = brought(tmp_path / "x.parquet", tmp_path / "b.db")
    assert parts(other) == parts(study["ledger"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"parts": 1}, "parts is 1, not lists of annotator"),
        ({"parts": [["k", 0, None]]}, "not lists of annotator"),
        ({"parts": [["k", -1, None, 0]]}, "not lists of annotator"),
        ({"parts": [["k", 0, "yes", 0]]}, "not lists of annotator"),
        ({"parts": [["k\0", 0, None, 0]]}, "NUL"),
        ({"spec": []}, "spec is .*, not an object"),
        ({"spec": {"prompt": "another"}}, "not the spec of this annotator"),
    ],
)
def test_what_no_export_writes_is_refused(made: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of_row({"made": {"annotator": PEOPLE.key, **made}}, 1.0, PEOPLE.name, kind=PEOPLE.kind)
