"""`farm audit --benchmark`: each benchmark's own rule by hand, on small files in its public format."""

from __future__ import annotations

import json
from math import tanh
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from db.records import AnnotatorKind
from farm.config import ModelConfig
from farm.evaluation.benchmark_rules import LLMBAR, SCORE, Played, llmbar
from farm.evaluation.benchmarks import BENCHMARKS
from farm.judging.reward_model import load_score
from farm.models.tokens import Prompt
from farm.options.audit import BenchmarkName
from farm.statistics.measures import intervals
from tests.support.benchmark_files import (
    BAD,
    GOOD,
    NONE,
    TIE,
    imported,
    judge,
    listed_row,
    results_of,
    reward_bench_row,
    scored,
    values,
)
from tests.support.command_line import farm, refused, told
from tests.support.tiny_judges import write_reward_model

PARTS = ["alpacaeval-easy", "mt-bench-med", "mt-bench-hard", "llmbar-natural", "donotanswer", "math-prm"]
PARTS.append("hep-python")
SET = [reward_bench_row(subset, number) for subset in PARTS for number in (1, 2)]
# of alpacaeval-easy 1, 2, mt-bench-med 1, 2, and so on
SCORES = [(2, 1), (1, 1), (3, 0), (2, 1), (1, 0), (0, 1), (1, 0), (1, 0), (0, 2), (2, 0), (1, 0), (1, 0)]
SCORES += [(0, 1), (1, 1)]
SECTIONS = {
    "Chat": (100 / 2 + 40) / 140,
    "Chat Hard": (37 / 2 + 100) / 137,
    "Safety": 1 / 2,
    "Reasoning": 984 / (984 + 164),
}


def test_every_name_of_the_option_has_its_rule() -> None:
    assert set(BENCHMARKS) == set(get_args(BenchmarkName))


def reward_bench(path: Path, **columns: Any) -> dict[str, Any]:
    """RewardBench and one model's results of it."""
    imported(path, "rewardbench", SET, file="set.jsonl")
    imported(path, "rewardbench-results", results_of(SET, **columns), file="scorer.json")
    return scored(path, "reward-bench")[1]["scorer"]


def test_reward_bench_weighs_subsets_in_sections_and_a_tied_score_is_wrong(tmp_path: Path) -> None:
    """(a, b): scores of the right and the wrong text. alpacaeval-easy is 1/2 right, mt-bench-med 2/2: Chat is
    the mean by 100 and 40. math-prm weighs 984."""
    right, wrong = zip(*SCORES, strict=True)
    row = reward_bench(tmp_path / "farm.db", scores_chosen=list(right), scores_rejected=list(wrong))
    assert values(row) == pytest.approx({"score": sum(SECTIONS.values()) / 4, **SECTIONS})
    assert row["judged"] == 14


def test_in_reward_bench_a_judges_tie_is_half_right(tmp_path: Path) -> None:
    """The two ties are alpacaeval-easy 2 and hep-python 2, each half of a half of its subset."""
    said = [float(a > b) if a != b else 0.5 for a, b in SCORES]
    row = reward_bench(tmp_path / "farm.db", results=said, model_type="Generative RM")
    chat, reasoning = (75 + 40) / 140, (984 + 164 / 4) / (984 + 164)
    assert (values(row)["Chat"], values(row)["Reasoning"]) == pytest.approx((chat, reasoning))


def test_an_unreadable_reply_is_half_right_in_reward_bench(tmp_path: Path) -> None:
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    judge(path, "silent", lambda *_: [NONE])
    judge(path, "mute", lambda *_: [NONE], AnnotatorKind.REWARD_MODEL)
    rows = scored(path, "reward-bench")[1]
    assert set(values(rows["silent"]).values()) == {0.5}
    assert set(values(rows["mute"]).values()) == {0.0}


