"""Leaderboards by hand and through the command, where what they are made of degenerates too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Membership, Output, Pair
from farm.leaderboard import LeaderboardOptions, leaderboard, strengths
from farm.statistics.difficulty import Difficulty
from farm.statistics.length_control import controlled_win_rate
from tests.support.command_line import farm, refused, told
from tests.support.judged_models import BETTER, JUDGE, REFERENCE, WORSE, N, asked, judge, name_set, text

QUICK = ("--annotator", "judge", "--draws", 40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "farm.db"


def board(path: Path, *options: object) -> dict[str, Any]:
    found = told(path, "leaderboard", *QUICK, *options)
    return {each["model"]: each for each in found["models"]} | {"": found}


def test_figures_by_hand(path: Path) -> None:
    judge(path, {"a": [1.0, 0.5, 0.0, 1.0], "long": [0.2, 0.2, 0.2, 0.9]})
    found = board(path)
    assert list(found) == ["a", "long", ""]
    a = found["a"]
    assert (a["n"], a["n_failed"], a["n_wins"], a["n_losses"], a["n_draws"]) == (4, 0, 2, 1, 1)
    assert a["win_rate"] == pytest.approx(62.5)
    # deviations .375, -.125, -.625, .375: squares sum to .6875; sqrt(.6875 / 3) / sqrt(4)
    assert a["standard_error"] == pytest.approx(100 * np.sqrt(0.6875 / 3) / 2)
    assert a["interval"][0] < 62.5 < a["interval"][1]
    assert a["annotator_error"] is None
    assert found["long"]["discrete_win_rate"] == pytest.approx(25)
    assert found[""]["reference"] == REFERENCE
    lengths = [len(text("a", i)) for i in range(4)]
    assert a["avg_length"] == pytest.approx(np.mean(lengths))
    assert found["long"]["lc_missing"].startswith("control needs 50 judged instructions or more, not 4")


def test_what_was_not_judged_of_the_evaluation_set_has_failed(path: Path) -> None:
    name_set(path, 6)
    name_set(path, 30, "larger")
    judge(path, {"a": {0: 1.0, 1: None, 2: 0.0}, "b": dict.fromkeys(range(6), 1.0)})
    found = board(path)
    assert found[""]["evaluation_set"] == "set"  # the smallest that holds all that was judged
    assert (found["a"]["n"], found["a"]["n_failed"]) == (2, 4)
    assert (found["b"]["n"], found["b"]["n_failed"]) == (6, 0)
    assert board(path, "--set", "larger")["b"]["n_failed"] == 24


def test_judgements_outside_the_named_set_do_not_count(path: Path) -> None:
    name_set(path, 2)
    judge(path, {"a": [1.0, 1.0, 0.0, 0.0], "b": [0.0, 0.0, 0.0, 0.0]})
    assert board(path, "--set", "set")["a"]["win_rate"] == 100
    assert board(path)["a"]["win_rate"] == 50
    assert "no set 'nonsuch' (there is set)" in refused(path, "leaderboard", *QUICK, "--set", "nonsuch")
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        writer.memberships([Membership(Instruction("Other."), "other")])
    assert "nothing of 'other' was judged" in refused(path, "leaderboard", *QUICK, "--set", "other")


def test_the_reference_is_found_named_or_asked_for(path: Path) -> None:
    judge(path, {"a": [1.0, 0.0]})
    said = refused(path, "leaderboard", *QUICK)
    assert "the reference may be either (there are a, reference) (name a --reference" in said
    assert board(path, "--reference", "a")[REFERENCE]["win_rate"] == 50
    assert "nothing was judged against 'b'" in refused(path, "leaderboard", *QUICK, "--reference", "b")
    judge(path, {"b": [1.0, 0.0]})
    assert set(board(path)) == {"a", "b", ""}
    judge(path, {"b": [1.0, 0.0]}, reference="a")
    assert "no one model takes part in every pair" in refused(path, "leaderboard", *QUICK)


def test_the_reference_against_itself_is_a_model_at_one_half(path: Path) -> None:
    judge(path, {REFERENCE: [0.5] * N, "a": WORSE, "b": BETTER})
    itself = board(path)[REFERENCE]
    assert (itself["win_rate"], itself["standard_error"], itself["n_draws"]) == (50, 0, N)
    assert (itself["length_controlled_win_rate"], itself["lc_standard_error"]) == (50, 0)


def test_two_outputs_of_the_reference_leave_it_at_one_half(path: Path) -> None:
    """Which of them stands first in the pair is a matter of hashes: verdicts cannot tell the model's rate."""
    judge(path, {"a": WORSE})
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        [who] = writer.annotators([JUDGE])
        pairs = [
            Pair.of(*(Output(asked(i), f"{words} {i}", REFERENCE) for words in ("one", "another one")))
            for i in range(N)
        ]
        ids = writer.pairs([pair for pair, _ in pairs])
        verdicts = [0.0 if flipped else 1.0 for _, flipped in pairs]  # always the first of the two
        writer.annotations(
            [Annotation(i, who, value, value, None) for i, value in zip(ids, verdicts, strict=True)]
        )
    itself = board(path, "--reference", REFERENCE)[REFERENCE]
    assert (itself["win_rate"], itself["n_draws"], itself["length_controlled_win_rate"]) == (50, N, 50)


