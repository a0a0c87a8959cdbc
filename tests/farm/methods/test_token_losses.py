"""ld_dpo and wpo, whose losses see single tokens: TRL's numbers, the paper's, and splits of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, tensor
from torch.nn.utils.rnn import pad_sequence

from farm.methods import load
from farm.methods.ld_dpo import LDDPOConfig, common_part, discounted, ld_dpo_loss
from farm.methods.wpo import TokenTerms, WPOConfig, log_squared_mass, pair_weights, wpo_loss
from farm.models.ops import full_logps
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import PairBatch
from farm.training.data import Data, PreferencePair
from farm.training.pair_method import RatedPairs, RatedResponses
from tests.support.objectives import Case, Rows, Shared, cases, leaves, responses, step_gradient


def gradients_are(loss: Tensor, rows: list[Tensor], expected: dict[str, Rows], rel: float = 1e-7) -> None:
    grads = torch.autograd.grad(loss, rows)
    for mine, theirs in zip(grads, [*expected["chosen"], *expected["rejected"]], strict=True):
        assert mine.tolist() == pytest.approx(theirs, rel=rel, abs=1e-9)


@pytest.mark.parametrize("case", cases("pair", "ld_dpo"))
def test_ld_dpo_is_trls(case: Case) -> None:
    chosen, rejected = leaves(case.inputs["chosen"]), leaves(case.inputs["rejected"])
    alpha = case.options["ld_alpha"]

    def side(rows: list[Tensor], others: list[Tensor], reference: Rows) -> RatedResponses:
        known = [tensor(row, dtype=torch.float64) for row in reference]
        sums = [
            discounted(row.sum(), row[: len(other)].sum(), alpha)
            for each in (rows, known)
            for row, other in zip(each, others, strict=True)
        ]
        logps, of_reference = torch.stack(sums).chunk(2)
        return RatedResponses(logps, of_reference, tensor([len(row) for row in rows]))

    rated = RatedPairs(
        side(chosen, rejected, case.inputs["ref_chosen"]),
        side(rejected, chosen, case.inputs["ref_rejected"]),
        1.0,
    )
    loss = ld_dpo_loss(rated, LDDPOConfig(beta=case.options["beta"], alpha=alpha)).mean()
    assert loss.item() == pytest.approx(case.loss, rel=1e-9)
    gradients_are(loss, [*chosen, *rejected], dict(case.gradients))


def test_the_common_part_is_as_long_as_the_shorter_response() -> None:
    def tokens(*masks: str) -> Tokens:
        mask = tensor([[each == "x" for each in row] for row in masks])
        return Tokens(torch.zeros_like(mask, dtype=torch.long), mask)

    batch = PairBatch(tokens(".xxxx", "..xx."), tokens("..xx..", "...xxx"), torch.ones(2), torch.zeros(2))
    cut = common_part(batch)
    assert cut.chosen.mask.sum(-1).tolist() == [2, 2]
    assert cut.rejected.mask.sum(-1).tolist() == [2, 2]
    assert cut.chosen.mask[0].tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("case", cases("pair", "wpo"))
def test_wpo_is_the_authors_and_without_the_cut_trls(case: Case) -> None:
    chosen, rejected = leaves(case.inputs["chosen"]), leaves(case.inputs["rejected"])
    mass = [
        tensor(row, dtype=torch.float64)
        for side in ("chosen", "rejected")
        for row in case.inputs[f"log_sum_sq_{side}"]
    ]
    rows = [*chosen, *rejected]
    terms = TokenTerms(*(pad_sequence(each, batch_first=True) for each in (rows, mass)))
    mask = pad_sequence([torch.ones_like(row) for row in mass], batch_first=True).bool()
    weights = pair_weights(terms, mask)
    rated = RatedPairs(
        responses(chosen, case.inputs["ref_chosen"]), responses(rejected, case.inputs["ref_rejected"]), 1.0
    )
    config = WPOConfig(beta=case.options["beta"])
    assert case.paper
    ours = wpo_loss(rated, weights, config).mean()
    assert ours.item() == pytest.approx(case.paper["loss"], rel=1e-9)
    gradients_are(ours, rows, case.paper["gradients"], rel=1e-6)
    ratios = (terms.logps.detach() - terms.log_mass).sum(-1) / mask.sum(-1)
    uncut = (ratios[:5] + ratios[5:]).exp()
    assert (uncut > 1).any()
    assert wpo_loss(rated, uncut, config).mean().item() == pytest.approx(case.loss, rel=1e-9)


def test_the_squared_mass_is_that_of_the_probabilities() -> None:
    logits = torch.randn(3, 7, dtype=torch.float64)
    expected = full_logps(logits).exp().square().sum(-1).log()
    assert log_squared_mass(logits).tolist() == pytest.approx(expected.tolist())
    sure = log_squared_mass(tensor([[1000.0, 0.0]]))
    assert sure.item() == 0


RECORDS = [
    PreferencePair(Prompt(f"say {i}"), "yes " * (1 + i % 4), f"no {'n' * i}", [1.0, 0.8, 0.5, 0.1][i % 4])
    for i in range(8)
]


@pytest.fixture(scope="module")
def shared(make_model: Callable[..., Any]) -> Any:
    return Shared(*(str(make_model(seed=seed, hidden=16, layers=1)) for seed in (0, 1)))


@pytest.mark.parametrize("name", ["ld_dpo", "wpo"])
def test_one_batch_of_eight_is_four_of_two_is_eight_of_one(name: str, shared: Any) -> None:
    whole = step_gradient(name, shared, RECORDS, 8)
    for micro_batch in (2, 1):
        split = step_gradient(name, shared, RECORDS, micro_batch)
        assert (split - whole).norm() < 1e-12 * whole.norm()


def test_at_the_ends_ld_dpo_is_dpo_and_a_cut_pair(shared: Any) -> None:
    """α 1 is DPO. α 0 does not see what stands beyond the shorter response."""
    whole = step_gradient("ld_dpo", shared, RECORDS, 8, alpha=1.0)
    assert torch.allclose(whole, step_gradient("dpo", shared, RECORDS, 8), rtol=1e-12, atol=0)
    method: Any = load("ld_dpo")
    config = LDDPOConfig(alpha=0.0, batch_size=8)
    made = method(config, Data(RECORDS), shared)
    [batch] = next(iter(made.feed.batches(0)))
    cut = batch._replace(pairs=common_part(batch.pairs))
    assert made.loss(batch).loss.item() == pytest.approx(made.loss(cut).loss.item(), rel=1e-12)


def test_wpos_log_probabilities_are_the_policys(shared: Any) -> None:
    method: Any = load("wpo")
    made = method(WPOConfig(batch_size=8), Data(RECORDS), shared)
    [batch] = next(iter(made.feed.batches(0)))
    tokens = batch.pairs.both
    assert torch.allclose(made.terms(tokens).logps, made.policy(tokens), rtol=1e-12, atol=1e-12)
    stats = made.loss(batch).stats
    assert 0 < stats["weights/pair"] <= 1
