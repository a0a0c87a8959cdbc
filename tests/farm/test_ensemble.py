"""`farm ensemble`: reward models as one, used wherever a reward is, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from db.ledger import Ledger
from farm.config import ModelConfig
from farm.models.hub import ModelError
from farm.models.reward_cards import REWARD_FILE
from farm.models.rewards import load_reward, value_source
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt
from farm.training.rollout import RolloutConfig
from farm.training.run_models import LoadedModels
from tests.support.command_line import refused, told
from tests.support.judged_sums import write_sums

PROMPTS, TEXTS = [Prompt("Add 1 and 2."), Prompt("Add 3 and 4.")], ["It is 3.", "It is."]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, model_dir: str) -> Path:
    """A folder with forty judged sums, a snapshot of them, and reward models a, b and c."""
    folder = tmp_path_factory.mktemp("ensemble")
    with Ledger.open(folder / "farm.db", create=True) as ledger, ledger.writing() as writer:
        write_sums(writer)
    told(folder / "farm.db", "snapshot", "people")
    for seed, name in enumerate("abc"):
        Scorer.load(model_dir, seed=seed, new_head=True).save(folder / name)
    return folder


def make(place: Path, name: str, *more: str) -> dict[str, Any]:
    members = [part for each in "abc" for part in ("--member", str(place / each))]
    found: dict[str, Any] = told(
        place / "farm.db",
        "ensemble",
        place / name,
        "--snapshot",
        "people",
        "--held-out",
        "1",
        *members,
        *more,
    )
    return found


def test_its_score_is_what_its_members_say(place: Path) -> None:
    report = make(place, "lowest", "--how", "minimum")
    assert report["pairs"] == 40
    scores = torch.stack(
        [ScorerReward(Scorer.load(str(place / name)))(PROMPTS, TEXTS).double() for name in "abc"]
    )
    means, deviations = (
        torch.tensor([[each[name]] for each in report["members"]], dtype=torch.float64)
        for name in ("mean", "deviation")
    )
    expected = ((scores - means) / deviations).amin(0) * deviations.mean() + means.mean()
    found = load_reward(str(place / "lowest"), ModelConfig())(PROMPTS, TEXTS)
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert report["disagreement"] > 0
    assert value_source(str(place / "lowest")) == str(place / "lowest" / ".." / "a")


def test_its_accuracy_is_that_of_its_scores(place: Path) -> None:
    """The right answer of each sum is preferred."""
    report = make(place, "bound")
    reward = load_reward(str(place / "bound"), ModelConfig())
    asked = [Prompt(f"Add {i} and 2.") for i in range(40)]
    right, wrong = (reward(asked, [f"It is {i + more}." for i in range(40)]) for more in (2, 0))
    assert report["together"]["accuracy"] == pytest.approx(float((right > wrong).double().mean()))
    assert report["together"]["source"] == "lower_bound"


def test_a_rollout_a_draw_and_a_judge_take_its_folder(place: Path, model_dir: str, tmp_path: Path) -> None:
    make(place, "bound")
    shutil.copytree(place, tmp_path / "at")  # members are found beside it, wherever the folders stand
    ledger, bound = tmp_path / "at" / "farm.db", tmp_path / "at" / "bound"
    rows = tmp_path / "asked.jsonl"
    rows.write_text("".join(json.dumps({"instruction": f"Add {i} and 3."}) + "\n" for i in range(4)))
    told(ledger, "import", "instructions", rows, "--set", "sums")
    short = ("--max_new_tokens", "6", "--batch_size", "4", "--max_steps", "2", "--log_every", "1")
    common = ("--model", model_dir, "--set", "sums", "--held-out", "0", "--reward", bound, *short)
    report = told(ledger, "train", "rloo", *common, "--out", tmp_path / "rloo")
    assert report["metrics"]["objective/disagreement"] > 0
    value = LoadedModels(model_dir, RolloutConfig(), reward=str(bound)).value()
    first = Scorer.load(str(place / "a"))
    assert torch.equal(value.model.score.weight, first.model.score.weight), "ppo's value model starts there"
    drawn = ("--set", "sums", "--best-of", "2", "--reward", bound, "--max-new-tokens", "6")
    assert told(ledger, "sample", model_dir, *drawn)["new"] == 4
    judged = told(ledger, "annotate", "reward-model", "--model", bound)
    assert judged["statuses"] == {"ok": 40}


def test_what_it_refuses(place: Path, make_model: Any, tmp_path: Path) -> None:
    ledger = place / "farm.db"

    def refuse(*members: Path, held_out: str = "1", snapshot: str = "people") -> str:
        named = [part for each in members for part in ("--member", str(each))]
        out = tmp_path / "out"
        common = ("--snapshot", snapshot, "--held-out", held_out)
        said = refused(ledger, "ensemble", out, *common, *named)
        assert not (out / REWARD_FILE).exists()
        return said

    a, b = place / "a", place / "b"
    assert "two members or more" in refuse(a)
    assert "named twice" in refuse(a, a)
    assert "no snapshot 'crowd'" in refuse(a, b, snapshot="crowd")
    assert "pairs are too few" in refuse(a, b, held_out="0.01")
    make(place, "nested")
    assert "no reward model with one score" in refuse(a, place / "nested")
    other = tmp_path / "other"
    source = str(make_model(pad="</s>"))
    scorer = Scorer.load(source, ModelConfig(template="{instruction}>"), seed=0, new_head=True)
    scorer.save(other)
    assert "its prompt template is not that of" in refuse(a, other)
    flat = Scorer.load(str(a), seed=0)
    with torch.no_grad():
        flat.model.score.weight.zero_()
    flat.save(tmp_path / "flat")
    assert "gives every output the same score" in refuse(a, tmp_path / "flat")


def test_a_member_that_is_not_as_it_was_is_refused(place: Path, tmp_path: Path, model_dir: str) -> None:
    make(place, "bound")
    shutil.copytree(place, tmp_path / "at")
    Scorer.load(model_dir, seed=9, new_head=True).save(tmp_path / "at" / "b")
    with pytest.raises(ModelError, match="another model than when the ensemble was made"):
        load_reward(str(tmp_path / "at" / "bound"), ModelConfig())
    card = tmp_path / "at" / "bound" / REWARD_FILE
    for text in ("[]", "{", '{"kind": "sum"}', card.read_text().replace("lower_bound", "median")):
        card.write_text(text)
        with pytest.raises(ModelError, match="cannot be used"):
            load_reward(str(card.parent), ModelConfig())
