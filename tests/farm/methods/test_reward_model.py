import json
import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import tensor
from torch.autograd import gradcheck

from farm.methods.reward_model import RewardModel, RewardModelConfig, batch_loss, reward_model_loss
from farm.models.scorer import Scorer, ScorerReward
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import PairBatch
from farm.training.checkpoint import RunFolder
from farm.training.data import Data, PreferencePair
from farm.training.loop import fit
from farm.training.method import Method
from farm.training.pair_method import PairLogps, RatedPairs, RatedResponses, pair_stats
from farm.training.run_models import LoadedModels
from farm.training.score_method import PairScores, calibration, reward_stats

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "vectors" / "reward_model.json").read_text())[
    "cases"
]


def f64(values: list[float]) -> torch.Tensor:
    return tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("case", VECTORS)
def test_loss_and_gradient_are_trls(case: dict[str, Any]) -> None:
    scores = PairScores(f64(case["chosen"]).requires_grad_(), f64(case["rejected"]).requires_grad_())
    loss = reward_model_loss(scores, 1.0, f64(case["margin"]), case["centring"]).mean()
    assert loss.item() == pytest.approx(case["loss"], rel=1e-6)
    grads = torch.autograd.grad(loss, scores)
    assert grads[0].tolist() == pytest.approx(case["gradient_of_chosen"], rel=1e-5)
    assert grads[1].tolist() == pytest.approx(case["gradient_of_rejected"], rel=1e-5)


def test_equal_rewards_cost_log_2_whatever_the_preference() -> None:
    scores = PairScores(tensor([3.0, -1.0]), tensor([3.0, -1.0]))
    for preference in (1.0, 0.5, 0.1):
        assert reward_model_loss(scores, preference).tolist() == pytest.approx([math.log(2)] * 2)


def test_soft_labels_ties_and_margins_by_hand() -> None:
    scores = PairScores(tensor([math.log(3)]), tensor([0.0]))  # σ = ¾
    assert reward_model_loss(scores, 0.75).item() == pytest.approx(
        -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    )
    assert reward_model_loss(scores, 0.5).item() == pytest.approx(-0.5 * math.log(3 / 16))
    assert reward_model_loss(scores, 1.0, math.log(3)).item() == pytest.approx(math.log(2))
    assert reward_model_loss(scores, 1.0, 0.0, 2.0).item() == pytest.approx(
        math.log(4 / 3) + 2 * math.log(3) ** 2
    )


def test_the_margin_is_in_proportion_to_the_strength() -> None:
    """Llama 2's large margins (table 27): 3, 2, 1 and 0 for the four strengths of a seven-point scale."""
    tokens = Tokens(torch.zeros(4, 1, dtype=torch.long), torch.ones(4, 1))
    strengths = tensor([1.0, 2 / 3, 1 / 3, 0.0])
    batch = PairBatch(tokens, tokens, preference=torch.ones(4), strength=strengths)
    scores = PairScores(torch.full((4,), 1.5), torch.zeros(4))
    found = batch_loss(scores, batch, RewardModelConfig(margin=3))
    expected = [math.log1p(math.exp(margin - 1.5)) for margin in (3, 2, 1, 0)]
    assert found.tolist() == pytest.approx(expected)
    assert batch_loss(scores, batch, RewardModelConfig()).tolist() == pytest.approx(expected[3:] * 4)


def test_a_soft_label_is_best_met_by_its_log_odds() -> None:
    margin = tensor([math.log(4)], requires_grad=True)
    reward_model_loss(PairScores(margin, tensor([0.0])), 0.8).sum().backward()
    assert margin.grad is not None
    assert margin.grad.item() == pytest.approx(0, abs=1e-6)


def test_gradients() -> None:
    values = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert gradcheck(lambda a, b: reward_model_loss(PairScores(a, b), 0.7, 0.2, 0.1), values)


