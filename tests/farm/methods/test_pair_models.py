"""Models that compare two outputs: losses by hand, symmetry, cycles that no score can hold, and judges."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from db.ledger import Ledger
from farm.config import ModelConfig, TrainConfig
from farm.methods import load
from farm.methods.general_preference import (
    GeneralPreference,
    GeneralPreferenceConfig,
    PairVectors,
    general_preference_loss,
)
from farm.methods.pair_model import OrderedOdds, PairModel, PairModelConfig, pair_model_loss
from farm.methods.reward_model import reward_model_loss
from farm.models.hub import ModelError
from farm.models.pair_margins import PairMargins, pair_row, skew
from farm.models.rewards import load_margins, load_reward
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.run_models import LoadedModels
from farm.training.score_method import PairScores
from tests.support.command_line import told
from tests.support.judged_sums import write_sums
from tests.support.objectives import Shared, step_gradient
from tests.support.on_policy import NoCheckpoints


def test_the_pair_loss_by_hand() -> None:
    """f = 0.8 and −0.2, the first preferred: (log(1 + e^−0.8) + log(1 + e^−0.2)) / 2, and P = σ(0.5)."""
    odds = OrderedOdds(tensor([0.8], dtype=torch.float64), tensor([-0.2], dtype=torch.float64))
    assert pair_model_loss(odds, 1.0).item() == pytest.approx((0.371101 + 0.598139) / 2, abs=1e-6)
    assert odds.margin.sigmoid().item() == pytest.approx(0.622459, abs=1e-6)
    values = [torch.randn(4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(lambda a, b: pair_model_loss(OrderedOdds(a, b), 0.7), values)


def test_a_difference_of_scores_is_bradley_and_terrys_loss() -> None:
    scores = PairScores(tensor([1.5, -0.3]), tensor([0.2, 0.4]))
    margin = scores.chosen - scores.rejected
    for preference in (1.0, 0.5, 0.8):
        expected = reward_model_loss(scores, preference)
        assert torch.allclose(pair_model_loss(OrderedOdds(margin, -margin), preference), expected)
        ones = torch.ones(2)
        vectors = PairVectors(*(torch.stack([each, ones], -1) for each in scores))
        assert torch.allclose(general_preference_loss(vectors, preference, 1.0), expected)


def test_the_vector_loss_by_hand() -> None:
    """v (1, 2) and (½, −1): R v = (−2, 1), score −1 − 1 = −2, turned around 2. τ 10: −log σ(−0.2)."""
    first, second = tensor([[1.0, 2.0]]), tensor([[0.5, -1.0]])
    assert (skew(first, second).item(), skew(second, first).item()) == (-2.0, 2.0)
    loss = general_preference_loss(PairVectors(first, second), 1.0, 10.0)
    assert loss.item() == pytest.approx(0.798139, abs=1e-6)
    several = torch.randn(2, 5, 6, dtype=torch.float64)
    turn = torch.block_diag(*[tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)] * 3)
    assert torch.allclose(skew(*several), ((several[0] @ turn.T) * several[1]).sum(-1))


def test_three_vectors_hold_a_cycle() -> None:
    """Three vectors at angles of 120°: each is preferred to the next."""
    angles = tensor([0.0, 1.0, 2.0]) * 2 * math.pi / 3
    vectors = torch.stack([angles.cos(), angles.sin()], -1)
    assert (skew(vectors, vectors.roll(-1, 0)) > 0.8).all()


RECORDS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), "n" * (1 + i), [1.0, 0.0, 0.8, 0.5][i % 4])
    for i in range(8)
]


@pytest.mark.parametrize("name", ["pair_model", "general_preference"])
def test_one_batch_of_eight_is_four_of_two(name: str, make_model: Any) -> None:
    shared = Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))
    whole = step_gradient(name, shared, RECORDS, 8)
    assert whole.norm() > 0
    for micro_batch in (2, 1):
        assert (step_gradient(name, shared, RECORDS, micro_batch) - whole).norm() < 1e-12 * whole.norm()


def test_both_outputs_stand_in_a_row_and_the_order_is_averaged(scorer_dir: str) -> None:
    scorer = Scorer.load(scorer_dir)
    row = pair_row(scorer.codec, Prompt("q"), "ab", "c")
    assert scorer.codec.tokenizer.decode(row.response) == "ab</s>c</s>"
    margins, prompts = PairMargins(scorer), [Prompt("q"), Prompt("r")]
    there, back = margins(prompts, ["ab", "x"], ["c", "y"]), margins(prompts, ["c", "y"], ["ab", "x"])
    assert there.tolist() == pytest.approx((-back).tolist(), abs=1e-6)
    assert there.abs().max() > 1e-3
    long = "x" * 300
    assert margins(prompts, ["ab", long], ["c", "y"]).isnan().tolist() == [False, True]


BEATS = {"rock": "scissors", "scissors": "paper", "paper": "rock"}


def cycle(count: int) -> list[PreferencePair]:
    """Each of three answers beats the next. No score gives more than two pairs of three the right order."""
    made = []
    for i in range(count):
        winner = list(BEATS)[i % 3]
        pair = (winner, BEATS[winner]) if i % 2 else (BEATS[winner], winner)
        made.append(PreferencePair(Prompt(f"q{i % 50}"), *pair, float(i % 2)))
    return made


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("pair_model", 1.0, 1.0), ("general_preference", 1.0, 1.0), ("reward_model", 0.0, 0.67)],
)
def test_a_cycle_is_learnt_by_a_pair_model_and_by_no_score(
    name: str, least: float, most: float, model_dir: str, tmp_path: Path
) -> None:
    trainer: Any = load(name)
    config: TrainConfig = trainer.Config(batch_size=24, learning_rate=3e-3, epochs=5.0)
    method = trainer(config, Data(cycle(192)), LoadedModels(model_dir, config))
    fit(method, config, lambda *_: None, cast(RunFolder, NoCheckpoints()))
    method.product.save(tmp_path)
    margins = load_margins(str(tmp_path), ModelConfig())
    prompts = [Prompt("new")] * 3
    found = margins(prompts, list(BEATS), list(BEATS.values()))
    assert least <= (found > 0).double().mean() <= most, found


def test_it_judges_pairs_and_gives_no_score(model_dir: str, tmp_path: Path) -> None:
    ledger = tmp_path / "farm.db"
    with Ledger.open(ledger, create=True) as opened, opened.writing() as writer:
        write_sums(writer, 12)
    configs: list[tuple[Any, Any]] = [
        (PairModel, PairModelConfig()),
        (GeneralPreference, GeneralPreferenceConfig(blocks=1)),
    ]
    for number, (trainer, config) in enumerate(configs):
        folder = tmp_path / str(number)
        trainer(config, Data(RECORDS), LoadedModels(model_dir, config)).product.save(folder)
        judged = told(ledger, "annotate", "reward-model", "--model", folder, "--orders", "both")
        assert judged["statuses"] == {"ok": 24}
        with pytest.raises(ModelError, match="compares two outputs and has no score for one"):
            load_reward(str(folder), ModelConfig())
    with closing(sqlite3.connect(ledger)) as rows:
        said = "SELECT pair_id, annotator_id, preference FROM annotation WHERE swapped = ? ORDER BY 2, 1"
        one, other = (rows.execute(said, (swapped,)).fetchall() for swapped in (0, 1))
    theirs = {row[:2]: row[2] for row in other}
    assert len(theirs) == 24
    for row in one:
        assert row[:2] not in theirs or row[2] == pytest.approx(theirs[row[:2]], abs=1e-6), (
            "both orders agree"
        )