def test_identical_outputs_count_as_other_pairs_do(path: Path) -> None:
    """Only training leaves them out."""
    judge(path, {"a": [1.0, 1.0, 0.0]})
    with Ledger.open(path) as ledger, ledger.writing() as writer:
        [who] = writer.annotators([JUDGE])
        pair, _ = Pair.of(Output(asked(3), "same", "a"), Output(asked(3), "same", REFERENCE))
        writer.annotations([Annotation(writer.pairs([pair])[0], who, 0.5, 0.5, None)])
    found = board(path, "--reference", REFERENCE)["a"]
    assert (found["n"], found["n_draws"], found["win_rate"]) == (4, 1, pytest.approx(62.5))
    audited = told(path, "audit")["annotators"][0]
    assert (audited["n"], audited["intervals"]["identical_ties"]["value"]) == (4, 1)


def test_whose_judgements_they_are(path: Path) -> None:
    one, other = (AnnotatorCard("judge", AnnotatorKind.LLM, {"prompt": text}) for text in "12")
    judge(path, {"a": [1.0, 1.0], "b": [0.0, 0.0]}, one)
    judge(path, {"a": [0.0, 0.0], "b": [0.0, 0.0]}, other)
    judge(path, {"a": [0.5, 1.0], "b": [0.0, 0.0]}, AnnotatorCard("ann", AnnotatorKind.HUMAN))
    judge(path, {"a": [0.5, 0.0], "b": [0.0, 0.0]}, AnnotatorCard("ben", AnnotatorKind.HUMAN))
    said = refused(path, "leaderboard", *QUICK)
    assert f"judge#{one.key[:6]}" in said
    assert f"judge#{other.key[:6]}" in said
    assert board(path, "--annotator", f"judge#{one.key[:6]}")["a"]["win_rate"] == 100
    people = board(path, "--annotator", "human")
    assert (people["a"]["n"], people["a"]["win_rate"]) == (4, 50)
    assert "no annotator 'nobody' judged here" in refused(path, "leaderboard", "--annotator", "nobody")


def test_attacks_are_no_models(path: Path) -> None:
    judge(path, {"a": [1.0, 0.0], "b": [0.0, 0.0], "attack:constant": [0.0, 0.0]})
    assert set(board(path)) == {"a", "b", ""}


def test_places_that_the_tests_leave_open(path: Path) -> None:
    judge(path, {"a": BETTER, "b": WORSE, "c": dict(enumerate([*WORSE.values()][::-1]))})
    found = board(path)
    assert [(found[m]["cluster"], found[m]["best_rank"], found[m]["worst_rank"]) for m in "abc"] == [
        (1, 1, 1), (2, 2, 3), (2, 2, 3),
    ]  # fmt: skip