def test_one_accuracy_by_hand() -> None:
    """Right, wrong, equal scores, a label that is a tie; soft labels count by their side."""
    scores = PairScores(tensor([1.0, 0.0, 1.0, 2.0]), tensor([0.0, 1.0, 1.0, 0.0]))
    labels = tensor([0.6, 0.6, 1.0, 0.5])
    found = calibration(scores.chosen - scores.rejected, labels).accuracy
    assert found == (1 + 0 + 0.5 + 0.5) / 4
    assert float(reward_stats(scores, labels)["rewards/accuracies"]) == found
    sides = [RatedResponses(each, 0.0, torch.ones(4)) for each in scores]
    pairs = RatedPairs(sides[0], sides[1], labels)
    assert float(pair_stats(pairs, PairLogps(*scores))["rewards/accuracies"]) == found


def test_calibration_by_hand() -> None:
    """Margins log 3, log 3, 0, log 3/17 predict ¾, ¾, ½, 0.15; one of the two ¾ is wrong."""
    margins = tensor([math.log(3), math.log(3), 0.0, math.log(3 / 17)])
    found = calibration(margins, tensor([1.0, 0.0, 1.0, 0.0]))
    assert found.n == 4
    assert found.accuracy == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert found.counts.tolist() == [0, 1, 2, 0, 0, 2, 0, 2, 1, 0]
    # both orders: bins of ¼ and ¾ hold half each, ½ holds both outcomes; 0.15 and 0.85 are off by 0.15
    assert found.ece == pytest.approx((2 * 0.25 + 2 * 0.25 + 2 * 0.0 + 1 * 0.15 + 1 * 0.15) / 8)
    assert found.observed[7].item() == 0.5
    assert math.isnan(found.predicted[0])


def test_a_calibrated_model_has_no_calibration_error() -> None:
    generator = torch.Generator().manual_seed(0)
    margins = torch.randn(40_000, generator=generator) * 2
    labels = (torch.rand(40_000, generator=generator) < margins.sigmoid()).float()
    found = calibration(margins, labels)
    assert found.ece < 0.01
    assert calibration(margins * 3, labels).ece > 0.05
    assert calibration(margins, margins.sigmoid()).ece < 1e-6, "soft labels count as they are"


@pytest.mark.parametrize(("pairs", "told"), [(30, 0.13), (100, 0.075), (300, 0.043), (1_000, 0.022)])
def test_few_pairs_give_a_calibrated_model_the_error_that_the_page_tells(pairs: int, told: float) -> None:
    generator = torch.Generator().manual_seed(pairs)
    found = []
    for _ in range(200):
        margins = torch.randn(pairs, generator=generator) * 2
        labels = (torch.rand(pairs, generator=generator) < margins.sigmoid()).float()
        found.append(calibration(margins, labels).ece)
    assert sum(found) / len(found) == pytest.approx(told, rel=0.12)


def test_it_learns_what_it_is_trained_on_and_its_checkpoint_judges_text(
    tmp_path: Path, model_dir: str
) -> None:
    """RatedResponses with an a are better; half of the labels are the other way round in the records."""
    records = []
    for i in range(96):
        good, bad = f"a{i % 10}", f"b{i % 7}"
        records.append(PreferencePair(Prompt(f"q{i}"), *((good, bad, 1.0) if i % 2 else (bad, good, 0.0))))
    config = RewardModelConfig(batch_size=16, epochs=4.0, learning_rate=3e-3)
    method = RewardModel(config, Data(records[:80], records[80:]), LoadedModels(model_dir, config))
    fit(cast(Method[Any], method), config, lambda *_: None, RunFolder(tmp_path, config))
    assert method.summary()["held_out/accuracy"] == 1.0
    reward = ScorerReward(Scorer.load(str(tmp_path / "step-00000020" / "model")))
    scores = reward([Prompt("new")] * 2, ["a3", "b3"])
    assert scores[0] > scores[1]


def test_training_and_scoring_see_the_same_tokens(model_dir: str) -> None:
    config = RewardModelConfig(batch_size=1)
    record = PreferencePair(Prompt("q", "i"), "good", "bad", 1.0)
    method = RewardModel(config, Data([record]), LoadedModels(model_dir, config))
    (batch,) = next(method.feed.batches(0))
    method.trained.eval()
    trained_on = method.scorer(batch.chosen).item()
    assert ScorerReward(method.scorer)([record.prompt], ["good"]).item() == pytest.approx(
        trained_on, abs=1e-6
    )