def test_a_section_that_nobody_judged_leaves_the_score_undefined(tmp_path: Path) -> None:
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    judge(path, "partial", lambda asked, *_: [GOOD] if not asked.startswith("donotanswer") else [])
    found, rows = scored(path, "reward-bench")
    row = rows["partial"]
    assert (row["judged"], found["prompts"], found["size"], row["whole"]) == (12, 14, 2985, False)
    assert (values(row)["score"], values(row)["Safety"], values(row)["Chat"]) == (None, None, 1.0)
    said = farm(path, "audit", "--benchmark", "reward-bench").out
    assert "the ledger holds 14 of 2,985 prompts" in said
    [line] = [line for line in said.splitlines() if line.startswith("partial") and "(part)" in line]
    assert line.split()[1:4] == ["12", "not", "defined"]


TWO = {
    "Factuality": [[3, 1, 2, 0], [2, 2, 1, 0], [1, 2, 0, 0]],  # 1, 1/2, 0
    "Precise IF": [[1, 1, 1, 1]],
    "Math": [[1, 0, 0, 0]],
    "Safety": [[0, 0, 0, 1]],
    "Focus": [[2, 2, 2, 1]],
}
TIED = {"ref:0": ([4], [1]), "tied:0": ([5, 4], [2, 1]), "ref:1": ([1], [2]), "tied:1": ([3, 3], [1])}
# 0: gaps 3 and 2, spread 1. 1: gaps -1 and 2, spread 0.
TIES = 0.3 + 0.3 / 2 + 0.2 + 0.2 / 2 + 0.01 * (tanh(2 / 1 - 1) - 1) / 2


def reward_bench_2(path: Path) -> tuple[list[dict[str, Any]], list[list[float]]]:
    """A small RewardBench 2 in a ledger, its rows and their scores."""
    rows, scores = [], []
    for subset, prompts in TWO.items():
        for number, each in enumerate(prompts):
            name = f"{subset} {number}"
            rows.append(listed_row(name, ["x"], ["p", "q", "r"], subset=subset, id=name))
            scores.append(list(map(float, each)))
    for name, (right, wrong) in TIED.items():
        texts = [[f"{i}" for i in range(len(each))] for each in (right, wrong)]
        rows.append(listed_row(name, *texts, subset="Ties", id=name))
        scores.append(list(map(float, [*right, *wrong])))
    imported(path, "reward-lists", rows, file="reward-bench-2.jsonl")
    return rows, scores


def test_reward_bench_2_takes_the_best_of_4_and_has_a_formula_for_ties(tmp_path: Path) -> None:
    path = tmp_path / "farm.db"
    rows, scores = reward_bench_2(path)
    results = results_of(rows, scores=scores, num_correct=[len(each["chosen"]) for each in rows])
    imported(path, "rewardbench-results", results, file="scorer.json")
    found, by_name = scored(path, "reward-bench-2")
    best = {"Factuality": 0.5, "Precise IF": 0.25, "Math": 1.0, "Safety": 0.0, "Focus": 1 / 3}
    expected = {"score": (sum(best.values()) + TIES) / 6, **best, "Ties": TIES}
    assert values(by_name["scorer"]) == pytest.approx(expected)
    assert (found["prompts"], found["size"], by_name["scorer"]["judged"]) == (11, 1865, 11)


def test_a_judge_without_scores_has_no_ties_and_no_score(tmp_path: Path) -> None:
    """It wins all, but for one unreadable reply of three on Safety (a tie: 1/2), and one tie of three."""
    path = tmp_path / "farm.db"
    reward_bench_2(path)

    def says(asked: str, good: str, bad: str) -> list[str]:
        if bad == "bad p":
            return {"Safety 0": [NONE], "Math 0": [TIE]}.get(asked, [GOOD])
        return [] if (asked, bad) == ("Focus 0", "bad r") else [GOOD]

    judge(path, "plain", says)
    found, rows = scored(path, "reward-bench-2")
    said = values(rows["plain"])
    assert (said["Factuality"], said["Safety"], said["Math"]) == (1.0, 0.5, 0.5)
    assert (said["Ties"], said["score"]) == (None, None)
    assert said["Focus"] is None  # two of its three pairs are not the prompt
    assert (rows["plain"]["judged"], found["prompts"]) == (10, 11)


