"""Rankings beside each other: of evaluators, and of one evaluator when order, noise or the draw changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, permutations
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from typer.testing import CliRunner

from annotators.draws import Orders
from annotators.simulator import Judge, Simulator, SimulatorConfig
from cli import app
from db.errors import ConfigError
from db.ids import keyed_uniform
from db.interchange.rows import ReadOptions
from db.ledger import Ledger
from db.records import Annotation, AnnotatorCard, AnnotatorKind, Instruction, Output, Pair
from farm.annotate import annotate
from farm.evaluation.rankings import (
    Evaluator,
    common_reference,
    compare,
    model_table,
    rank_agreement,
    sensitivity,
    sides,
    variants,
)
from farm.evaluation.scope import Scope
from farm.import_ import import_files
from farm.judging.provider import Provider, Task
from tests.support.command_line import told

MODELS = ("m0", "m1", "m2", "m3", "m4")


def utility(instruction: str, input: str, output: str) -> float:
    """m4 is the best, with some noise of its own."""
    return int(output[1]) + 3 * (keyed_uniform("test utility", output) - 0.5)


def contests(rows: list[tuple[int, str, str, float]], **columns: Any) -> pd.DataFrame:
    """Rows (instruction, model_a, model_b, preference) as db/queries/contests.py has them."""
    frame = pd.DataFrame(rows, columns=["instruction", "model_a", "model_b", "preference"])
    frame["label"] = frame["preference"]
    other = {"pair_id": range(len(frame)), "annotator": 1, "replicate": 0, "swapped": -1}
    for name, values in {**other, **columns}.items():
        frame[name] = values
    return frame


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """All pairs of five models on 12 instructions, judged by people who know the utility."""
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        pairs = []
        for i in range(12):
            asked = Instruction(f"Instruction {i}.")
            outputs = [Output(asked, f"{name} says {i}.", name) for name in MODELS]
            pairs += [Pair.of(a, b)[0] for a, b in combinations(outputs, 2)]
        with opened.writing() as writer:
            ids = writer.pairs(pairs)
            [ann] = writer.annotators([AnnotatorCard("ann", AnnotatorKind.HUMAN)])
            values = [
                float(utility("", "", p.output_a.text) > utility("", "", p.output_b.text)) for p in pairs
            ]
            facts = [Annotation(i, ann, v, v, None) for i, v in zip(ids, values, strict=True)]
            writer.annotations(facts)
        yield opened


def judged_by(ledger: Ledger, name: str, judge: Judge, orders: Orders, replicates: int = 1) -> None:
    with Simulator(SimulatorConfig(judge=judge)) as simulator:
        task = Task(orders=orders, replicates=replicates)
        annotate(ledger, name, task, lambda *_: None, Provider(base_url=simulator.base_url))


def test_scores_by_hand() -> None:
    rows = sides(contests([(0, "x", "y", 1.0), (0, "x", "z", 0.5), (1, "y", "z", 0.25), (1, "x", "x", 1.0)]))
    table = model_table(Evaluator("e", rows))
    assert table.loc[0].to_dict() == {"x": 0.75, "y": 0.0, "z": 0.5}
    assert table.loc[1, ["y", "z"]].to_dict() == {"y": 0.25, "z": 0.75}
    assert table["x"].isna().tolist() == [False, True]  # x met only itself there
    assert model_table(Evaluator("e", rows, "x")).loc[0].to_dict() == {"y": 0.0, "z": 0.5}


def test_models_with_equal_means_are_ties_though_their_sums_round_differently() -> None:
    """Of 5 games on each of 4 instructions A wins 1, 1, 4, 0 by one judge and B 0, 4, 1, 1: both win 30 %.

    The other judge has it the other way about, and C wins 1 game by both: the rankings are the same.
    """
    won = {"A": (1, 1, 4, 0), "B": (0, 4, 1, 1), "C": (0, 0, 0, 1)}
    rows = [
        (i, model, "ref", float(game < wins[i]))
        for model, wins in won.items()
        for i in range(4)
        for game in range(5)
    ]
    other = [(i, {"A": "B", "B": "A"}.get(model, model), ref, value) for i, model, ref, value in rows]
    for seed in range(5):
        a, b = (
            Evaluator(name, sides(contests(each).sample(frac=1, random_state=seed)), "ref")
            for name, each in (("j1", rows), ("j2", other))
        )
        found = compare("evaluators", a, b, draws=20)
        assert found.spearman is not None
        assert found.kendall is not None
        assert [found.spearman.value, found.kendall.value] == pytest.approx([1, 1])


def test_verdicts_that_cancel_are_a_tie_in_whatever_order_they_are_added() -> None:
    """Three judgements of 0.7, 0.6 and 0.2 have the mean 0.5, which their sum as floats may miss."""
    said = [0.7, 0.6, 0.2]
    assert {sum(order) / 3 for order in permutations(said)} != {0.5}
    ties = Evaluator("ties", sides(contests([(i, "x", "y", 0.5) for i in range(2)])))
    for order in permutations(said):
        rows = [(i, "x", "y", value) for i in range(2) for value in order]
        several = contests(rows, pair_id=[0, 0, 0, 1, 1, 1], replicate=[0, 1, 2] * 2)
        found = compare("evaluators", Evaluator("several", sides(several)), ties).agreement
        assert found is not None
        assert found.value == 1


@settings(max_examples=25)
@given(st.data())
def test_what_a_person_says_twice_counts_once(data: st.DataObject) -> None:
    """In the other order, in a second replicate, or both: scores, correlation and agreement stay."""
    said = [
        (i, model, "base", data.draw(st.sampled_from([0.0, 0.5, 1.0])))
        for i in range(4)
        for model in MODELS[:4]
    ]
    both: list[pd.DataFrame] = [contests(said, annotator=each, swapped=0) for each in (1, 2)]
    people = pd.concat(both)
    people.loc[people["annotator"] == 2, "preference"] = data.draw(
        st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=len(said), max_size=len(said))
    )
    again = people[data.draw(st.lists(st.booleans(), min_size=len(people), max_size=len(people)))]
    doubled = pd.concat([people, again.assign(swapped=1), again.assign(replicate=1)], ignore_index=True)
    judge = Evaluator("judge", sides(contests(said[::-1])), "base")
    once, twice = (Evaluator("human", sides(rows), "base") for rows in (people, doubled))
    pd.testing.assert_frame_equal(model_table(twice), model_table(once), rtol=0, atol=1e-12)
    assert compare("", twice, judge, draws=20) == compare("", once, judge, draws=20)


def test_a_reference_is_who_meets_everybody() -> None:
    assert common_reference(sides(contests([(0, "r", "x", 1), (0, "y", "r", 1)]))) == "r"
    assert common_reference(sides(contests([(0, "x", "y", 1)]))) is None
    assert common_reference(sides(contests([(0, "r", "x", 1), (0, "y", "r", 1), (0, "x", "y", 1)]))) is None


def test_the_shown_place_is_the_models_own() -> None:
    rows = sides(contests([(0, "x", "y", 1.0)], swapped=1)).set_index("model")["shown"]
    assert rows.to_dict() == {"x": 1, "y": 0}
    unknown = sides(contests([(0, "x", "y", 1.0)]))
    assert set(unknown["shown"]) == {-1}


def test_a_good_judge_ranks_as_people_do_and_a_blind_one_does_not(ledger: Ledger) -> None:
    judged_by(ledger, "plain", Judge(utility=utility, noise=0), Orders.RANDOM)
    judged_by(ledger, "structured", Judge(utility="random", noise=0), Orders.RANDOM)
    good = rank_agreement(ledger, "human", "plain", draws=200)
    assert good.spearman is not None
    assert good.kendall is not None
    assert (good.spearman.value, good.kendall.value) == (1.0, 1.0)
    assert good.agreement is not None
    assert (good.agreement.value, good.agreement.n) == (1.0, 12)
    blind = rank_agreement(ledger, "human", "structured", draws=200)
    assert blind.agreement is not None
    assert blind.agreement.high is not None
    assert blind.agreement.high < 0.75
    found = sensitivity(ledger, draws=100)
    assert [each.evaluator for each in found.rankings] == ["human", "plain", "structured"]
    assert list(found.rankings[0].scores) == list(MODELS[::-1])
    assert {(each.n, each.n_failed) for each in found.rankings} == {(120, 0)}
    assert [each.kind for each in found.comparisons].count("annotator") == 3
    json.dumps(found.to_json(), allow_nan=False)


def test_shown_order_and_the_draw_are_told_apart(ledger: Ledger) -> None:
    biased = Judge(utility=utility, noise=0.5, position_bias=1.5)
    judged_by(ledger, "plain", biased, Orders.BOTH, replicates=2)
    found = sensitivity(ledger, ["plain"], draws=100)
    assert {each.kind for each in found.comparisons} == {"order", "draw"}
    assert all(each.spearman is not None and each.spearman.value > 0.5 for each in found.comparisons)


def test_orders_that_are_fixed_by_instruction_are_compared_over_those_of_each() -> None:
    rows = [(i, a, b, 0.75 if i % 2 else 0.6) for i in range(8) for a, b in combinations("wxyz", 2)]
    frame = contests(rows)
    one = Evaluator("e", sides(frame.assign(swapped=frame["instruction"] % 2)))
    [(kind, first, second)] = list(variants(one))
    found = compare(kind, first, second)
    assert kind == "order"
    assert found.spearman is not None
    assert found.spearman.value == pytest.approx(1.0)


def test_label_noise_is_told_apart(ledger: Ledger) -> None:
    judged_by(ledger, "crowd", Judge(utility=utility, noise=0), Orders.RANDOM)
    [noise] = [each for each in sensitivity(ledger, ["crowd"], draws=50).comparisons if each.kind == "noise"]
    assert noise.agreement is not None
    assert noise.agreement.value is not None
    assert noise.agreement.value < 1


def test_nothing_to_tell_apart_gives_no_variant() -> None:
    rows = sides(contests([(0, "x", "y", 1.0)]))
    assert list(variants(Evaluator("e", rows))) == []


def test_two_models_or_ties_alone_have_no_rank_correlation() -> None:
    two = Evaluator("e", sides(contests([(0, "x", "y", 1.0), (1, "x", "y", 0.0)])))
    assert "three common models" in compare("evaluators", two, two).refused
    tied = [(i, a, b, 0.5) for i in range(3) for a, b in combinations("xyz", 2)]
    ties = Evaluator("e", sides(contests(tied)))
    refused = compare("evaluators", ties, ties)
    assert "ties all" in refused.refused
    assert refused.agreement is not None
    assert refused.agreement.value == 1


def test_evaluators_of_other_instructions_are_refused() -> None:
    first = [(i, a, b, 0.9) for i in range(3) for a, b in combinations("xyz", 2)]
    other = [(i + 10, a, b, 0.9) for i, a, b, _ in first]
    a, b = (
        Evaluator("a", sides(contests(first))),
        Evaluator("b", sides(contests(other, pair_id=range(90, 99)))),
    )
    found = compare("evaluators", a, b)
    assert "common) instructions" in found.refused
    assert found.agreement is None


def test_wrong_names_are_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="no annotator 'nobody'"):
        rank_agreement(ledger, "human", "nobody")
    with pytest.raises(ConfigError, match="no judgement of two models"):
        sensitivity(ledger, scope=Scope(source="nowhere"))


def test_the_commands(ledger: Ledger, tmp_path: Path) -> None:
    judged_by(ledger, "plain", Judge(utility=utility), Orders.RANDOM)
    base = ["--ledger", str(tmp_path / "farm.db"), "people"]
    ask = [*base, "rank", "--a", "human", "--b", "plain", "--draws", "50", "--json"]
    found = json.loads(CliRunner().invoke(app, ask, catch_exceptions=False).stdout)
    assert found["spearman"]["n_models"] == 5
    shown = CliRunner().invoke(app, [*base, "sensitivity"], catch_exceptions=False).stdout
    assert "human: m4 " in shown


def test_rank_of_tied_means_is_scipys_of_fractions_in_any_order_of_rows(tmp_path: Path) -> None:
    """Of 10 games on each of 3 instructions; w and x won 9 in all by both judges, in other parts."""
    won = {
        "one": {"w": (1, 1, 7), "x": (3, 3, 3), "y": (2, 2, 9), "z": (0, 1, 1)},
        "other": {"w": (3, 3, 3), "x": (7, 1, 1), "y": (0, 4, 1), "z": (8, 3, 2)},
    }
    games = [
        (who, model, i, game, game < wins)
        for who, table in won.items()
        for model, parts in table.items()
        for i, wins in enumerate(parts)
        for game in range(10)
    ]
    means = [[sum(map(Fraction, parts)) / 30 for parts in won[who].values()] for who in won]
    x, y = ([sorted(set(side)).index(mean) for mean in side] for side in means)
    for seed in range(2):
        path = tmp_path / f"{seed}.db"
        with Ledger.open(path, create=True) as opened, opened.writing() as writer:
            cards = [AnnotatorCard(name, AnnotatorKind.LLM) for name in won]
            who = dict(zip(won, writer.annotators(cards), strict=True))
            shuffled = Random(seed).sample(games, len(games))
            made = []
            for _, model, i, game, _ in shuffled:
                asked = Instruction(f"Instruction {i}.")
                texts = Output(asked, f"{model} {i} {game}", model), Output(asked, f"base {i}", "base")
                made.append(Pair.of(*texts))
            facts = []
            ids = writer.pairs([pair for pair, _ in made])
            for (judge, *_, better), (_, flipped), number in zip(shuffled, made, ids, strict=True):
                p = float(better != flipped)
                facts.append(Annotation(number, who[judge], p, p, None))
            writer.annotations(facts)
        found = told(path, "people", "rank", "--a", "one", "--b", "other", "--draws", 20)
        assert found["spearman"]["value"] == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
        assert found["kendall"]["value"] == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)


def test_rankings_of_real_people_and_judges(real_data: Path, tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "real.db", create=True) as opened:
        import_files(opened, "preferences", [real_data / "llmfao.jsonl.gz"], ReadOptions(), lambda *_: None)
        found = sensitivity(opened, draws=50)
    values = {
        (each.kind, each.a.split("/")[0], each.b.split("/")[0]): each.spearman.value
        for each in found.comparisons
        if each.spearman
    }
    # scipy's, of means as exact fractions
    assert values["annotator", "human", "gpt-4"] == pytest.approx(0.6405020421181113, abs=1e-12)
    assert values["annotator", "human", "gpt-3.5-turbo-instruct"] == pytest.approx(
        0.5457581267918774, abs=1e-12
    )
    assert values["order", "gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct"] == pytest.approx(
        0.14, abs=0.005
    )
    assert {each.reference for each in found.rankings} == {None}
