"""Published rankings: reading tables of scores, and standing beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import farm, refused, told
from tests.support.judged_models import judge

TABLE = """Model,"Elo
 [then]",LC,Licence,Few,All the same
a,1200,50,free,1,7
b,1100,40,free,,7
c,1000,45,not free,2,7
d,900,10,free,,7
a,0,0,free,,7
,5,5,free,,7
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    found = tmp_path / "table.csv"
    found.write_text(TABLE)
    return found


def test_columns_are_compared_with_the_one_that_is_named(table: Path, tmp_path: Path) -> None:
    found = told(tmp_path / "none.db", "leaderboard", "--published", table, "--against", "Elo [then]")
    assert found["column"] == "Elo [then]"
    [one] = found["comparisons"]  # a column of text, one of two models and one of ties say nothing
    assert (one["first"], one["second"], one["models"]) == ("LC", "Elo [then]", 4)
    # ranks 1 2 3 4 and 1 3 2 4: rho 1 - 6 (1 + 1) / (4 * 15), tau (5 - 1) / 6
    assert one["spearman"]["value"] == pytest.approx(0.8)
    assert one["kendall"]["value"] == pytest.approx(4 / 6)
    assert (one["spearman"]["low"], one["kendall"]["high"]) == (None, None)  # of four models
    assert not (tmp_path / "none.db").exists()
    shown = farm(tmp_path / "none.db", "leaderboard", "--published", table, "--against", "Elo [then]").out
    assert "LC" in shown
    assert "0.800" in shown


def test_our_leaderboard_stands_beside_it(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    verdicts = {
        "a": [1.0] * 5 + [0.0],
        "b": [1.0] * 4 + [0.0] * 2,
        "c": [1.0] * 3 + [0.0] * 3,
        "x": [0.0] * 6,
    }
    judge(path, {model: own * 9 for model, own in verdicts.items()})  # 54 instructions, for length control
    ask = (
        "leaderboard",
        "--annotator",
        "judge",
        "--published",
        table,
        "--against",
        "Elo [then]",
        "--draws",
        20,
    )
    found = told(path, *ask)
    assert {each["model"]: each["published"] for each in found["models"]} == {
        "a": 1200, "b": 1100, "c": 1000, "x": None,
    }  # fmt: skip
    assert [each["first"] for each in found["comparisons"]] == [
        "judge, win rate", "judge, length-controlled", "LC",
    ]  # fmt: skip
    assert found["comparisons"][0]["models"] == 3
    assert found["comparisons"][0]["spearman"]["value"] == pytest.approx(1)
    shown = farm(path, *ask).out
    assert "published" in shown
    assert "judge, win rate" in shown


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (None, "Elo", "not a table"),
        ("", "Elo", "not a table"),
        ("Model,Licence\na,free\n", "Elo", "the table has no column of numbers"),
        ("Model,LC,MT\na,1,2\nb,2,3\nc,3,4\n", "Elo", "no column 'Elo' (one of LC, MT)"),
        ("Model,LC,MT\na,1,2\nb,2,3\n", "LC", "nothing has 3 models in common with 'LC'"),
        ("Model,LC\na,1\nb,2\nc,3\n", "LC", "nothing has 3 models in common with 'LC'"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, content: str | None, column: str, message: str) -> None:
    file = tmp_path / "x.csv"
    if content is not None:
        file.write_text(content)
    said = refused(tmp_path / "none.db", "leaderboard", "--published", file, "--against", column)
    assert message in said


@pytest.mark.parametrize(
    ("column", "models", "spearman", "kendall"),
    [
        ("LC AlpacaEval 2.0", 32, 0.973, 0.871),
        ("AlpacaEval 2.0", 32, 0.934, 0.831),
        ("AlpacaEval 1.0", 17, 0.798, 0.627),
    ],
)
def test_rankings_beside_chatbot_arena(
    real_data: Path, tmp_path: Path, column: str, models: int, spearman: float, kendall: float
) -> None:
    file = real_data / "alpaca_eval" / "leaderboards" / "benchmarks.csv"
    ask = ("leaderboard", "--published", file, "--against", "Arena Elo [Feb 2, 2024]")
    found = told(tmp_path / "none.db", *ask)
    [one] = [each for each in found["comparisons"] if each["first"] == column]
    assert one["models"] == models
    for name, value in (("spearman", spearman), ("kendall", kendall)):
        assert one[name]["value"] == pytest.approx(value, abs=5e-4)
        assert one[name]["low"] < value < one[name]["high"]
