"""farm label: the pairs that a panel left open, and the scales that say how much better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.errors import ConfigError
from db.ledger import Ledger, PairFilter
from db.queries.contests import contests
from db.records import Instruction, Item, Output, Pair
from db.tables import ANNOTATION, PAIR, STRENGTH
from farm.annotate import annotate
from farm.judging.provider import Task
from farm.label import LabelTask, chosen_pairs
from farm.pages.labelling.questions import questions
from farm.pages.labelling.sitting import Outcome, Sitting, person


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """Forty pairs of the source `crossed`."""
    pairs = []
    for i in range(40):
        asked = Instruction(f"question {i}")
        pairs.append(Pair.of(Output(asked, f"good {i}", "m"), Output(asked, f"bad {i}", "n"))[0])
    with Ledger.open(ledger_url, create=True) as opened:
        with opened.writing() as writer:
            writer.items([Item("crossed", str(i), pair, False) for i, pair in enumerate(pairs)])
        yield opened


def test_only_what_a_panel_left_open_is_shown(ledger: Ledger, tmp_path: Path) -> None:
    """`good` is longer than `bad`, and `first` is a coin's answer. Where they differ, people are asked."""
    (tmp_path / "two.yaml").write_text(
        "kind: panel\nname: two\nleast_agreement: 1\nmembers: [{annotator: longest}, {annotator: first}]\n"
    )
    report = annotate(ledger, str(tmp_path / "two.yaml"), Task(PairFilter("crossed")), lambda *_: None)
    assert set(report.statuses) == {"ok", "contested"}
    shown = chosen_pairs(ledger, LabelTask(("ada",), contested="two"))
    assert len(shown) == report.statuses["contested"]
    with ledger.frozen():
        rows = contests(ledger).set_index("pair_id")
    [two] = [card.id for card in ledger.annotators() if card.name == "two"]
    status = rows[rows["annotator"] == two]["status"]
    assert {pair.id for pair in shown} == set(status.index[status == "contested"])
    with pytest.raises(ConfigError, match="no annotator 'tow' judged here"):
        chosen_pairs(ledger, LabelTask(("ada",), contested="tow"))
    with pytest.raises(ConfigError, match="there is no pair to judge"):
        chosen_pairs(ledger, LabelTask(("ada",), contested="longest"))


@pytest.mark.parametrize(("points", "levels"), [(5, 2), (7, 3)])
def test_people_say_how_much_better(ledger: Ledger, points: int, levels: int) -> None:
    """Every key of the scale, once; the side and the steps are those of the output, not of the place."""
    card = person("ada", "guideline", points)
    assert card.key != person("ada", "guideline").key
    pairs = chosen_pairs(ledger, LabelTask(("ada",), "crossed", limit=points))
    at = Sitting(ledger, card, questions(pairs, 0, card.key), points)
    expected = {}
    for key in at.choices:
        question = at.shown().question
        assert question
        assert at.answer(question.key, key) is Outcome.SAVED
        place = int(key) - 1
        side = (place < levels) - (place > levels)
        expected[question.pair.key] = (side * (-1 if question.swapped else 1), abs(place - levels))
    with ledger.reading() as connection:
        joined = STRENGTH.join(ANNOTATION, STRENGTH.c.annotation_id == ANNOTATION.c.id).join(PAIR)
        rows = connection.execute(joined.select()).mappings().all()
    found = {row["key"]: (round(2 * row["preference"] - 1), row["steps"]) for row in rows}
    assert found == expected
    assert {row["levels"] for row in rows} == {levels}


def test_a_scale_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="--scale is 4"):
        LabelTask(("ada",), scale=4)
