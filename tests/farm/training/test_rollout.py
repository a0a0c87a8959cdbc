from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import tensor

from farm.config import Decoding
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt, Tokens
from farm.training.batches import Rollout
from farm.training.data import DataError
from farm.training.method import RewardFn
from farm.training.processes import Processes
from farm.training.rollout import draw, rate_rollout, rollout_stats
from farm.training.rows import parts, take, widths
from tests.support.tiny_models import ModelMaker

PROMPTS = [Prompt(f"say {'so ' * (i % 3)}{i}") for i in range(4)]


def letters(prompts: Sequence[Prompt], responses: Sequence[str]) -> torch.Tensor:
    return tensor([float(sum(c.islower() for c in text)) for text in responses])


@pytest.fixture(scope="session")
def ending_dir(make_model: ModelMaker) -> str:
    """A model whose responses end now and then before they are cut."""
    return str(make_model(end_bias=3.0))


def rolled(
    directory: str,
    *,
    value: Scorer | None = None,
    penalty: float = 0.0,
    reference: str | None = None,
    temperature: float = 1.0,
    reward: RewardFn = letters,
) -> tuple[Policy, Rollout]:
    policy = Policy.load(directory)
    decoding = Decoding(max_new_tokens=10, temperature=temperature)
    frozen = Policy.load(reference or directory)
    drawn = draw(policy, PROMPTS, decoding, seed=3, n=3)
    return policy, rate_rollout(
        drawn, policy, frozen, value, reward, temperature, missing_eos_penalty=penalty
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logps_of_the_draw_are_those_of_a_pass(ending_dir: str, model_dir: str, temperature: float) -> None:
    policy, rollout = rolled(ending_dir, reference=model_dir, temperature=temperature)
    assert torch.allclose(rollout.logps, policy(rollout.tokens, temperature), atol=1e-4)
    reference = Policy.load(model_dir)(rollout.tokens, temperature)
    assert torch.allclose(rollout.reference, reference, atol=1e-4)
    assert not rollout.values.any()


def test_values_are_those_of_states_before_the_token(ending_dir: str, scorer_dir: str) -> None:
    """A value does not change with the token that is chosen in its state, nor with any later one."""
    value = Scorer.load(scorer_dir)
    _, rollout = rolled(ending_dir, value=value)
    tokens = rollout.tokens
    assert torch.allclose(rollout.values, value.values(tokens), atol=1e-4)
    last = widths(tokens) - 1
    changed = tokens.ids.clone()
    changed[torch.arange(len(last)), last] = 7
    other = value.values(tokens._replace(ids=changed))
    assert torch.allclose(rollout.values, other, atol=1e-4)


def test_ended_responses_end_with_the_end_of_sequence_which_is_trained(ending_dir: str) -> None:
    _, rollout = rolled(ending_dir)
    assert rollout.ended.any()
    assert not rollout.ended.all()
    tokens = rollout.tokens
    final = tokens.ids[torch.arange(len(tokens.ids)), widths(tokens) - 1]
    assert ((final == 2) == rollout.ended).all()
    assert (tokens.ids[tokens.mask] == 2).sum() == rollout.ended.sum()


def test_the_penalty_is_for_responses_that_were_cut(ending_dir: str) -> None:
    _, without = rolled(ending_dir)
    _, with_it = rolled(ending_dir, penalty=2.5)
    assert torch.equal(without.score - with_it.score, 2.5 * (~without.ended).float())


def test_a_stop_token_of_the_generation_config_spares_the_penalty(ending_dir: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(ending_dir)
    model.generation_config.eos_token_id = [2, *range(150, 259)]
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(ending_dir).save_pretrained(tmp_path)
    _, paid = rolled(str(tmp_path), penalty=100.0)
    last = paid.tokens.ids[torch.arange(len(paid.score)), widths(paid.tokens) - 1]
    assert (last >= 150).any()
    assert torch.equal(paid.ended, (last >= 150) | (last == 2))
    assert torch.equal(paid.score < 0, ~paid.ended)


def test_what_is_logged_of_a_rollout_is_about_response_tokens_alone() -> None:
    """KL (1 + 2) and −1, entropy 3 and 5, of two responses; what stands beside them, NaN too, is ignored."""
    nan = float("nan")
    mask = tensor([[False, True, True, False], [False, False, True, False]])
    logps = tensor([[nan, -1.0, -2.0, 9.0], [9.0, nan, -5.0, nan]])
    ref = tensor([[7.0, -2.0, -4.0, nan], [nan, 1.0, -4.0, 9.0]])
    tokens = Tokens(torch.zeros(2, 4, dtype=torch.long), mask)
    rollout = Rollout(tokens, logps, ref, logps, tensor([1.0, 2.0]), tensor([True, False]))
    found = {name: value.item() for name, value in rollout_stats(rollout, Processes()).items()}
    assert found == {
        "objective/scores": 1.5,
        "objective/kl": 1.0,
        "objective/entropy": 4.0,
        "completions/mean_length": 1.5,
        "completions/ended": 0.5,
    }


def test_a_reward_that_is_not_a_number_is_a_clear_error(ending_dir: str) -> None:
    with pytest.raises(DataError, match=r"the reward of a response of .* is nan.*longer context"):
        rolled(ending_dir, reward=lambda prompts, _: torch.full((len(prompts),), float("nan")))


def test_padding_with_the_end_of_sequence_changes_nothing(make_model: ModelMaker) -> None:
    plain, same = (str(make_model(end_bias=3.0, pad=pad)) for pad in ("<pad>", "</s>"))
    (_, one), (_, other) = rolled(plain, penalty=1.0), rolled(same, penalty=1.0)
    assert other.tokens.ids[~other.tokens.mask].eq(2).any(), "padding is the end of sequence here"
    assert (one.disagreement, other.disagreement) == (None, None), "there is one reward"
    for name in ("logps", "ref_logps", "values", "score", "ended"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert torch.equal(one.tokens.mask, other.tokens.mask)


def test_take_cuts_rows_and_unused_columns() -> None:
    mask = tensor([[0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 1, 0]]).bool()
    numbers = torch.arange(12).view(3, 4)
    rollout = Rollout(Tokens(numbers, mask), numbers, numbers, numbers, tensor([1, 2, 3]), mask[:, 2])
    part = take(rollout, tensor([2, 0]))
    assert part.tokens.ids.tolist() == [[8, 9, 10], [0, 1, 2]]
    assert part.score.tolist() == [3, 1]
    assert part.tokens.attention is None


def test_processes_have_equally_many_parts_and_rows_of_like_widths() -> None:
    width = tensor([3, 9, 4, 8, 2, 9, 1])
    shares = [parts(width, 2, None, Processes(rank, 2)) for rank in (0, 1)]
    assert [[part.tolist() for part in share] for share in shares] == [[[1, 3], [0, 6]], [[5, 2], [4]]]
    assert [len(parts(width[:6], None, 9, Processes(rank, 2))) for rank in (0, 1)] == [3, 3]
    with pytest.raises(DataError, match="4 responses on one process, in 4 parts, and 3 on another"):
        parts(width, 1, None, Processes(0, 2))


def test_parts_keep_within_rows_and_tokens_and_leave_nobody_out() -> None:
    width = tensor([3, 9, 4, 8, 2, 9])
    found = parts(width, 2, None)
    assert [part.tolist() for part in found] == [[1, 5], [3, 2], [0, 4]]
    assert [part.tolist() for part in parts(width, None, 100)] == [[1, 5, 3, 2, 0, 4]]
    for part in (within := parts(width, None, 17)):
        assert int(width[part].max()) * len(part) <= 17
    assert sorted(torch.cat(within).tolist()) == list(range(6))
    assert len(parts(width, None, 1)) == 6, "a row that is too long stands alone"
