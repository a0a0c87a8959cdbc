import json
import math
from pathlib import Path
from typing import Any

import pytest
from torch import tensor

from farm.methods.dpo import DPO, DPOConfig, dpo_loss
from farm.models.tokens import Prompt
from farm.training.data import Data, PreferencePair
from farm.training.pair_method import RatedPairs, RatedResponses, pair_logps
from farm.training.reference import ReferenceLogps
from farm.training.run_models import LoadedModels
from tests.support.objectives import pair_loss
from tests.support.tiny_models import ModelMaker

VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "vectors" / "dpo.json").read_text())["cases"]
RECORDS = [PreferencePair(Prompt(f"q{i}"), "yes " * (1 + i % 3), f"no {i}", 1.0) for i in range(8)]


def of(
    chosen: list[float], rejected: list[float], preference: float = 1.0, reference: float = 0.0
) -> RatedPairs:
    length = tensor([2] * len(chosen))
    sides = [RatedResponses(tensor(each), reference, length) for each in (chosen, rejected)]
    return RatedPairs(sides[0], sides[1], preference)


@pytest.mark.parametrize("case", VECTORS)
def test_loss_and_gradient_are_trls(case: dict[str, Any]) -> None:
    inputs = {
        ("ref_" if "reference" in name else "") + name.split("_")[-2]: rows
        for name, rows in case.items()
        if name.endswith("_logps")
    }
    loss, gradients = pair_loss(DPO, DPOConfig(beta=case["beta"]), inputs)
    assert loss == pytest.approx(case["loss"], rel=1e-6)
    for side in ("chosen", "rejected"):
        by_response = [row[0] for row in gradients[side]]
        assert by_response == pytest.approx(case[f"gradient_of_{side}_sums"], rel=1e-5)


def test_by_hand() -> None:
    """β ½, log-ratios 2 log 3 and 0: margin log 3, σ ¾. Sign: raising the chosen response lowers the loss."""
    config = DPOConfig(beta=0.5)
    assert dpo_loss(of([2 * math.log(3)], [0.0]), config).item() == pytest.approx(math.log(4 / 3))
    assert dpo_loss(of([2 * math.log(3)], [0.0], 0.0), config).item() == pytest.approx(math.log(4))


def test_label_smoothing_is_conservative_dpo() -> None:
    expected = -0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4)
    smoothed = dpo_loss(of([math.log(3)], [0.0]), DPOConfig(beta=1.0, label_smoothing=0.1))
    assert smoothed.item() == pytest.approx(expected)
    soft = dpo_loss(of([math.log(3)], [0.0], 0.9), DPOConfig(beta=1.0))
    assert soft.item() == pytest.approx(expected), "smoothing is a preference below 1"


def test_at_the_reference_the_loss_is_log_2_whatever_the_rest() -> None:
    for preference, beta, smoothing in ((1.0, 0.1, 0.0), (0.3, 2.0, 0.2), (0.5, 1.0, 0.4)):
        config = DPOConfig(beta=beta, label_smoothing=smoothing)
        at = of([-5.0, -5.0], [-5.0, -5.0], preference, reference=-5.0)
        assert dpo_loss(at, config).tolist() == pytest.approx([math.log(2)] * 2)


def test_a_tie_pulls_to_the_reference_from_both_sides() -> None:
    chosen = tensor([0.0], requires_grad=True)
    zero = RatedResponses(tensor([0.0]), 0.0, tensor([1]))
    dpo_loss(RatedPairs(zero._replace(logps=chosen), zero, 0.5), DPOConfig(beta=1.0)).sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == 0


def test_imitation_of_the_chosen_response_is_a_sum_or_a_mean_over_its_tokens() -> None:
    plain = dpo_loss(of([-4.0], [-6.0]), DPOConfig())
    for per_token, each in ((False, 4.0), (True, 2.0)):  # responses of two tokens
        config = DPOConfig(nll=0.5, nll_per_token=per_token)
        assert (dpo_loss(of([-4.0], [-6.0]), config) - plain).item() == pytest.approx(0.5 * each)
    tie = of([-4.0], [-6.0], 0.5)
    nll = dpo_loss(tie, DPOConfig(nll=1.0)) - dpo_loss(tie, DPOConfig())
    assert nll.item() == pytest.approx(5.0), "a tie imitates both by a half"


def test_a_fresh_policy_is_its_reference(model_dir: str) -> None:
    config = DPOConfig(batch_size=8)
    method = DPO(config, Data(RECORDS, RECORDS[:3]), LoadedModels(model_dir, config))
    (batch,) = next(method.feed.batches(0))
    loss, stats = method.loss(batch)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert stats["rewards/margins"].item() == pytest.approx(0, abs=1e-5)
    assert stats["logps/chosen"].item() == pytest.approx(batch.reference.chosen.mean().item(), rel=1e-5)
    (held_out,) = method.feed.held_out()
    assert method.loss(held_out).loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_label_smoothing_reaches_the_loss(model_dir: str, make_model: ModelMaker) -> None:
    losses = []
    for smoothing in (0.0, 0.3):
        config = DPOConfig(batch_size=8, label_smoothing=smoothing, beta=1.0)
        models = LoadedModels(model_dir, config, reference=str(make_model(seed=1)))
        method = DPO(config, Data(RECORDS), models)
        (batch,) = next(method.feed.batches(0))
        loss, stats = method.loss(batch)
        losses.append(loss.item())
    margin = stats["rewards/margins"].item()
    assert losses[1] - losses[0] == pytest.approx(0.3 * margin, rel=1e-4)  # −ε log σ(−m) + ε log σ(m) = ε m


def test_the_end_of_sequence_is_part_of_the_response(model_dir: str) -> None:
    config = DPOConfig(batch_size=8)
    method = DPO(config, Data(RECORDS), LoadedModels(model_dir, config))
    (batch,) = next(method.feed.batches(0))
    tokens = batch.pairs.chosen
    assert (tokens.ids[tokens.mask.int().diff(dim=1, append=tensor([[0]] * 8)) == -1] == 2).all()
    without = tokens.mask & (tokens.ids != 2)
    whole = pair_logps(method.policy, batch.pairs).chosen
    cut = pair_logps(method.policy, batch.pairs._replace(chosen=tokens._replace(mask=without))).chosen
    assert (whole < cut).all()


def test_the_reference_is_run_once_for_each_row(model_dir: str, tmp_path: Path) -> None:
    config = DPOConfig(batch_size=4, epochs=3.0)
    method = DPO(config, Data(RECORDS), LoadedModels(model_dir, config, keep=tmp_path))
    assert sum(1 for _ in method.feed.batches(0)) == 6
    assert isinstance(method.reference, ReferenceLogps)
    assert method.reference.computed == 16
    other = DPO(config, Data(RECORDS[2:6]), LoadedModels(model_dir, config, keep=tmp_path))
    assert sum(1 for _ in other.feed.batches(0)) == 3
    assert isinstance(other.reference, ReferenceLogps)
    assert other.reference.computed == 0
