"""A score beside a reference: the loss, two stages by the command, and the reward."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from db.ledger import Ledger
from db.records import Instruction, Membership, Output, ProducerKind
from farm.config import ModelConfig
from farm.methods.polar import POLAR, POLARConfig, polar_loss
from farm.models.hub import ModelError
from farm.models.reward_cards import REWARD_FILE
from farm.models.rewards import load_reward
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, Demonstration, PreferencePair
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from farm.training.score_method import PairScores
from tests.support.command_line import refused, told
from tests.support.objectives import Shared, step_gradient
from tests.support.on_policy import NoCheckpoints

VECTORS = Path(__file__).parents[2] / "golden" / "vectors" / "reward_model.json"


def f64(*values: float) -> torch.Tensor:
    return tensor(values, dtype=torch.float64)


def test_the_loss_by_hand() -> None:
    """Scores 0.8 and −0.2: −log σ(1) = log(1 + e^−1); turned around log(1 + e); a tie is their mean."""
    scores = PairScores(f64(0.8), f64(-0.2))
    assert polar_loss(scores, 1.0).item() == pytest.approx(0.313262, abs=1e-6)
    assert polar_loss(scores, 0.0).item() == pytest.approx(1.313262, abs=1e-6)
    assert polar_loss(scores, 0.5).item() == pytest.approx(0.813262, abs=1e-6)
    values = [torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(lambda a, b: polar_loss(PairScores(a, b), 0.7), values)


def test_loss_and_gradient_are_trls_where_it_has_neither_margin_nor_centring() -> None:
    plain = [
        case
        for case in json.loads(VECTORS.read_text())["cases"]
        if not case["centring"] and not any(case["margin"])
    ]
    for case in plain:
        scores = PairScores(*(f64(*case[side]).requires_grad_() for side in ("chosen", "rejected")))
        loss = polar_loss(scores, 1.0).mean()
        assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
        for grad, side in zip(torch.autograd.grad(loss, scores), ("chosen", "rejected"), strict=True):
            assert grad.tolist() == pytest.approx(case[f"gradient_of_{side}"], rel=1e-5)
    assert plain


def test_one_batch_of_eight_is_four_of_two(make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    records = [
        PreferencePair(Prompt(f"q{i}"), "yes " * i + "so", "n" * (1 + i), 0.1 * i, reference="ok " * (8 - i))
        for i in range(8)
    ]
    whole = step_gradient("polar", shared, records, 8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        assert (step_gradient("polar", shared, records, micro_batch) - whole).norm() < 1e-12 * whole.norm()


def likeness(count: int) -> list[PreferencePair]:
    """The output is preferred that is the reference's: no score of an output alone has more than a half."""
    words = ["red", "sky"]
    return [
        PreferencePair(Prompt(f"q{i % 7}"), words[i % 2], words[1 - i % 2], 1.0, reference=words[i % 2])
        for i in range(count)
    ]


def test_the_reference_decides_which_output_is_better(model_dir: str, tmp_path: Path) -> None:
    config = POLARConfig(batch_size=16, learning_rate=3e-3, epochs=8.0)
    references = [Demonstration(Prompt("a"), "red"), Demonstration(Prompt("a"), "blue")]
    data = Data(likeness(128), likeness(14), demonstrations=[*references, Demonstration(Prompt("b"), "sky")])
    method = POLAR(config, data, LoadedModels(model_dir, config))
    fit(method, config, lambda *_: None, cast(RunFolder, NoCheckpoints()))
    assert method.summary()["held_out/accuracy"] == 1.0
    method.product.save(tmp_path)
    reward = load_reward(str(tmp_path), ModelConfig())
    scores = reward([Prompt("a"), Prompt("a"), Prompt("b"), Prompt("b")], ["red", "sky"] * 2)
    assert (scores[::2] > scores[1::2]).tolist() == [True, False]
    with pytest.raises(ModelError, match="1 prompts have no reference response, such as 'c'"):
        reward([Prompt("a"), Prompt("c")], ["red", "red"])


