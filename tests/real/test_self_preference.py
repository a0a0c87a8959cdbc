"""GPT-4 on its own outputs, on real judgements and on the boards that AlpacaEval published."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from farm.statistics.self_preference import Leads, self_preference
from tests.support.command_line import told

JUDGE = "gpt-4/llmfao-prompt"


def folder() -> Path:
    import os

    found = os.environ.get("FARM_REAL_DATA")
    if not found:
        pytest.skip("FARM_REAL_DATA is not set: no real data here")
    return Path(found)


def is_own(model: str) -> bool:
    return model.startswith(("GPT 3.5", "GPT 4"))


def test_gpt_4_and_people_on_outputs_of_gpt(tmp_path: Path) -> None:
    """LLMFAO: both judged the same pairs. The figures are counted again from the file."""
    file = folder() / "llmfao.jsonl.gz"
    told(tmp_path / "farm.db", "import", "preferences", file)
    found = told(tmp_path / "farm.db", "audit", "--families", "--family", f"{JUDGE}=openai")["families"]
    [row] = [each for each in found["annotators"] if each["against"] == "people"]
    own, beyond = counted(file)
    assert row["pairs"] == len(own)
    assert row["own"]["value"] == pytest.approx(np.mean([judge for judge, _ in own]))
    assert row["others"]["value"] == pytest.approx(np.mean([people for _, people in own]))
    assert row["beyond"]["value"] == pytest.approx(beyond)
    assert found["unknown"] == ["gpt-3.5-turbo-instruct/llmfao-prompt"]


def counted(file: Path) -> tuple[list[tuple[float, float]], float]:
    """Votes of the judge and of people for each output of GPT, and the difference in differences."""
    said: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(dict))
    models: dict[str, tuple[str, str]] = {}
    for row in map(json.loads, gzip.decompress(file.read_bytes()).splitlines()):
        if row["preference"] is None or row["output_1"] == row["output_2"]:
            continue
        who = "judge" if row["annotator"] == JUDGE else "people"
        if row["annotator_kind"] == "human" or who == "judge":
            side = {1: 1.0, 2: 0.0}.get(row["preference"], 0.5)
            said[row["item_id"]][who].setdefault(row["annotator"], []).append(side)
            models[row["item_id"]] = (row["output_1_model"], row["output_2_model"])
    own: list[tuple[float, float]] = []
    against_own, against_other = defaultdict(list), defaultdict(list)
    for item, votes in said.items():
        if set(votes) != {"judge", "people"}:
            continue
        judge, people = (
            float(np.mean([np.mean(one) for one in votes[who].values()])) for who in ("judge", "people")
        )
        for turn, (mine, theirs) in enumerate((models[item], models[item][::-1])):
            pair = (1 - judge, 1 - people) if turn else (judge, people)
            if is_own(mine) and not is_own(theirs):
                own.append(pair)
                against_own[theirs].append(pair[0] - pair[1])
            elif not is_own(mine) and not is_own(theirs):
                against_other[theirs].append(pair[0] - pair[1])
    met = {name: leads for name, leads in against_own.items() if against_other[name]}
    apart = sum(len(leads) * (np.mean(leads) - np.mean(against_other[name])) for name, leads in met.items())
    return own, float(apart / sum(map(len, met.values())))


def board(name: str) -> dict[str, float]:
    """Win rates of a published board in [0, 1], by model."""
    with (folder() / "alpaca_eval" / "leaderboards" / name).open() as file:
        return {row[0]: float(row[1]) / 100 for row in list(csv.reader(file))[1:]}


def test_gpt_4_turbo_on_outputs_of_gpt_4_beside_judges_of_other_makers() -> None:
    """AlpacaEval 2: four models against one baseline, judged by GPT-4 Turbo, Claude 3 Opus, Mistral Large.

    GPT-4's models: 0.1891 by GPT-4 Turbo, 0.1670 by the two others. Claude 3 Opus: 0.2911, by Mistral 0.3295.
    Mistral Large: 0.2144, by Claude 0.1646. So its lead is 0.0221 for its own and 0.0057 for the others.
    """
    judge = board("v2_weighted_alpaca_eval_gpt4_turbo_leaderboard.csv")
    others = {
        "claude": board("v2_claude_3_opus_ranking_leaderboard.csv"),
        "mistral": board("v2_mistral-large-2402_ranking_leaderboard.csv"),
    }
    own = ["gpt4_0314", "gpt4_0613"]
    models = [*own, "claude-3-opus-20240229", "mistral-large-2402"]
    theirs = [
        float(np.mean([rates[model] for name, rates in others.items() if not model.startswith(name)]))
        for model in models
    ]
    kin, one = np.array([model in own for model in models]), np.zeros(4, np.int64)
    given = Leads(
        np.array([judge[each] for each in models]), np.array(theirs), kin, one, clusters=np.arange(4)
    )
    found = self_preference(given)
    assert found.own.value == pytest.approx(0.1891, abs=5e-5)
    assert found.others.value == pytest.approx(0.1670, abs=5e-5)
    assert found.lead.value == pytest.approx(0.0221, abs=5e-5)
    assert found.beyond.value == pytest.approx(0.0164, abs=5e-5)


@pytest.mark.slow
def test_all_row_by_row_judges_of_alpaca_eval_are_gpt_4(tmp_path: Path) -> None:
    """So its annotations alone compare it with nobody. Beside a rule, `longest`, there is a figure."""
    path = tmp_path / "farm.db"
    told(path, "import", "alpaca-eval", folder() / "alpaca_eval")
    judges = sorted(each["annotator"] for each in told(path, "audit")["annotators"])
    of_gpt_4 = [word for name in (*judges, "gpt4_1106_preview") for word in ("--family", f"{name}=gpt4")]
    assert told(path, "audit", "--families", *of_gpt_4)["families"] == {"annotators": [], "unknown": []}
    told(path, "annotate", "longest")
    found = told(path, "audit", "--families", *of_gpt_4, "--family", "longest=none")["families"]
    [row] = [each for each in found["annotators"] if each["annotator"] == "alpaca_eval_gpt4"]
    values = [row[name]["value"] for name in ("own", "others", "beyond")]
    assert values == pytest.approx([0.980, 0.992, 0.132], abs=1e-3)
