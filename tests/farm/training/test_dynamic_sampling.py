"""A rollout is filled with groups whose scores differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

import pytest
import torch
from torch import Tensor, tensor

from farm.models.tokens import Prompt, Tokens
from farm.training.dynamic_sampling import differing, stacked_rows
from tests.support.on_policy import PROMPTS, MethodMaker, letters, made_on


def test_groups_of_one_score_are_found_by_hand() -> None:
    """Two of four groups differ. Rounding of a sum is no difference, and a small one of small scores is."""
    scores = tensor([1.0, 1.0, 0.0, 1.0, 0.1 + 0.2, 0.3, 0.0, 1e-3], dtype=torch.float64)
    assert 0.1 + 0.2 != 0.3
    assert differing(scores, 2).tolist() == [False, False, True, True, False, False, True, True]
    assert not differing(torch.ones(6), 3).any()


def test_rows_of_unlike_width_are_stacked() -> None:
    found = stacked_rows([Tokens(torch.ones(2, 3), torch.ones(2)), Tokens(torch.ones(1, 5), torch.zeros(1))])
    assert found.ids.tolist() == [[1, 1, 1, 0, 0]] * 2 + [[1] * 5]
    assert found.mask.tolist() == [1, 1, 0]
    assert found.attention is None


def odd_ones(prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
    """Responses to every second prompt all have one score, 0."""
    odd = [int(prompt.instruction.split()[-1]) % 2 for prompt in prompts]
    return (letters(prompts, texts) + 1) * tensor(odd)


@pytest.fixture
def made(model_dir: str) -> MethodMaker:
    options = {"batch_size": 4, "n": 4, "reward": odd_ones, "micro_batch": 64}
    return partial(made_on, "dapo", model_dir, PROMPTS, **options)


def test_other_prompts_are_drawn_in_their_place(made: MethodMaker) -> None:
    """Half of the groups teach: more than one draw of four prompts is needed for four groups."""
    (batch,) = next(made(redraws=9).feed.batches(0))
    assert len(batch.rollout.score) == 16
    assert differing(batch.rollout.score.sort().values, 16).all()
    assert (batch.rollout.score > 0).all()
    assert batch.advantages.any(1).sum() > 8
    assert 0.2 < batch.stats["sampling/useful"] < 0.8


def test_further_draws_are_the_same_again_and_from_any_step(made: MethodMaker) -> None:
    ids = [batch.rollout.tokens.ids for (batch,) in made(redraws=9, epochs=2.0).feed.batches(0)]
    again = [batch.rollout.tokens.ids for (batch,) in made(redraws=9, epochs=2.0).feed.batches(2)]
    assert len(ids) == 4
    for one, other in zip(ids[2:], again, strict=True):
        assert torch.equal(one, other)


def test_without_redraws_a_rollout_has_fewer_groups(made: MethodMaker) -> None:
    (batch,) = next(made(batch_size=8, redraws=0).feed.batches(0))
    assert len(batch.rollout.score) == 16
    assert batch.stats["sampling/useful"] == 0.5


def test_the_minibatches_are_filled_up_with_groups_that_teach_nothing(made: MethodMaker) -> None:
    def same(prompts: Sequence[Prompt], texts: Sequence[str]) -> Tensor:
        return torch.ones(len(texts))

    steps = list(islice(made(minibatches=7, redraws=1, reward=same).feed.batches(0), 7))
    assert [len(batch.rollout.score) for (batch,) in steps] == [2, 1, 1, 1, 1, 1, 1]
    assert not any(batch.advantages.any() for (batch,) in steps)
    assert steps[0][0].stats["sampling/useful"] == 0


def test_held_out_prompts_are_drawn_once(made: MethodMaker) -> None:
    (batch,) = made(redraws=9, held_out=PROMPTS[:2]).feed.held_out()
    assert sorted(batch.rollout.score.tolist())[:4] == [0.0] * 4
    assert len(batch.rollout.score) == 8