def test_a_model_of_which_nothing_can_be_read_is_not_left_out(path: Path) -> None:
    judge(path, {"a": [1.0, 0.0, 1.0], "b": [None, None, None], "c": [0.0, 0.0, 1.0]})
    found = board(path)
    assert [*found] == ["a", "c", "b", ""]
    b = found["b"]
    assert (b["n"], b["n_failed"], b["win_rate"], b["interval"], b["cluster"]) == (
        0,
        3,
        None,
        [None] * 2,
        None,
    )
    assert farm(path, "leaderboard", *QUICK).code == 0
    judge(path, {"a": [None] * 3, "b": [None] * 3}, AnnotatorCard("mute", AnnotatorKind.LLM))
    for way in ((), ("--bradley-terry",)):
        said = refused(path, "leaderboard", "--annotator", "mute", *way)
        assert "mute: no judgement succeeded: 6 unreadable (`farm trace`" in said


# ---- control ----


EASE = [2 * value + 0.1 * np.sin(i) for i, value in BETTER.items()]  # easy is what `a` wins


def difficulty_file(path: Path, column: str, labels: Sequence[str | int]) -> Path:
    pd.DataFrame({column: labels, "instruction_difficulty": EASE[: len(labels)]}).to_csv(path, index=False)
    return path


def test_control_from_the_ledger_is_control_of_the_frame(path: Path, tmp_path: Path) -> None:
    name_set(path, N)
    judge(path, {"a": BETTER, "b": WORSE})
    by_name = difficulty_file(tmp_path / "name.csv", "name", [f"set-{i}" for i in range(N)])
    by_place = difficulty_file(tmp_path / "place.csv", "index", list(range(N)))
    found = [board(path, "--difficulty", file)["a"] for file in (by_name, by_place)]
    assert found[0] == found[1]
    keys = [asked(i).key for i in range(N)]
    frame = pd.DataFrame({"instruction": keys, "preference": BETTER.values()})
    frame["length"] = [float(len(text(REFERENCE, i)) - len(text("a", i))) for i in range(N)]
    difficulty = Difficulty(pd.Series(EASE, index=keys), "by hand")
    expected = controlled_win_rate(frame, difficulty=difficulty, draws=40)
    assert found[0]["length_controlled_win_rate"] == pytest.approx(100 * expected.value)
    assert found[0]["lc_standard_error"] == pytest.approx(100 * expected.standard_error)
    assert found[0]["lc_bootstrap_error"] == pytest.approx(100 * expected.bootstrap_error)
    assert found[0]["lc_win_rate_by_row_position"] is None


def test_names_that_are_numbers_are_names(path: Path, tmp_path: Path) -> None:
    """Names 0 to 59 in another order than the set's places: a join by place would mix difficulties up."""
    names = [str(place) for place in np.random.default_rng(3).permutation(N)]
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        writer.memberships([Membership(asked(i), "set", name=names[i]) for i in range(N)])
        writer.memberships([Membership(asked(i), "worded", name=f"q{names[i]}") for i in range(N)])
    judge(path, {"a": BETTER, "b": WORSE})
    figures = []
    for set_name, column, labels in (
        ("set", "name", names),
        ("worded", "name", [f"q{name}" for name in names]),
        ("set", "index", list(range(N))),
    ):
        file = difficulty_file(tmp_path / "x.csv", column, labels)
        found = board(path, "--set", set_name, "--difficulty", file)["a"]
        figures.append((found["length_controlled_win_rate"], found["lc_standard_error"]))
    assert figures[0] == figures[1] == figures[2]


def test_places_need_a_named_set(path: Path, tmp_path: Path) -> None:
    judge(path, {"a": BETTER, "b": WORSE})
    file = difficulty_file(tmp_path / "x.csv", "index", list(range(N)))
    assert "places in a set need a named set" in refused(path, "leaderboard", *QUICK, "--difficulty", file)


