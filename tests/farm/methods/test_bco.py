"""BCO: weights of bad outputs by how likely good ones are to have their prompts."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import tensor

from farm.methods.bco import BCO, BCOConfig, bco_loss, density_weight, logistic_regression
from farm.models.tokens import Prompt
from farm.training.data import Data, JudgedOutput
from farm.training.judged_method import RatedOutputs
from farm.training.run_models import LoadedModels
from tests.support.objectives import cases, leaves, responses


def test_bco_with_matched_prompts_is_trls() -> None:
    """TRL's weights of bad outputs with p 0.3 and 0.9: 0.43 cut to 0.5, and 9."""
    [case] = [each for each in cases("unpaired", "bco") if each.options["udm"]]
    label = tensor(case.inputs["desirable"], dtype=torch.float64)
    config = BCOConfig(beta=case.options["beta"])
    weights = density_weight(tensor(case.inputs["prob_desirable_of_undesirable"]), config)
    assert weights.tolist() == pytest.approx([0.5, 9.0])
    assert density_weight(tensor([0.99, 1.0]), config).tolist() == [10.0, 10.0]
    bad_weight = torch.ones_like(label).masked_scatter(label == 0, weights.double())
    rows = leaves(case.inputs["answers"])
    rated = RatedOutputs(responses(rows, case.inputs["reference"]), label, case.options["delta"], bad_weight)
    loss = bco_loss(rated, config).mean()
    mine = loss.item(), [grad.tolist() for grad in torch.autograd.grad(loss, rows)]
    assert mine[0] == pytest.approx(case.loss, rel=1e-6)
    assert mine[1] == [pytest.approx(row, rel=1e-6, abs=1e-9) for row in case.gradients["answers"]]


def test_the_logistic_regression_is_scikit_learns() -> None:
    torch.manual_seed(0)
    features = torch.randn(60, 4, dtype=torch.float64)
    label = (features[:, 0] + 0.5 * torch.randn(60) > 0.8).double()
    found = logistic_regression(features, label)
    theirs = LogisticRegression(class_weight="balanced", tol=1e-10, max_iter=1000).fit(features, label)
    assert found.tolist() == pytest.approx([*theirs.coef_[0], theirs.intercept_[0]], rel=1e-4)


def test_bad_outputs_weigh_more_where_good_ones_have_such_prompts(model_dir: str) -> None:
    """Prompts with `zz` have good outputs alone but for one; a bad output weighs by its prompt."""
    prompts = [Prompt(f"{'zz' * 8 if i % 2 else 'a'} {i}") for i in range(24)]
    records = [JudgedOutput(p, "yes", float(i % 2 and i != 1)) for i, p in enumerate(prompts)]
    config = BCOConfig(match=True)
    method = BCO(config, Data(records, records[:4]), LoadedModels(model_dir, config))
    [batch] = next(iter(method.feed.batches(0)))
    tokens = batch.outputs.tokens
    weights, label = torch.as_tensor(method.bad_weight(tokens)), batch.outputs.label
    lengths = tokens.mask.int().argmax(1)
    similar = weights[lengths > lengths.min() + 4]
    assert similar.min() > weights[lengths <= lengths.min() + 4].max()
    assert weights.min() == 0.5
    assert len(label) == 24
    plain = BCO(BCOConfig(), Data(records), LoadedModels(model_dir, config))
    assert plain.bad_weight(tokens) == 1.0
    assert method.loss(batch).loss.item() != pytest.approx(plain.loss(batch).loss.item())
