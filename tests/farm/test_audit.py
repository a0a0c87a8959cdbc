"""The audit of frames written by hand: against definitions spelled out in plain Python, and by properties."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import multimode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import ConfigError
from db.queries.frames import Judgements
from db.records import AnnotatorCard, AnnotatorKind
from farm.audit import AuditOptions, audit
from tests.support.judged_rows import (
    FIRST,
    GOLD,
    HUMAN,
    LLM,
    NAN,
    SECOND,
    TIE,
    Kinds,
    Question,
    Row,
    audited,
    by_name,
    frames,
)

CROWD: Kinds = {"ada": HUMAN, "ben": HUMAN, "cleo": HUMAN, "judge": LLM, "other": LLM}
PREFERENCES = st.sampled_from([FIRST, FIRST, TIE, SECOND, SECOND, 0.8, 0.3, NAN])


# ---- the definitions, spelled out


def error(preference: float, verdicts: Sequence[float]) -> float:
    """|side - mode|, the mean over the modes."""
    return mean(abs(side(preference) - mode) for mode in multimode(verdicts))


def mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NAN


def side(preference: float) -> float:
    """First, second or tie; NaN stays."""
    return preference if math.isnan(preference) else (1 + (preference > 0.5) - (preference < 0.5)) / 2


def readable(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not math.isnan(row.preference)]


def vote(rows: Sequence[Row]) -> float:
    """One person's vote on a question: the side that has more of the judgements, a tie where neither has."""
    given_ = [side(row.preference) for row in rows]
    return side(0.5 + 0.1 * (given_.count(FIRST) - given_.count(SECOND)))


def votes_of(rows: Sequence[Row], unit: int, who: Iterable[str]) -> dict[str, float]:
    """The vote of each of these people on a question."""
    mine = {
        name: [row for row in readable(rows) if (row.unit, row.who) == (unit, name)] for name in sorted(who)
    }
    return {name: vote(own) for name, own in mine.items() if own}


def spelled_out(rows: Sequence[Row], name: str, reference: frozenset[str]) -> dict[str, float]:
    """agreement, clear majority agreement, accuracy, bias and variance of one annotator."""
    agreement, accuracy, variance = [], [], []
    clear: list[tuple[float, float]] = []
    bias: dict[int, float] = {}
    for row in (row for row in rows if row.who == name):
        cast = votes_of(rows, row.unit, reference)
        everyone, others = list(cast.values()), [given for who, given in cast.items() if who != name]
        mine = [other for other in readable(rows) if (other.unit, other.who) == (row.unit, name)]
        if len(multimode(everyone)) == 1:
            accuracy.append(float(side(row.preference) == multimode(everyone)[0]))
        if math.isnan(row.preference):
            continue
        left_out = [others]
        if name not in reference and len(others) > 1:
            left_out = [others[:i] + others[i + 1 :] for i in range(len(others))]
        clear += [
            (float(side(row.preference) == multimode(faced)[0]), 1 / len(left_out))
            for faced in left_out
            if len(multimode(faced)) == 1
        ]
        agreement.append(mean(1 - error(row.preference, faced) for faced in left_out if faced))
        own_others = [side(other.preference) for other in mine if other is not row]
        variance.append(error(row.preference, own_others) if own_others else NAN)
        if others:
            modes = multimode([side(other.preference) for other in mine])
            bias[row.unit] = mean(error(mode, others) for mode in modes)
    return {
        "agreement": mean(agreement),
        "clear_majority_agreement": sum(right * weight for right, weight in clear)
        / sum(weight for _, weight in clear)
        if clear
        else NAN,
        "accuracy": mean(accuracy),
        "bias": mean(bias.values()),
        "variance": mean(variance),
    }


@st.composite
def studies(draw: st.DrawFn) -> list[Row]:
    """Up to six questions; everybody may judge each of them in either order, or in both, or not at all."""
    rows = []
    for unit in range(draw(st.integers(1, 6))):
        for who in CROWD:
            for swapped in draw(st.sets(st.sampled_from([0, 1]), max_size=2)):
                rows.append(Row(unit, who, draw(PREFERENCES), swapped))
    return rows or [Row(0, "ada", FIRST)]


