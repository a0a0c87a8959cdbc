"""What is exported and imported is what was judged: questions, people, prices, seconds and labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.rules import has_list
from db.interchange import FORMATS, made_here
from db.interchange.rows import PreferenceRow, RatedOutput, ReadOptions
from db.ledger import Ledger
from db.queries.exports import RowFilter, preference_rows
from db.queries.frames import judgements
from db.queries.training import labelled
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Instruction,
    Item,
    Output,
    Pair,
    ProducerKind,
    Question,
    Turn,
    TurnRole,
)
from farm.audit import AuditOptions, audit
from farm.export import export_file
from farm.import_ import import_files
from farm.progress import Progress, silent
from farm.snapshot import Choice, snapshot
from tests.support.command_line import told
from tests.support.judged_rows import by_name

OK, SPARED, FAILED = AnnotationStatus.OK, AnnotationStatus.SPARED, AnnotationStatus.FAILED
JUDGE = AnnotatorCard("judge", AnnotatorKind.LLM, {"prompt": "Which?"})
PEOPLE = tuple(AnnotatorCard(name, AnnotatorKind.HUMAN, {"page": "farm label"}) for name in ("ada", "ben"))
ANY = RowFilter()


QUIET: Progress = silent


@dataclass(frozen=True)
class Asked:
    """A pair, whether a source has it, and what was said of it here: by each person, and by the judge."""

    said: tuple[float | None, ...]  # of ada and ben; None: has not judged
    judged: float | None
    flipped: bool | None  # None: no source has it
    noisy: bool
    again: bool  # the judge had failed at first
    cost: float | None


ASKED = st.builds(
    Asked,
    said=st.tuples(*[st.sampled_from([None, 1.0, 0.5, 0.0])] * 2),
    judged=st.sampled_from([None, 1.0, 0.0, 0.1, 0.7]),
    flipped=st.none() | st.booleans(),
    noisy=st.booleans(),
    again=st.booleans(),
    cost=st.none() | st.floats(0, 1),
)


def pair_of(place: int, asked: Asked) -> tuple[Pair, bool]:
    """The pair of a place; where no source has it, its second output was drawn by a model of ours."""
    said = Turn(TurnRole.USER, f"Question {place // 2}")
    instruction = Instruction.of_turns([said, said]) if place // 2 % 2 else Instruction(said.content)
    drawn = ("model", ProducerKind.MODEL, '{"temperature":1}', place) if asked.flipped is None else ("b",)
    return Pair.of(Output(instruction, f"one {place}", "a"), Output(instruction, f"- two {place}", *drawn))


def judged_here(path: Path, asked: Sequence[Asked]) -> Ledger:
    """A ledger of judgements that were made in it, some of pairs that a source has."""
    ledger = Ledger.open(path, create=True)
    with ledger.writing() as writer:
        who = writer.annotators([JUDGE, *PEOPLE])
        for place, each in enumerate(asked):
            pair, _ = pair_of(place, each)
            [pair_id] = writer.pairs([pair])
            if each.flipped is not None:
                writer.items([Item("study", f"q{place}", pair, each.flipped, subset="part")])
            for annotator, said in zip(who[1:], each.said, strict=True):
                if said is not None:
                    writer.annotations([Annotation(pair_id, annotator, said, said, True)])
            questions = (Question(pair_id, 0, False), Question(pair_id, 1, False))
            [claim] = writer.claims([Claim(f"request {place}", "draw", "run", "{}", questions)])
            assert claim is not None
            writer.completions([Completion(claim, "a", cost=each.cost, seconds=0.3)])
            label = None if each.judged is None else 1 - each.judged if each.noisy else each.judged
            status = OK if each.judged is not None else SPARED if each.noisy else AnnotationStatus.UNREADABLE
            if status is SPARED:
                label = 1.0
            tried = {"completion_id": claim, "slot": 0}
            if each.again:
                writer.annotations([Annotation(pair_id, who[0], None, None, False, FAILED, "no reply")])
            reason = None if status is OK else "why"
            last = Annotation(pair_id, who[0], each.judged, label, False, status, reason, 0, int(each.again))
            writer.annotations([Annotation(**{**facts(last), **tried})])
    return ledger


def facts(fact: Annotation) -> dict[str, Any]:
    return {name: getattr(fact, name) for name in Annotation.__slots__}


def rows_of(ledger: Ledger) -> list[Any]:
    """Every judgement with all that an export knows of it, sorted."""
    return sorted((tuple(row) for row in preference_rows(ledger, ANY)), key=repr)


def audited(ledger: Ledger, labels: bool) -> Any:
    found = judgements(ledger, has_list, labels=labels)
    if found.judgements.empty:
        return None
    report: Any = audit(found, AuditOptions()).to_json()
    return {"reference": report["reference"], **by_name(report)}


def take(ledger: Ledger, format_name: str, file: Path) -> tuple[int, int, int]:
    report = import_files(ledger, format_name, [file], ReadOptions(), QUIET)
    return report.total("read"), report.total("kept"), report.total("refused")


def alike(one: Any, other: Any, place: str = "") -> None:
    """The same figures, but for rounding. place: which figure this is, for the message."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            alike(one[name], other[name], f"{place} {name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for first, second in zip(one, other, strict=True):
            alike(first, second, place)
    else:
        assert other == (pytest.approx(one, abs=1e-9) if isinstance(one, float) else one), place


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@settings(deadline=None, max_examples=3)
@given(asked=st.lists(ASKED, min_size=4, max_size=12))
def test_an_empty_ledger_gets_the_same_judgements_and_the_same_ledger_nothing(
    tmp_path_factory: pytest.TempPathFactory, ending: str, asked: list[Asked]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    file = folder / f"x{ending}"
    with judged_here(folder / "a.db", asked) as ledger, Ledger.open(folder / "b.db", create=True) as other:
        count = export_file(ledger, "preferences", file, ANY)
        assert take(ledger, "preferences", file) == (count, 0, 0)
        assert take(other, "preferences", file) == (count, count, 0)
        assert take(other, "preferences", file) == (count, 0, 0)
        alike(rows_of(ledger), rows_of(other))
        for labels in (False, True):
            alike(audited(ledger, labels), audited(other, labels))
        # and back: what went through another ledger is known here
        again = folder / f"y{ending}"
        assert export_file(other, "preferences", again, ANY) == count
        assert take(ledger, "preferences", again) == (count, 0, 0)


def sides(rows: Sequence[PreferenceRow]) -> Counter[tuple[str, str, str]]:
    """The instruction, the preferred and the other output of every judgement that prefers one."""
    told_ = Counter[tuple[str, str, str]]()
    for row in rows:
        if row.preference not in (None, 0.5):
            assert row.preference is not None
            both = (row.output_1, row.output_2) if row.preference > 0.5 else (row.output_2, row.output_1)
            told_[(row.instruction, *both)] += 1
    return told_


@pytest.mark.parametrize(
    ("name", "ending"), [("alpaca-farm", ".json"), ("trl", ".jsonl"), ("trl", ".parquet")]
)
@settings(deadline=None, max_examples=2)
@given(asked=st.lists(ASKED, min_size=4, max_size=12))
def test_other_formats_keep_who_won(
    tmp_path_factory: pytest.TempPathFactory, name: str, ending: str, asked: list[Asked]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    with judged_here(folder / "a.db", asked) as ledger:
        for labels in (False, True):
            wanted = RowFilter(labels=labels)
            file = folder / f"{labels}{ending}"
            write = FORMATS[name].write
            assert write is not None
            if write(preference_rows(ledger, wanted), file):
                rows = FORMATS[name].read(file, ReadOptions())
                written = [row for row in rows if isinstance(row, PreferenceRow)]
                assert sides(written) == sides(list(preference_rows(ledger, wanted)))


NOISY = [
    Asked((1.0, None), judged=1.0, flipped=place % 2 == 0, noisy=place % 3 == 0, again=False, cost=None)
    for place in range(9)
]


def test_unpaired_rows_keep_what_was_liked(tmp_path: Path) -> None:
    with judged_here(tmp_path / "a.db", NOISY) as ledger:
        rows = list(preference_rows(ledger, ANY))
        export_file(ledger, "trl-unpaired", tmp_path / "x.jsonl", ANY)
    back = list(FORMATS["trl-unpaired"].read(tmp_path / "x.jsonl", ReadOptions()))
    liked = Counter(row.output for row in back if isinstance(row, RatedOutput) and row.label == 1)
    assert liked == Counter(preferred for _, preferred, _ in sides(rows).elements())
    assert len(back) == 2 * len(rows)


def test_labels_are_those_of_a_snapshot(tmp_path: Path) -> None:
    """Every third verdict of the judge was turned by label noise."""
    verdicts, labels = tmp_path / "verdicts.jsonl", tmp_path / "labels.jsonl"
    with judged_here(tmp_path / "a.db", NOISY) as ledger:
        frozen = snapshot(ledger, "s", Choice(annotators=("judge",)))
        trained = Counter(
            (
                row.instruction.text,
                *((row.output_a, row.output_b) if row.label else (row.output_b, row.output_a)),
            )
            for row in labelled(ledger, frozen.card.id)
        )
    found = {}
    for file, flags in ((verdicts, ()), (labels, ("--labels",))):
        told(tmp_path / "a.db", "export", "trl", file, "--annotator", "judge", *flags)
        rows = FORMATS["trl"].read(file, ReadOptions())
        found[file] = sides([row for row in rows if isinstance(row, PreferenceRow)])
    assert found[labels] == trained
    assert (found[verdicts] - found[labels]).total() == 3
    cards = [file.with_name(f"{file.name}.card.md").read_text() for file in (verdicts, labels)]
    assert ["before label noise" in card for card in cards] == [True, False]
    assert ["after label noise, as" in card for card in cards] == [False, True]
    assert all("| judge | llm | 9 |" in card and "| ada |" not in card for card in cards)


def test_a_file_gives_nobody_elses_judgements_to_an_annotator(tmp_path: Path) -> None:
    """The key in a file counts only beside its annotator's name and kind."""
    with judged_here(tmp_path / "a.db", NOISY[:1]) as ledger:
        [row] = [row for row in preference_rows(ledger, ANY) if row.annotator == "judge"]
        write = FORMATS["preferences"].write
        assert write is not None
        assert row.made is not None
        forged = row._replace(annotator="mallory", replicate=1)
        write([forged], tmp_path / "spec.jsonl")
        assert take(ledger, "preferences", tmp_path / "spec.jsonl") == (1, 0, 1)  # it is not mallory's spec
        write([forged._replace(made=row.made._replace(spec=None))], tmp_path / "x.jsonl")
        assert take(ledger, "preferences", tmp_path / "x.jsonl") == (1, 1, 0)
        kept = {card.name: card.spec for card in ledger.annotators()}
        assert kept["mallory"] == {"imported": True, "made": JUDGE.key}
        assert len([row for row in preference_rows(ledger, ANY) if row.annotator == "judge"]) == 1


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"annotator": 1}, "not what `farm export` writes"),
        ({"annotator": "k", "other": 1}, "not what `farm export` writes"),
        ({"annotator": "k", "status": "failed"}, "which does not fit"),
        ({"annotator": "k", "label": 2}, "not in [0, 1]"),
        ({"annotator": "k", "attempt": -1}, "not a whole number from 0"),
        ({"annotator": "k", "drawn": []}, "not two lists"),
        ({"annotator": "k", "drawn": [["model", "", 0], ["nobody", "", 0]]}, "not a kind, a decoding"),
    ],
)
def test_what_no_export_writes_is_refused(made: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        made_here.from_json(made, 1.0)


def test_every_format_that_is_written_is_held_here() -> None:
    written = {name for name, each in FORMATS.items() if each.write}
    assert written == {"preferences", "alpaca-farm", "trl", "trl-unpaired"}