@pytest.mark.parametrize("shuffles", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_the_order_of_import_moves_no_figure(tmp_path: Path, shuffles: int) -> None:
    """The same judgements in other orders, each in a new ledger: rates, controlled rates, bounds, ranks."""
    given = [(model, i, value) for model, own in (("a", BETTER), ("b", WORSE)) for i, value in own.items()]
    found = []
    for seed in range(shuffles):
        path, rows = tmp_path / f"{seed}.db", list(given)
        np.random.default_rng(seed).shuffle(rows)
        for start in range(0, len(rows), 30):
            part: dict[str, dict[int, float | None]] = {}
            for model, i, value in rows[start : start + 30]:
                part.setdefault(model, {})[int(i)] = float(value)
            judge(path, part)
        with Ledger.open(path) as ledger:
            options = LeaderboardOptions("judge", draws=20, reference=REFERENCE)
            found.append((leaderboard(ledger, options).to_json(), strengths(ledger, options).to_json()))
    assert all(each == found[0] for each in found)
    assert found[0][0]["models"][0]["length_controlled_win_rate"] is not None  # type: ignore[index, call-overload]


def test_missing_rows_are_told_with_the_figure_of_a_join_by_position(path: Path, tmp_path: Path) -> None:
    name_set(path, N)
    short = {i: value for i, value in BETTER.items() if i not in (3, 9)}
    judge(path, {"a": short, "b": WORSE, "c": {**BETTER, 5: None}})
    file = difficulty_file(tmp_path / "place.csv", "index", list(range(N)))
    found = board(path, "--difficulty", file)
    assert found["a"]["lc_win_rate_by_row_position"] != found["a"]["length_controlled_win_rate"]
    assert found["c"]["lc_win_rate_by_row_position"] is None  # its row is there, only without a verdict
    shown = farm(path, "leaderboard", *QUICK, "--difficulty", file).out
    assert "a lacks rows (2 failed): joined by row position" in shown
    fitted = board(path)
    assert fitted[""]["difficulty"] == "joint fit over 3 models"
    assert fitted["a"]["lc_win_rate_by_row_position"] is None  # positions mean nothing to our own fit


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a table"),
        ("index,other\n0,1\n", "no column 'instruction_difficulty'"),
        ("place,instruction_difficulty\n0,1\n", "no column name or index"),
        ("index,instruction_difficulty\n0,1\n99,1\n", "1 of 2 values of 'index' are not in set: '99'"),
        ("name,instruction_difficulty\n0,1\n1,2\n", "2 of 2 values of 'name' are not in set: '0', '1'"),
        ("index,instruction_difficulty\n0,high\n", "'instruction_difficulty' is not all numbers"),
        ("index,instruction_difficulty\n0,1\n0,1\n", "an instruction stands in it twice"),
        ("index,instruction_difficulty\n0,\n", "a value is missing or infinite"),
    ],
)
def test_wrong_difficulties_are_refused(path: Path, tmp_path: Path, content: str, message: str) -> None:
    name_set(path, 6)
    judge(path, {"a": [1.0] * 6, "b": [0.0] * 6})
    (tmp_path / "x.csv").write_text(content)
    said = refused(path, "leaderboard", *QUICK, "--difficulty", tmp_path / "x.csv")
    assert message in said
    assert "x.csv" in said
    (tmp_path / "x.csv").unlink()
    assert "not a table" in refused(path, "leaderboard", *QUICK, "--difficulty", tmp_path / "x.csv")


def test_difficulties_that_lack_an_instruction_control_nothing(path: Path, tmp_path: Path) -> None:
    name_set(path, 6)
    judge(path, {"a": [1.0] * 6, "b": [0.0] * 6})
    file = difficulty_file(tmp_path / "x.csv", "index", list(range(5)))
    found = board(path, "--difficulty", file)["a"]
    assert "lacks 1 of the instructions" in found["lc_missing"]
    assert found["win_rate"] == 100


def test_other_features(path: Path) -> None:
    judge(path, {"a": BETTER, "b": WORSE})
    found = board(path, "--control", "length", "--control", "list_share")
    assert found[""]["controls"] == ["length", "list_share"]
    assert found["a"]["length_controlled_win_rate"] is not None
    bare = board(path, "--control", "none")
    assert (bare[""]["controls"], bare["a"]["lc_missing"]) == ([], "not asked for")
    assert "--control 'width' (one of length, list_share" in refused(
        path, "leaderboard", *QUICK, "--control", "width"
    )


# ---- degenerate ----


def test_one_model(path: Path) -> None:
    judge(path, {"a": BETTER})
    found = board(path, "--reference", REFERENCE)
    assert (found["a"]["cluster"], found["a"]["best_rank"], found["a"]["worst_rank"]) == (1, 1, 1)
    assert found[""]["difficulty"] == "none"
    assert "2 models" in found[""]["difficulty_missing"]
    assert 50 < found["a"]["length_controlled_win_rate"] < 100
    shown = farm(path, "leaderboard", *QUICK, "--reference", REFERENCE).out
    assert "no instruction difficulty: difficulty needs 2 models" in " ".join(shown.split())