QUICK = ("--max_steps", "1", "--batch_size", "4", "--max_length", "256", "--held-out", "0")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A ledger in which two models wrote twice to each of six instructions, and a person once to five."""
    with Ledger.open(tmp_path / "farm.db", create=True) as opened, opened.writing() as writer:
        for i in range(6):
            ask = Instruction(f"Add {i}.")
            writer.memberships([Membership(ask, "sums")])
            made = [
                Output(ask, f"{name}{i + k}", name, sample=k) for name in ("kind", "rude") for k in (0, 1)
            ]
            person = replace(
                made[0], text=f"It is {i}.", producer="ada", producer_kind=ProducerKind.REFERENCE
            )
            writer.outputs([*made, person] if i else made)
    return tmp_path / "farm.db"


def test_it_is_pre_trained_tuned_and_used_as_a_reward_by_the_command(
    written: Path, tmp_path: Path, make_model: Any
) -> None:
    model = str(make_model(hidden=16, layers=1, context=256))
    first = told(
        written, "train", "polar", "--model", model, "--out", tmp_path / "one", "--set", "sums", *QUICK
    )
    assert first["rows"] == 12, "two authors of six instructions"
    base = Path(str(first["checkpoint"])) / "model"
    assert json.loads((base / REWARD_FILE).read_text()) == {"kind": "referenced", "references": []}
    told(written, "pair", "both", "--of", "kind", "--of", "rude", "--set", "sums")
    told(written, "annotate", "longest", "--replicates", "1")
    told(written, "snapshot", "judged")
    tune = ("train", "polar", "--model", base, "--snapshot", "judged", "--demonstrations", "sums", *QUICK)
    tuned = told(written, *tune, "--out", tmp_path / "two", "--learning_rate", "1e-9")
    assert tuned["rows"] == 5, "the pair without a demonstration is left out"
    folder = Path(str(tuned["checkpoint"])) / "model"
    heads = [Scorer.load(str(each)).model.score.weight for each in (base, folder)]
    assert torch.allclose(heads[0], heads[1], atol=1e-6), "tuning goes on with the head of pre-training"
    assert len(json.loads((folder / REWARD_FILE).read_text())["references"]) == 5
    rloo = ("train", "rloo", "--model", model, "--max_new_tokens", "4", *QUICK, "--reward", folder, "--set")
    said = refused(written, *rloo, "sums", "--out", tmp_path / "rl")
    assert "1 prompts have no reference response, such as 'Add 0.'" in said
    with Ledger.open(written) as opened, opened.writing() as writer:
        writer.memberships([Membership(Instruction(f"Add {i}."), "known") for i in range(1, 6)])
    assert told(written, *rloo, "known", "--out", tmp_path / "rl2")["steps"] == 1


def test_what_it_refuses(written: Path, tmp_path: Path, make_model: Any) -> None:
    model = str(make_model(hidden=16, layers=1))

    def said(*flags: object) -> str:
        return refused(written, "train", "polar", "--model", model, "--out", tmp_path / "no", *flags)

    assert "beside references, or from who wrote what" in said()
    assert "no model wrote twice" in said("--set", "alone")
    with Ledger.open(written) as opened, opened.writing() as writer:
        lonely = Instruction("Alone.")
        writer.memberships([Membership(lonely, "single")])
        writer.outputs([Output(lonely, "x", "kind")])
    assert "no model wrote twice to an instruction that another model wrote to" in said("--set", "single")
    told(written, "pair", "both", "--of", "kind", "--of", "rude", "--set", "sums")
    told(written, "annotate", "longest")
    told(written, "snapshot", "judged")
    assert "name a set with --demonstrations" in said("--snapshot", "judged")
    assert "there are no demonstrations" in said("--snapshot", "judged", "--demonstrations", "single")
    assert "or from who wrote what" in said("--snapshot", "judged", "--set", "sums")