@pytest.mark.parametrize("both", [False, True])
def test_rm_bench_is_easy_where_the_right_text_has_the_fancier_style(tmp_path: Path, both: bool) -> None:
    """The judge goes by the place in the list, the style: a tie where both have one style.

    Of one chat prompt the last two right texts are the same, so that each of their pairs stands in two cells.
    """
    domains = ["chat", "code", "math", "safety-refuse", "safety-response"]
    rows = [listed_row(name, ["0", "1", "2"], ["0", "1", "2"], domain=name, id=name) for name in domains]
    rows.append(listed_row("twice", ["0", "1", "1"], ["0", "1", "2"], domain="chat", id="twice"))
    path = imported(tmp_path / "farm.db", "reward-lists", rows, file="rm-bench.jsonl")

    def says(asked: str, good: str, bad: str) -> list[str]:
        said = GOOD if good[-1] > bad[-1] else TIE if good[-1] == bad[-1] else BAD
        said = BAD if asked == "safety-refuse" else said
        return [said, said] if both else [said]

    judge(path, "style", says)
    found, by_name = scored(path, "rm-bench")
    # twice: (1, 0), (2, 0) won, (2, 1) a tie: easy 2/3
    easy = {"chat": (1 + 2 / 3) / 2, "math": 1.0, "code": 1.0, "safety": 1 / 2}
    expected = {"score": sum(easy.values()) / 12, "easy": sum(easy.values()) / 4, "normal": 0.0, "hard": 0.0}
    expected |= {name: each / 3 for name, each in easy.items()}
    assert values(by_name["style"]) == pytest.approx(expected)
    assert (found["prompts"], by_name["style"]["judged"]) == (6, 6)


def pair_of_judge_bench(number: int, label: str, *decisions: str | None) -> dict[str, Any]:
    """A pair with its games: the first as stored, the second with response_B first."""
    games = [{"judgment": {"judge_model": "m", "response": "..."}, "decision": each} for each in decisions]
    return {
        "pair_id": f"p{number}",
        "question": f"Question {number}",
        "response_A": f"one {number}",
        "response_B": f"two {number}",
        "response_model": "w",
        "source": ["mmlu-pro-law", "livebench-math", "livecodebench", "livebench-reasoning"][number % 4],
        "label": label,
        "judge_name": "vanilla",
        "judgments": games,
    }


def test_judge_bench_lets_the_readable_order_decide(tmp_path: Path) -> None:
    """In the second game the first response shown is B, so `B>A` there means that A is better."""
    games: list[tuple[str, list[str | None], bool]] = [
        ("A>B", ["A>B", "B>A"], True),  # right twice
        ("B>A", ["B>A", "A=B"], True),  # right, and a tie
        ("A>B", [None, "B>A"], True),  # unreadable, and right
        ("A>B", ["A>B", "A>B"], False),  # the first shown twice
        ("A>B", ["A=B", "A=B"], False),
        ("B>A", ["B>A"], True),  # one order alone
        ("A>B", ["B>A", None], False),
        ("A>B", [None, None], False),
    ]
    rows = [pair_of_judge_bench(i, label, *said) for i, (label, said, _) in enumerate(games)]
    path = imported(tmp_path / "farm.db", "judgebench", rows)
    found, by_name = scored(path, "judge-bench")
    row = by_name["m/vanilla"]
    right = [each for _, _, each in games]
    expected = {"score": 4 / 8, "knowledge": 1 / 2, "math": 2 / 2, "coding": 1 / 2, "reasoning": 0.0}
    assert sum(right) / 8 == expected["score"]
    assert values(row) == pytest.approx(expected)
    assert (row["judged"], row["in_both_orders"], found["size"]) == (8, 7, 620)


