"""A judge beside people: through the ledger, by hand, and with the figures of real people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli import app
from db.errors import ConfigError
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.records import Annotation, AnnotationStatus, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.evaluation.label_order import label_table, labelled_prefix, priorities, shrunk
from farm.evaluation.scope import Scope
from farm.import_ import import_files
from farm.people import may_replace, next_pairs, people_win_rate
from farm.statistics.prediction_powered import PredictionPowered, prediction_powered_win_rate
from farm.statistics.rogan_gladen import RoganGladen

HUMAN, LLM = AnnotatorKind.HUMAN, AnnotatorKind.LLM


def study(
    path: Path, truth: np.ndarray, judged: np.ndarray, people: dict[str, np.ndarray], repeats: int = 1
) -> tuple[Path, list[int]]:
    """A model against a baseline on one instruction each, judged so often; arrays are P(model preferred), -1:
    unreadable, NaN: not judged."""
    made = []
    for i in range(len(truth)):
        asked = Instruction(f"Instruction {i}.")
        made.append(Pair.of(Output(asked, f"good {i}", "model"), Output(asked, f"bad {i}", "baseline")))
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        ids = writer.pairs([pair for pair, _ in made])
        verdicts = {("judge", LLM): judged} | {(name, HUMAN): given for name, given in people.items()}
        cards = [AnnotatorCard(name, kind) for name, kind in verdicts]
        facts = []
        for annotator, given in zip(writer.annotators(cards), verdicts.values(), strict=True):
            for pair, (_, flipped), value in zip(ids, made, given, strict=True):
                if value == -1:
                    fact = Annotation(
                        pair, annotator, None, None, None, AnnotationStatus.UNREADABLE, "no verdict"
                    )
                elif not np.isnan(value):
                    preference = float(1 - value if flipped else value)
                    fact = Annotation(pair, annotator, preference, preference, None)
                else:
                    continue
                facts += [replace(fact, replicate=k) for k in range(repeats)]
        writer.annotations(facts)
    return path, ids


@pytest.fixture
def coins(tmp_path: Path) -> Iterator[Ledger]:
    """400 pairs: people prefer the model on 60 %, the judge is right on 80 %, 100 are labelled."""
    rng = np.random.default_rng(1)
    truth = (rng.random(400) < 0.6).astype(float)
    judged = np.where(rng.random(400) < 0.8, truth, 1 - truth)
    judged[:5] = -1
    labelled = np.where(rng.permutation(400) < 100, truth, np.nan)
    path, _ = study(tmp_path / "farm.db", truth, judged, {"ann": labelled})
    with Ledger.open(path) as ledger:
        yield ledger


def test_a_few_labels_and_a_judge_give_one_interval(coins: Ledger) -> None:
    found = people_win_rate(coins, "judge", Scope(model="model", against="baseline"), half_width=0.08)
    assert isinstance(found.powered, PredictionPowered)
    assert isinstance(found.corrected, RoganGladen)
    assert (found.pool, found.powered.n, found.powered.n_unlabelled) == (400, 100, 300)
    assert found.powered.n_failed == 5
    assert found.powered.interval.low < 0.6 < found.powered.interval.high  # type: ignore[operator]
    alone = found.powered.human_only
    width = found.powered.interval.high - found.powered.interval.low  # type: ignore[operator]
    assert width < alone.high - alone.low  # type: ignore[operator]
    assert 100 < found.powered.effective_labels <= 200
    assert found.corrected.interval.low < 0.6 < found.corrected.interval.high  # type: ignore[operator]
    assert found.plan is not None
    assert not isinstance(found.plan, str)
    assert found.plan.n < found.plan.n_without_judge
    mirrored = people_win_rate(coins, "judge", Scope(model="baseline"))
    assert isinstance(mirrored.powered, PredictionPowered)
    assert mirrored.powered.value == pytest.approx(1 - found.powered.value)
    json.dumps(found.to_json(), allow_nan=False)


def test_a_judge_that_knows_nothing_is_refused_or_ignored(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    truth, judged = (rng.integers(0, 2, 200).astype(float) for _ in range(2))
    labelled = np.where(np.arange(200) < 80, truth, np.nan)
    path, _ = study(tmp_path / "x.db", truth, judged, {"ann": labelled})
    with Ledger.open(path) as ledger:
        found = people_win_rate(ledger, "judge", Scope(model="model"))
    assert isinstance(found.corrected, str)
    assert "below 1.1" in found.corrected
    assert isinstance(found.powered, PredictionPowered)
    assert found.powered.effective_labels < 100


def test_what_cannot_be_estimated_says_why(tmp_path: Path) -> None:
    nothing = np.full(20, np.nan)
    path, _ = study(tmp_path / "x.db", nothing, np.ones(20), {"ann": np.r_[1.0, nothing[1:]]})
    with Ledger.open(path) as ledger:
        found = people_win_rate(ledger, "judge", Scope(model="model"), half_width=0.1)
        assert found.powered == "10 human labels or more are needed, not 1"
        assert isinstance(found.plan, str)
        assert found.people is not None
        assert found.people.low is None
        for scope, chosen, message in (
            (Scope(against="baseline"), "random", "--against"),
            (Scope(model="nobody"), "random", "no judgement fits"),
            (Scope(source="nowhere"), "random", "no judgement fits"),
            (Scope(), "whim", "--chosen"),
        ):
            with pytest.raises(ConfigError, match=message):
                people_win_rate(ledger, "judge", scope, chosen=chosen)
        with pytest.raises(ConfigError, match="no annotator 'other'"):
            people_win_rate(ledger, "other", Scope())


def test_next_pairs_favour_doubt_and_leave_out_what_is_labelled(tmp_path: Path) -> None:
    sure, unsure = np.ones(150), np.full(150, 0.5)
    labelled = np.full(300, np.nan)
    labelled[:50] = 1
    judged = np.concatenate([sure, unsure])
    path, ids = study(tmp_path / "x.db", judged, judged, {"ann": labelled}, repeats=50)
    with Ledger.open(path) as ledger:
        found = next_pairs(ledger, "judge", 60)
        assert next_pairs(ledger, "judge", 20) == found[:20]
        assert len(next_pairs(ledger, "judge", 1000)) == 250
        with pytest.raises(ConfigError, match="--n is 0"):
            next_pairs(ledger, "judge", 0)
    assert len(set(found)) == 60
    assert not set(found) & set(ids[:50])
    assert sum(pair in ids[150:] for pair in found) >= 40  # of 60; even chances would give 36


def test_one_firm_verdict_is_no_certainty() -> None:
    found = shrunk(np.array([1.0, 1.0, 0.5, np.nan]), np.array([1.0, 10.0, 2.0, 0.0]))
    assert found.tolist() == [pytest.approx(2 / 3), pytest.approx(11 / 12), 0.5, 0.5]


def test_labels_chosen_by_doubt_are_weighed_by_their_chances(tmp_path: Path) -> None:
    """The judge doubts the pairs that the model loses: without their chances the labels would mislead."""
    rng = np.random.default_rng(3)
    doubtful = rng.random(600) < 0.4
    truth = np.where(doubtful, rng.random(600) < 0.2, rng.random(600) < 0.9).astype(float)
    judged = np.where(doubtful, 0.5, 1.0)
    path, ids = study(tmp_path / "x.db", truth, judged, {}, repeats=20)
    with Ledger.open(path) as ledger:
        first = next_pairs(ledger, "judge", 200)
        order = {pair: place for place, pair in enumerate(first)}
        known = label_table(ledger, "judge", Scope(model="model"))
        assert list(known["pair_id"]) == ids
        with ledger.writing() as writer:
            [ann] = writer.annotators([AnnotatorCard("ann", HUMAN)])
            [stray] = [pair for pair in ids if pair not in order][:1]
            facts = []
            for pair in ledger.pairs():
                if pair.id in order or pair.id == stray:
                    good = truth[ids.index(pair.id)]
                    preference = float(good if pair.output_a.producer == "model" else 1 - good)
                    facts.append(Annotation(pair.id, ann, preference, preference, None))
            writer.annotations(facts)
        weighed = people_win_rate(ledger, "judge", Scope(model="model"), chosen="doubt")
        naive = people_win_rate(ledger, "judge", Scope(model="model"))
    assert isinstance(weighed.powered, PredictionPowered)
    assert (weighed.powered.n, weighed.outside) in {(200, 1), (201, 0)}
    assert weighed.powered.interval.low < truth.mean() < weighed.powered.interval.high
    assert abs(weighed.powered.value - truth.mean()) < 0.03
    assert naive.people is not None
    assert naive.people.value < truth.mean() - 0.04
    assert isinstance(weighed.corrected, str)


def test_priority_samples_cover() -> None:
    """Over 300 populations of pairs, each with its own order, the interval covers as often as it says."""
    covered = 0
    for study_number in range(300):
        rng = np.random.default_rng(study_number)
        judge = rng.random(400)
        truth = (rng.random(400) < judge**2).astype(float)
        keys = [f"{study_number} {i}" for i in range(400)]
        pool = pd.DataFrame({"key": keys, "judge": judge, "judgements": 5, "human": truth})
        pool.loc[np.argsort(priorities(pool))[100:], "human"] = np.nan
        beginning = labelled_prefix(pool)
        found = prediction_powered_win_rate(
            beginning.pool["human"], judge, inclusion=beginning.inclusion
        ).interval
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= float((judge**2).mean()) <= found.high
    assert 0.91 <= covered / 300 <= 0.985


def test_replacement_names_the_people(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random(60) < 0.5).astype(float)
    names = ("cleo", "ada", "ben", "dan")
    people = {name: np.where(rng.random(60) < 0.8, truth, 1 - truth) for name in names}
    people["dan"][9:] = np.nan
    path, _ = study(tmp_path / "x.db", truth, truth, people)
    with Ledger.open(path) as ledger:
        [found] = may_replace(ledger, epsilons=(0.1,))
    [test] = json.loads(json.dumps(found.to_json()))["tests"]
    assert [person["person"] for person in test["people"]] == ["ada", "ben", "cleo"]
    assert test["left_out"] == ["dan"]


def test_counts_tell_labels_from_instructions(tmp_path: Path) -> None:
    """40 questions of 20 instructions, of which people labelled 24 of 12."""
    asked = [Instruction(f"Instruction {i}.") for i in range(20)]
    pairs = [
        Pair.of(Output(each, f"good {k}", "model"), Output(each, f"bad {k}", "baseline"))
        for each in asked
        for k in range(2)
    ]
    path = tmp_path / "x.db"
    with Ledger.open(path, create=True) as ledger:
        with ledger.writing() as writer:
            ids = writer.pairs([pair for pair, _ in pairs])
            judge, ann = writer.annotators([AnnotatorCard("judge", LLM), AnnotatorCard("ann", HUMAN)])
            facts = []
            for i, (number, (_, flipped)) in enumerate(zip(ids, pairs, strict=True)):
                won = float((i % 3 > 0) != flipped)
                facts.append(Annotation(number, judge, won, won, None))
                if i < 24:
                    facts.append(Annotation(number, ann, won, won, None))
            writer.annotations(facts)
        found = people_win_rate(ledger, "judge", Scope(model="model"))
    counts = {name: (each.instructions, each.labels, each.verdicts) for name, each in found.counts().items()}
    assert counts == {
        "judge": (20, 0, 40),
        "people": (12, 24, 0),
        "rogan_gladen": (12, 24, 40),
        "prediction_powered": (12, 24, 40),
    }


# ---- real people


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder = os.environ.get("FARM_REAL_DATA")
    if not folder:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    with Ledger.open(tmp_path_factory.mktemp("real") / "farm.db", create=True) as ledger:
        files = [Path(folder) / f"{name}.jsonl.gz" for name in ("pandalm", "llmfao", "autoj")]
        import_files(ledger, "preferences", files, ReadOptions(), lambda *_: None)
        yield ledger


@pytest.mark.parametrize(
    ("source", "judge", "epsilon", "winning", "advantage", "tested"),
    [
        ("pandalm", "gpt-3.5-turbo/pandalm-prompt", 0.1, 0, 0.72, 3),
        ("pandalm", "gpt-3.5-turbo/pandalm-prompt", 0.2, 0, 0.72, 3),
        ("pandalm", "pandalm-7b", 0.2, 0, 0.69, 3),
        ("llmfao", "gpt-4/llmfao-prompt", 0.1, 0, 0.69, 37),
        ("llmfao", "gpt-4/llmfao-prompt", 0.2, 0.03, 0.69, 37),
        ("llmfao", "gpt-3.5-turbo-instruct/llmfao-prompt", 0.2, 0, 0.62, 37),
    ],
)
def test_no_judge_at_hand_may_replace_real_people(
    real: Ledger, source: str, judge: str, epsilon: float, winning: float, advantage: float, tested: int
) -> None:
    [found] = may_replace(real, [judge], Scope(source), (epsilon,))
    [test] = found.tests
    assert test.winning_rate == pytest.approx(winning, abs=0.0051)
    assert test.advantage == pytest.approx(advantage, abs=0.0051)
    assert (len(test.people), test.passes) == (tested, False)


def test_one_person_is_no_group_to_replace(real: Ledger) -> None:
    [found] = may_replace(real, scope=Scope("autoj"))
    assert found.tests == ()
    assert "the test needs 3 people" in found.refused


def test_without_people_there_is_nobody_to_replace(tmp_path: Path) -> None:
    path, _ = study(tmp_path / "x.db", np.ones(3), np.ones(3), {})
    with Ledger.open(path) as ledger, pytest.raises(ConfigError, match="no person judged"):
        may_replace(ledger)


def test_the_commands(coins: Ledger, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[str, Any]:
        command = ["--ledger", str(tmp_path / "farm.db"), "people", *arguments]
        shown = CliRunner().invoke(app, command, catch_exceptions=False).stdout
        return shown, json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)

    shown, found = run("win-rate", "judge", "--model", "model", "--half-width", "0.08")
    assert found["prediction_powered"]["n"] == 100
    assert found["counts"] == {
        "judge": {"instructions": 395, "labels": 0, "verdicts": 395},
        "people": {"instructions": 100, "labels": 100, "verdicts": 0},
        "rogan_gladen": {
            "instructions": found["rogan_gladen"]["n_calibration"],
            "labels": found["rogan_gladen"]["n_calibration"],
            "verdicts": 395,
        },
        "prediction_powered": {"instructions": 100, "labels": 100, "verdicts": 395},
    }
    assert all(word in shown for word in ("instructions", "labels", "verdicts"))
    assert "needs" in shown
    shown, found = run("next", "judge", "--n", "4")
    assert shown.split() == [str(pair) for pair in found["pairs"]]
    assert len(found["pairs"]) == 4
    shown, found = run("replace")
    assert "the test needs 3 people" in found["annotators"][0]["refused"]
    assert "the test needs 3 people" in shown
