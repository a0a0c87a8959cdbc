import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import tensor

from farm.methods.best_of_n import (
    BestOfNConfig,
    best,
    best_of_n,
    best_of_n_estimate,
    best_of_n_kl,
    draw_scored,
)
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from tests.support.tiny_models import ModelMaker


def longest(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    return tensor([float(len(r)) for r in responses])


def test_kl_by_hand() -> None:
    assert best_of_n_kl(1) == 0
    assert best_of_n_kl(2) == pytest.approx(math.log(2) - 0.5)
    assert best_of_n_kl(16) == pytest.approx(1.835, abs=1e-3)


def test_kl_is_that_of_the_best_of_n_of_a_fine_uniform_policy() -> None:
    """Best of 4 among 2000 equally likely responses: P(i-th) = (i/K)^4 − ((i−1)/K)^4."""
    grid = torch.arange(2001, dtype=torch.float64) / 2000
    probabilities = grid[1:] ** 4 - grid[:-1] ** 4
    kl = (probabilities * (probabilities * 2000).log()).sum().item()
    assert kl == pytest.approx(best_of_n_kl(4), abs=1e-3)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("proxy", [[3.0, 1.0, 2.0, 5.0, 4.0], [1.0, 1.0, 2.0, 2.0, 2.0], [0.0] * 5])
def test_the_estimate_is_the_mean_over_all_choices(n: int, proxy: list[float]) -> None:
    gold = [0.1, 0.7, 0.4, 0.2, 0.9]
    total = []
    for chosen in itertools.combinations(range(5), n):
        top = max(proxy[i] for i in chosen)
        tied = [gold[i] for i in chosen if proxy[i] == top]
        total.append(sum(tied) / len(tied))
    estimate = best_of_n_estimate(tensor([proxy]), tensor([gold]), n)
    assert estimate.item() == pytest.approx(sum(total) / len(total), rel=1e-6)


def test_the_estimate_of_the_scores_themselves_grows_with_n() -> None:
    scores = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    means = [best_of_n_estimate(scores, scores, n).mean().item() for n in (1, 2, 4, 16, 64)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(scores.mean().item(), abs=1e-6)
    assert means[-1] == pytest.approx(scores.max(1).values.mean().item(), abs=1e-6)
    with pytest.raises(ValueError, match="best of 65 cannot be estimated from 64"):
        best_of_n_estimate(scores, scores, 65)


def test_best_takes_the_first_of_equals() -> None:
    assert best(tensor([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]])).tolist() == [1, 0]


def test_the_best_of_n_is_chosen_among_draws_of_the_policy(make_model: ModelMaker) -> None:
    policy = Policy.load(str(make_model(end_bias=2.0)))
    prompts = [Prompt(f"p{i}") for i in range(3)]
    config = BestOfNConfig(n=5, max_new_tokens=12)
    scored = draw_scored(policy, longest, prompts, config, seed=1)
    assert scored.scores.shape == scored.ended.shape == (3, 5)
    assert best_of_n(policy, longest, prompts, config, seed=1) == [
        max(texts, key=len) for texts in scored.texts
    ]
    assert best_of_n(policy, longest, [], config, seed=1) == []
    alone = draw_scored(policy, longest, prompts[1:2], config, seed=1)
    assert alone.texts[0] == scored.texts[1], "other prompts play no part"


def test_cut_responses_pay_the_penalty_and_ended_ones_do_not(make_model: ModelMaker) -> None:
    policy = Policy.load(str(make_model(end_bias=2.0)))
    prompts = [Prompt("name " * i) for i in range(1, 12)]
    plain = draw_scored(policy, longest, prompts, BestOfNConfig(n=8, max_new_tokens=20), seed=0)
    config = BestOfNConfig(n=8, max_new_tokens=20, missing_eos_penalty=2.5)
    paid = draw_scored(policy, longest, prompts, config, seed=0)
    assert plain.ended.any()
    assert not plain.ended.all()
    assert torch.equal(plain.scores - paid.scores, 2.5 * ~plain.ended)