def test_llmbar_is_the_mean_of_both_orders_and_of_its_subsets(tmp_path: Path) -> None:
    """What is unreadable is wrong. The score is the mean of five subsets, of different sizes."""
    path = tmp_path / "farm.db"
    given: dict[str, list[tuple[str | None, str | None]]] = {
        "Natural": [("1", "1"), ("1", None)],
        "Adversarial/Neighbor": [("1", "1")],
        "Adversarial/GPTInst": [("1", "2")],
        "Adversarial/GPTOut": [("2", "2")],
        "Adversarial/Manual": [(None, "1")],
    }
    for subset, items in given.items():
        rows = []
        for number, winners in enumerate(items):
            games = {
                f"swap = {swap}": {"completion": ["..."], "winner": winner}
                for swap, winner in zip((False, True), winners, strict=True)
            }
            texts = {"input": f"{subset} {number}", "output_1": "yes", "output_2": "no", "label": 1}
            rows.append(texts | {"results": [games]})
        file = f"Dataset/LLMBar/{subset}/evaluators/GPT/Vanilla/result.json"
        imported(path, "llmbar", rows, file=file)
    row = scored(path, "llmbar")[1]["GPT/Vanilla"]
    adversarial = {"Neighbor": 1.0, "GPTInst": 0.5, "GPTOut": 0.0, "Manual": 0.5}
    expected = {"score": (0.75 + 2) / 5, "Natural": 0.75, "Adversarial": 2 / 4, **adversarial}
    assert values(row) == pytest.approx(expected)
    assert (row["judged"], row["in_both_orders"]) == (6, 6)


def test_ppe_leaves_peoples_ties_out_and_a_judges_tie_is_wrong(tmp_path: Path) -> None:
    winners = ["model_a", "model_b", "tie", "tie (bothbad)", "model_a", "model_a"]
    rows = [
        {
            "question_id": f"q{i}",
            "prompt": f"{i}?",
            "response_1": "bad" if winner == "model_b" else "good",
            "response_2": "good" if winner == "model_b" else "bad",
            "model_a": "m",
            "model_b": "n",
            "winner": winner,
            "language": "English",
        }
        for i, winner in enumerate(winners)
    ]
    path = imported(tmp_path / "farm.db", "ppe", rows)
    said = {"0?": GOOD, "1?": GOOD, "4?": TIE, "5?": NONE}
    judge(path, "plain", lambda asked, *_: [said.get(asked, BAD)])
    found, by_name = scored(path, "ppe")
    assert values(by_name["plain"]) == {"score": 2 / 4}
    assert (found["prompts"], found["size"], by_name["plain"]["whole"]) == (4, None, True)
    assert set(by_name) == {"plain"}  # the voters are the reference


def test_the_score_stands_beside_our_agreement(tmp_path: Path) -> None:
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    judge(path, "plain", lambda asked, *_: [TIE] if asked == "math-prm 1?" else [GOOD])
    report = told(path, "audit", "--benchmark", "reward-bench")
    [ours] = [each for each in report["annotators"] if each["annotator"] == "plain"]
    [row] = report["benchmark"]["annotators"]
    assert ours["agreement"]["value"] == pytest.approx(13.5 / 14)
    assert row["figures"]["score"]["value"] == pytest.approx(1 - 984 / (984 + 164) / 4 / 4)
    assert row["figures"]["score"]["low"] < row["figures"]["score"]["value"] < row["figures"]["score"]["high"]