QUESTIONS = [Question((100, 10)), Question((10, 100), (False, True)), Question((20, 20))] * 2


@settings(deadline=None, max_examples=30)
@given(rows=studies())
def test_measures_equal_their_definitions(rows: list[Row]) -> None:
    people = {row.who for row in rows if CROWD[row.who] is HUMAN}
    if not people:
        return
    for name, found in by_name(audited(rows, CROWD, QUESTIONS, reference="human")).items():
        for measure, expected in spelled_out(rows, name, frozenset(people)).items():
            value = found["intervals"][measure]["value"]
            assert (NAN if value is None else value) == pytest.approx(expected, nan_ok=True), (name, measure)


def flat(report: Any, path: str = "") -> dict[str, Any]:
    """JSON by path; a confusion table, which is labelled by output, left out."""
    if isinstance(report, Mapping):
        return {
            key: value
            for name, part in report.items()
            if name != "confusion"
            for key, value in flat(part, f"{path}/{name}").items()
        }
    if isinstance(report, list):
        return {
            key: value for i, part in enumerate(report) for key, value in flat(part, f"{path}/{i}").items()
        }
    return {path: report}


@settings(deadline=None, max_examples=20)
@given(rows=studies())
def test_exchanging_the_outputs_changes_nothing(rows: list[Row]) -> None:
    mirrored = audited([row.mirrored() for row in rows], CROWD, [each.mirrored() for each in QUESTIONS])
    assert flat(mirrored) == pytest.approx(flat(audited(rows, CROWD, QUESTIONS)), abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(rows=studies(), random=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(rows: list[Row], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    assert flat(audited(shuffled, CROWD, QUESTIONS)) == pytest.approx(
        flat(audited(rows, CROWD, QUESTIONS)), abs=1e-6
    )


@settings(deadline=None, max_examples=20)
@given(rows=studies(), reference=st.sampled_from([None, "ada", "judge"]))
def test_the_json_is_json(rows: list[Row], reference: str | None) -> None:
    rows = [*rows, Row(0, "ada", NAN, 0, 0.1), Row(0, "judge", NAN)]
    json.dumps(audited(rows, CROWD, QUESTIONS, reference=reference), allow_nan=False)


# ---- by hand


def test_a_study_by_hand() -> None:
    # question 0: people say first, first, second; question 1: second, second, second. ada faces {first,
    # second} (1/2) and {second, second} (1); ben the same; cleo faces {first, first} (0) and (1): 4/6. Where
    # the others have one mode: cleo wrong on 0, all three right on 1: 3/4. The judge says first twice: on 0
    # it faces {first, second} twice and {first, first} once: 2/3; on 1 it is wrong: 0.
    verdicts = {
        "ada": [FIRST, SECOND],
        "ben": [FIRST, SECOND],
        "cleo": [SECOND, SECOND],
        "judge": [FIRST] * 2,
    }
    rows = [Row(unit, who, given) for who, row in verdicts.items() for unit, given in enumerate(row)]
    rows += [Row(1, "judge", NAN, price=0.004)]
    report = audited(rows, {name: CROWD[name] for name in verdicts})
    reference, found = report["reference"], by_name(report)
    assert reference["agreement"]["value"] == pytest.approx(4 / 6)
    assert reference["variance"] == pytest.approx(2 / 6)
    assert reference["clear_majority_agreement"] == pytest.approx(3 / 4)
    assert (reference["bias"], reference["annotators"], reference["units"], reference["n"]) == (0, 3, 2, 6)
    assert reference["pairwise_agreement"] == pytest.approx(4 / 6)
    # alpha: D_o = 2/6, D_e = 2 * 2 * 4 / (6 * 5); Fleiss: P = 4/6, P_e = (1/3)^2 + (2/3)^2
    assert reference["alpha"] == pytest.approx(1 - (2 / 6) / (16 / 30))
    assert reference["fleiss_kappa"] == pytest.approx((4 / 6 - 5 / 9) / (4 / 9))
    assert found["ada"]["agreement"]["value"] == pytest.approx(3 / 4)
    assert found["cleo"]["agreement"]["value"] == pytest.approx(1 / 2)
    judge = found["judge"]
    assert (judge["kind"], judge["n"], judge["unreadable"]) == ("llm", 3, pytest.approx(1 / 3))
    assert judge["agreement"]["value"] == pytest.approx(1 / 3)
    assert judge["accuracy"]["value"] == pytest.approx(1 / 3)  # right, wrong, unreadable
    assert judge["bias"] == pytest.approx(1 / 2)
    assert judge["price_per_1000"] == pytest.approx(4.0)
    assert judge["confusion"]["table"] == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]
    # the longer output is the first of both: it faces the people as the judge does
    assert reference["longest"] == pytest.approx(1 / 3)
    assert judge["over_longest"] == pytest.approx(0)
    assert judge["beats_longest"] == found["ada"]["beats_longest"] == "not decided"  # two questions


def test_exchanging_the_outputs_of_some_questions_moves_kappa_and_alpha_alone() -> None:
    """They have the categories first, tie and second; how often each is used sets the chance agreement."""
    rows = [Row(unit, who, FIRST) for unit in range(10) for who in ("ada", "judge")]
    rows[0], rows[3] = Row(0, "ada", SECOND), Row(1, "judge", SECOND)
    kinds = {"ada": HUMAN, "judge": LLM}
    turned = [row.mirrored() if row.unit >= 5 else row for row in rows]
    before, after = (by_name(audited(each, kinds))["judge"] for each in (rows, turned))
    assert before["agreement"]["value"] == after["agreement"]["value"] == pytest.approx(0.8)
    # 8 of 10 agree; by chance .9 .9 + .1 .1 before, and .4 .4 + .6 .6 after
    assert before["kappa"] == pytest.approx((0.8 - 0.82) / 0.18)
    assert after["kappa"] == pytest.approx((0.8 - 0.52) / 0.48)
    assert after["alpha"] > before["alpha"] + 0.5


def test_fleiss_kappa_rests_on_the_commonest_number_of_votes_and_of_ties_on_the_smaller() -> None:
    two = [[FIRST, FIRST], [FIRST, SECOND], [SECOND, SECOND], [FIRST, FIRST]]
    three = [[FIRST, FIRST, SECOND]] * 3
    kinds = dict.fromkeys(("ada", "ben", "cleo"), HUMAN)

    def kappa(votes: Sequence[Sequence[float]]) -> Any:
        rows = [
            Row(unit, who, value)
            for unit, given_ in enumerate(votes)
            for who, value in zip(kinds, given_, strict=False)
        ]
        return audited(rows, kinds)["reference"]["fleiss_kappa"]

    # of pairs: P = 3/4, P_e = (5/8)^2 + (3/8)^2; of threes: P = 1/3, P_e = (2/3)^2 + (1/3)^2
    pairs, threes = (3 / 4 - 34 / 64) / (30 / 64), (1 / 3 - 5 / 9) / (4 / 9)
    assert kappa([*two, *three]) == pytest.approx(pairs)
    assert kappa([*two[:2], *three]) == pytest.approx(threes)
    assert kappa([*two, *three, *three[:1]]) == pytest.approx(pairs)


def test_unreadable_verdicts_may_be_dropped() -> None:
    rows = [Row(0, "ada", FIRST), Row(0, "judge", FIRST, 0), Row(0, "judge", NAN, 1)]
    kinds = {"ada": HUMAN, "judge": LLM}
    wrong, dropped = audited(rows, kinds), audited(rows, kinds, nulls="drop")
    assert (wrong["nulls"], dropped["nulls"]) == ("wrong", "drop")
    assert by_name(wrong)["judge"]["accuracy"]["value"] == 0.5
    assert by_name(wrong)["judge"]["both_orders_accuracy"] == 0
    assert by_name(dropped)["judge"]["accuracy"]["value"] == 1
    assert by_name(dropped)["judge"]["both_orders_accuracy"] is None


def panel(accuracies: Sequence[float], n: int, reference: AnnotatorKind) -> tuple[list[Row], Kinds]:
    """A reference that is right, and judges that are as often as said."""
    rng = np.random.default_rng(5)
    truth = rng.choice([FIRST, SECOND], n)
    kinds = {"truth": reference} | {f"judge-{i}": LLM for i in range(len(accuracies))}
    rows = [Row(unit, "truth", float(truth[unit])) for unit in range(n)]
    for i, accuracy in enumerate(accuracies):
        given_ = np.where(rng.random(n) < accuracy, truth, 1 - truth)
        rows += [Row(unit, f"judge-{i}", float(given_[unit])) for unit in range(n)]
    return rows, kinds


def test_reliabilities_are_told_where_the_consensus_may_be_used() -> None:
    accuracies = [0.85, 0.8, 0.8, 0.8, 0.8]
    rows, kinds = panel(accuracies, 800, HUMAN)
    report = audited(rows, kinds)
    fit = report["panel"]["dawid_skene"]
    assert fit["usable"] == "yes"
    assert 0 < fit["lead"]["low"] < fit["lead"]["value"] < fit["lead"]["high"]
    assert fit["anchors"] == 800
    assert fit["accuracy"] >= fit["best_single"]
    found = by_name(report)
    assert found["truth"]["reliability"] is None
    for i, accuracy in enumerate(accuracies):
        assert found[f"judge-{i}"]["reliability"] == pytest.approx(accuracy, abs=0.05)


def test_no_reliabilities_where_a_single_judge_is_better() -> None:
    rows, kinds = panel([0.95, 0.4, 0.4, 0.4], 300, HUMAN)
    copies = [Row(row.unit, name, row.preference) for row in rows if row.who == "judge-1" for name in kinds]
    rows = [row for row in rows if row.who in ("truth", "judge-0")] + [
        row for row in copies if row.who in ("judge-1", "judge-2", "judge-3")
    ]
    report = audited(rows, kinds)
    fit = report["panel"]["dawid_skene"]
    assert fit["usable"] == "no"
    assert fit["best_single_annotator"] == "judge-0"
    assert fit["accuracy_beside_best_single"] < 0.5 < fit["best_single"]
    assert all(each["reliability"] is None for each in report["annotators"])


def test_a_judge_as_the_reference_anchors_no_consensus() -> None:
    rows, kinds = panel([0.9, 0.8, 0.8], 100, LLM)
    report = audited(rows, kinds, reference="truth")
    assert "there are 0" in report["panel"]["dawid_skene"]["refused"]
    assert "anchors" in audited(*panel([0.9, 0.8, 0.8], 100, GOLD))["panel"]["dawid_skene"]


def test_slices_audit_their_questions_alone() -> None:
    questions = [Question(source="a", subset="x"), Question(source="a"), Question(source="b", subset="x")]
    rows = [Row(unit, who, FIRST) for unit in range(3) for who in ("ada", "judge")]
    rows[5] = Row(2, "judge", SECOND)
    report = audited(rows, {"ada": HUMAN, "judge": LLM}, questions, by=("source", "subset"))
    assert [(part["source"], part["subset"]) for part in report["slices"]] == [
        ("a", "x"),
        ("a", None),
        ("b", "x"),
    ]
    accuracy = [by_name(part)["judge"]["accuracy"] for part in report["slices"]]
    assert [(each["value"], each["n"]) for each in accuracy] == [(1, 1), (1, 1), (0, 1)]
    assert by_name(report)["judge"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_without_people_or_gold_there_is_no_reference() -> None:
    report = audited([Row(0, "judge", FIRST), Row(0, "other", FIRST)], {"judge": LLM, "other": LLM})
    assert report["reference"]["name"] is None
    assert by_name(report)["judge"]["agreement"]["value"] is None
    assert [pair["agreement"] for pair in report["pairs"]] == [1.0]


def test_annotators_of_one_name_are_told_apart() -> None:
    found = frames([Row(0, "judge", FIRST), Row(0, "other", SECOND)], [Question()], CROWD)
    cards = tuple(
        AnnotatorCard("judge", card.kind, {"prompt": card.name}, card.id) for card in found.annotators
    )
    names = [
        each.name
        for each in audit(Judgements(found.judgements, found.units, cards), AuditOptions()).whole.annotators
    ]
    assert len(set(names)) == 2
    assert all(name.startswith("judge#") for name in names)


def test_a_reference_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nobody of kind gold"):
        audited([Row(0, "ada", FIRST)], {"ada": HUMAN}, reference="gold")