def test_one_instruction(path: Path) -> None:
    judge(path, {"a": [1.0], "b": [0.0]})
    found = board(path)
    assert (found["a"]["win_rate"], found["a"]["standard_error"], found["a"]["interval"]) == (
        100,
        None,
        [None] * 2,
    )
    assert found["a"]["cluster"] is None
    assert farm(path, "leaderboard", *QUICK).code == 0
    assert "a strength is infinite" in refused(path, "leaderboard", *QUICK, "--bradley-terry")


def test_all_ties(path: Path) -> None:
    judge(path, {"a": [0.5] * N, "b": [0.5] * N})
    found = board(path)
    for model in "ab":
        assert (found[model]["win_rate"], found[model]["standard_error"]) == (50, 0)
        low, high = found[model]["interval"]
        # the rule of three: others have a share of 1 - .05^(1/N) at most, each of which may lose or win
        assert (low, high) == pytest.approx((50 * 0.05 ** (1 / N), 100 - 50 * 0.05 ** (1 / N)))
        assert "leaves nothing of the model" in found[model]["lc_missing"]
        assert (found[model]["best_rank"], found[model]["worst_rank"]) == (1, 2)
    ranked = told(path, "leaderboard", *QUICK, "--bradley-terry")
    assert [each["strength"] for each in ranked["models"]] == pytest.approx([0, 0, 0])


def test_perfect_separation(path: Path) -> None:
    judge(path, {"a": [1.0] * N, "b": [0.0] * N})
    found = board(path)
    assert (found["a"]["win_rate"], found["b"]["win_rate"]) == (100, 0)
    assert found["a"]["interval"][1] == 100
    assert found["a"]["interval"][0] < 97
    assert found["a"]["length_controlled_win_rate"] > 90
    assert found["b"]["length_controlled_win_rate"] < 10
    assert (found["a"]["cluster"], found["b"]["cluster"]) == (1, 2)
    said = refused(path, "leaderboard", *QUICK, "--bradley-terry")
    assert "a strength is infinite" in said
    assert "judge more pairs" in said


def test_models_judged_on_other_instructions(path: Path) -> None:
    half = N // 2
    judge(path, {"a": {i: BETTER[i] for i in range(half)}, "b": {i: WORSE[i] for i in range(half, N)}})
    found = board(path)
    for model, given in (("a", BETTER), ("b", WORSE)):
        values = [given[i] for i in (range(half) if model == "a" else range(half, N))]
        assert (found[model]["n"], found[model]["n_failed"]) == (half, half)
        assert found[model]["win_rate"] == pytest.approx(100 * np.mean(values))
        assert "50 judged instructions" in found[model]["lc_missing"]


def test_a_length_that_differs_by_the_same_everywhere(path: Path) -> None:
    """Its effect cannot be told from the model's: that model is not controlled, the others are."""
    judge(path, {"a": BETTER, "b": WORSE, "reference-longer": BETTER})
    found = board(path)
    assert "the difference in length is the same" in found["reference-longer"]["lc_missing"]
    assert found[""]["difficulty"] == "joint fit over 2 models"
    assert found["a"]["length_controlled_win_rate"] is not None
    assert "reference-longer: not controlled" in farm(path, "leaderboard", *QUICK).out


def test_an_empty_ledger(path: Path) -> None:
    name_set(path, 3)
    assert "no judgement fits" in refused(path, "leaderboard", *QUICK)


def test_a_seed_gives_the_same_board_and_no_draws_give_no_bootstrap(path: Path) -> None:
    judge(path, {"a": BETTER, "b": WORSE})
    with Ledger.open(path) as ledger:
        first, again = (leaderboard(ledger, LeaderboardOptions("judge", draws=30)) for _ in range(2))
        bare = leaderboard(ledger, LeaderboardOptions("judge", draws=0))
    assert first.to_json() == again.to_json()
    assert bare.places[0].controlled.rate is not None
    assert np.isnan(bare.places[0].controlled.rate.bootstrap_error)