def test_a_reward_model_of_a_folder_is_scored_like_any_other_judge(tmp_path: Path) -> None:
    """Its own scores, asked for output by output, give the same best of 4 and gaps of Ties."""
    path, model = tmp_path / "farm.db", write_reward_model(tmp_path / "rm")
    rows, _ = reward_bench_2(path)
    report = told(path, "annotate", "reward-model", "--model", model, "--benchmark", "reward-bench-2")
    [row] = report["benchmark"]["annotators"]
    assert scored(path, "reward-bench-2")[1] == {"reward-model": row}
    score = load_score(model, 1, ModelConfig())

    def scores(prompt: str, side: str) -> list[float]:
        [texts] = [each[side] for each in rows if each["prompt"] == prompt]
        return list(score([Prompt(prompt)] * len(texts), texts))

    best = [
        max(scores(f"Factuality {i}", "rejected")) < scores(f"Factuality {i}", "chosen")[0] for i in range(3)
    ]
    assert values(row)["Factuality"] == pytest.approx(sum(best) / 3)
    gap = {name: min(scores(name, "chosen")) - max(scores(name, "rejected")) for name in TIED}
    spread = {i: max(scores(f"tied:{i}", "chosen")) - min(scores(f"tied:{i}", "chosen")) for i in (0, 1)}
    smaller = {i: min(gap[f"ref:{i}"], gap[f"tied:{i}"]) for i in (0, 1)}
    expected = sum(
        0.3 * (gap[f"tied:{i}"] > 0)
        + 0.3 * (gap[f"ref:{i}"] > 0)
        + 0.2 * (gap[f"tied:{i}"] > spread[i])
        + 0.2 * (smaller[i] > spread[i])
        + 0.01 * tanh(smaller[i] / spread[i] - 1)
        for i in (0, 1)
    )
    assert values(row)["Ties"] == pytest.approx(expected / 2, abs=1e-4)
    assert row["judged"] == 11


def test_a_judge_is_scored_by_the_command_that_lets_it_judge(tmp_path: Path) -> None:
    """The right outputs are longer. Pairs of other sources stay unjudged."""
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    imported(path, "rewardbench", [reward_bench_row("else", 1)], "--source", "other", file="other.jsonl")
    said = farm(path, "annotate", "longest", "--benchmark", "reward-bench")
    assert (said.code, said.out.splitlines()[0][:23]) == (0, "longest judged 14 pairs")
    [line] = [line for line in said.out.splitlines() if "(part)" in line and line.startswith("longest")]
    assert line.split()[1:3] == ["14", "1.000"]
    error = refused(path, "annotate", "longest", "--benchmark", "reward-bench", "--members")
    assert "exclude each other" in error


def test_what_is_no_benchmark_is_one_line(tmp_path: Path) -> None:
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    assert "reward-bench, reward-bench-2" in refused(path, "audit", "--benchmark", "reward-banch")
    error = refused(path, "audit", "--benchmark", "rm-bench")
    assert "no question of the source 'rm-bench' is one of rm-bench" in error
    assert "farm import reward-lists FILE --source rm-bench" in error
    error = refused(path, "audit", "--benchmark", "rm-bench", "--source", "rewardbench")
    assert "it has the subsets 'alpacaeval-easy'" in error
    error = refused(path, "audit", "--benchmark", "reward-bench", "--average-orders")
    assert "--benchmark goes without" in error


def test_a_benchmark_that_nobody_judged_says_so(tmp_path: Path) -> None:
    path = imported(tmp_path / "farm.db", "rewardbench", SET)
    assert "Nobody judged reward-bench" in farm(path, "audit", "--benchmark", "reward-bench").out
    assert json.loads(farm(path, "audit", "--json").out)["benchmark"] is None


@pytest.mark.parametrize("right", [(0.95, 0.7, 0.8, 0.75, 0.8), (0.99, 0.97, 0.98, 0.97, 0.99)])
def test_the_bounds_of_a_mean_of_subsets_cover_it(right: tuple[float, ...]) -> None:
    """LLMBar's sizes, a judge that is right with these chances; of 200 benchmarks 95 % less four points."""
    rng, sizes = np.random.default_rng(0), [100, 134, 92, 47, 46]
    subset, chance = np.repeat(LLMBAR, sizes), np.repeat(right, sizes)
    covered = 0
    for _ in range(200):
        share = (rng.random((len(subset), 2)) < chance[:, None]).mean(axis=1)
        questions = pd.DataFrame({"subset": subset, "right": share, "cluster": np.arange(len(subset))})
        tally = llmbar(Played(questions, is_strict=False))
        found = intervals({SCORE: tally.figures[SCORE]}, tally.clusters)[SCORE]
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= float(np.mean(right)) <= found.high
    assert 0.91 <= covered / 200 <= 0.99
