import math
from copy import deepcopy
from pathlib import Path
from time import process_time
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import tensor
from transformers import MambaConfig, MambaForCausalLM

from db.errors import ConfigError
from farm.config import Decoding, ModelConfig
from farm.models import generation as sampler
from farm.models.codec import Row, collate
from farm.models.generation import Drawn, pick_token, sample
from farm.models.hub import ModelError
from farm.models.policy import Policy
from farm.models.tokens import Prompt
from farm.training.rollout import draw
from tests.support.tiny_models import ModelMaker

PROMPTS = [[10, 11, 12, 13, 14], [20], [30, 31], [40, 41, 42, 43, 44, 45, 46, 47], [20], [50, 51, 52]]


@pytest.fixture(scope="module")
def policy(make_model: ModelMaker) -> Policy:
    """Ends about one token in twenty, so that lengths are uneven."""
    return Policy.load(str(make_model(end_bias=2.0)))


def test_greedy_is_what_generate_gives(policy: Policy) -> None:
    drawn = sample(policy, PROMPTS, Decoding(temperature=0, max_new_tokens=24), seed=0, slots=3)
    for prompt, one in zip(PROMPTS, drawn, strict=True):
        out = policy.model.generate(
            tensor([prompt]), max_new_tokens=24, do_sample=False, eos_token_id=2, pad_token_id=0,
            attention_mask=torch.ones(1, len(prompt)),
        )  # fmt: skip
        assert out[0, len(prompt) :].tolist() == one.ids


def test_a_sample_is_a_function_of_prompt_seed_and_index_alone(policy: Policy) -> None:
    decoding = Decoding(max_new_tokens=30)
    together = sample(policy, PROMPTS, decoding, seed=5, n=3, slots=4)
    for slots in (1, 64):
        assert [d.ids for d in sample(policy, PROMPTS, decoding, seed=5, n=3, slots=slots)] == [
            d.ids for d in together
        ]
    backwards = sample(policy, PROMPTS[::-1], decoding, seed=5, n=2)
    assert [d.ids for d in backwards[:2]] == [d.ids for d in together[15:17]]
    assert together[3].ids == together[12].ids, "equal prompts and index, equal samples"
    assert together[3].ids != together[4].ids
    other = sample(policy, PROMPTS, decoding, seed=6, n=3)
    assert [d.ids for d in other] != [d.ids for d in together]


def test_more_rows_of_a_small_model_than_of_a_large_one_are_drawn_at_a_time(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, step_logits = [], policy.step_logits

    def counted(ids: torch.Tensor, *more: Any) -> torch.Tensor:
        read.append(len(ids))
        return step_logits(ids, *more)

    monkeypatch.setattr(policy, "step_logits", counted)
    decoding, drawn = Decoding(max_new_tokens=4), []
    for size, rows in ((2**28, 256), (0, 64)):
        monkeypatch.setitem(sampler.CACHE_BYTES, "cpu", size)
        drawn.append([each.ids for each in sample(policy, [[10]], decoding, seed=0, n=300)])
        assert 0.5 * rows < max(read) <= rows
        read.clear()
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logps_are_those_of_the_policy_at_this_temperature(policy: Policy, temperature: float) -> None:
    decoding = Decoding(max_new_tokens=40, temperature=temperature)
    drawn = sample(policy, PROMPTS, decoding, seed=1, n=4, slots=5)
    tokens = collate([Row(PROMPTS[i // 4], d.ids) for i, d in enumerate(drawn)], 0)
    flat = tensor([logp for d in drawn for logp in d.logps])
    assert torch.allclose(policy(tokens, temperature)[tokens.mask], flat, atol=1e-4)


def test_responses_stop_at_the_end_of_sequence_or_are_cut_and_say_which(policy: Policy) -> None:
    drawn = sample(policy, PROMPTS, Decoding(max_new_tokens=12), seed=2, n=20)
    assert {d.ended for d in drawn} == {True, False}
    for d in drawn:
        assert (d.ids[-1] == 2) == d.ended
        assert 2 not in d.ids[:-1]
        assert d.ended or len(d.ids) == 12
        assert len(d.logps) == len(d.ids)


def test_samples_follow_the_distribution(policy: Policy) -> None:
    with torch.no_grad():
        probabilities = policy.model(tensor([PROMPTS[0]])).logits[0, -1].double().softmax(-1)
    drawn = sample(policy, [PROMPTS[0]], Decoding(max_new_tokens=1), seed=3, n=4000, slots=500)
    counts = torch.bincount(tensor([d.ids[0] for d in drawn]), minlength=len(probabilities)).double()
    likely = probabilities > 20 / 4000
    observed = [*counts[likely].tolist(), counts[~likely].sum().item()]
    expected = [*(4000 * probabilities[likely]).tolist(), 4000 * probabilities[~likely].sum().item()]
    assert chisquare(observed, expected).pvalue > 1e-3


def test_pick_by_hand() -> None:
    logits = tensor([[0.1, 0.6, 0.3]]).log()

    def pick(u: float, **options: Any) -> float:
        return pick_token(logits, tensor([u]), Decoding(**options)).ids.item()

    assert [pick(u) for u in (0.0, 0.05, 0.15, 0.69, 0.71, 0.999)] == [0, 0, 1, 1, 2, 2]
    assert [pick(u, temperature=0) for u in (0.0, 0.999)] == [1, 1]
    assert {pick(u / 50, top_k=1) for u in range(50)} == {1}
    assert {pick(u / 50, top_k=2) for u in range(50)} == {1, 2}
    assert {pick(u / 50, top_p=0.59) for u in range(50)} == {1}
    assert {pick(u / 50, top_p=0.61) for u in range(50)} == {1, 2}
    assert [pick(u, top_p=0.7) for u in (0.65, 0.68)] == [1, 2], "0.6 of 0.9 of the mass is at token 1"
    assert pick_token(logits, tensor([0.5]), Decoding(top_k=1)).logps.exp().item() == pytest.approx(0.6)


def test_a_draw_near_1_never_takes_what_was_filtered_out() -> None:
    logits = torch.zeros(1, 1000)
    for u in (0.9999999, 1 - 2**-24):
        assert pick_token(logits, tensor([u]), Decoding(top_k=3)).ids.item() < 1000
        assert pick_token(tensor([[0.0, float("-inf")]]), tensor([u]), Decoding()).ids.item() == 0


@pytest.mark.parametrize(
    "decoding", [Decoding(temperature=0), Decoding(), Decoding(top_k=2), Decoding(top_p=0.9)]
)
def test_what_is_never_to_be_drawn_is_not_and_the_rest_in_proportion(decoding: Decoding) -> None:
    logits = tensor([[3.0, 9.0, 2.0]])
    drawn = [pick_token(logits, tensor([u / 50]), decoding, tensor([1])) for u in range(50)]
    share = sum(pick.ids.item() == 0 for pick in drawn) / 50
    assert share == (1 if decoding.temperature == 0 else pytest.approx(1 / (1 + math.exp(-1)), abs=0.02))
    assert drawn[0].logps.item() == pytest.approx(logits.log_softmax(-1)[0, 0].item())


def test_control_tokens_are_never_drawn_by_us_or_by_transformers(
    make_model: ModelMaker, tmp_path: Path
) -> None:
    policy = Policy.load(str(make_model(end_bias=2.0)))
    policy.condition_on(["<|bad|>", "<|good|>"], Prompt("x"))
    with torch.no_grad():
        policy.model.lm_head.weight[-2:] = 3 * policy.model.lm_head.weight[2]  # as likely as tokens get
    policy.save(tmp_path)
    saved = Policy.load(str(tmp_path))
    for temperature in (0.0, 1.0):
        drawn = sample(saved, PROMPTS, Decoding(max_new_tokens=20, temperature=temperature), seed=0, n=4)
        assert max(token for one in drawn for token in one.ids) < 259
    made = saved.model.generate(tensor([PROMPTS[0]] * 20), do_sample=True, max_new_tokens=20, pad_token_id=0)
    assert made.max() < 259


def test_a_response_is_cut_where_the_context_ends(policy: Policy) -> None:
    """Ours has 256 positions."""
    prompts = [[10] * 250, [20] * 20]
    drawn = sample(policy, prompts, Decoding(max_new_tokens=12), seed=1, n=30)
    assert max(len(one.ids) for one in drawn[:30]) == 6
    assert max(len(one.ids) for one in drawn[30:]) == 12
    assert all(one.ended == (one.ids[-1] == 2) for one in drawn)
    with pytest.raises(ConfigError, match="a prompt of 256 tokens leaves no room in the model's context"):
        sample(policy, [[10] * 256], Decoding(), seed=0)


def test_sampling_leaves_the_policy_in_training_mode_and_without_gradients(policy: Policy) -> None:
    policy.train()
    sample(policy, PROMPTS[:1], Decoding(max_new_tokens=2), seed=0)
    assert policy.training
    policy.eval()
    assert sample(policy, [], Decoding(), seed=0) == []


def test_a_draw_that_fails_leaves_the_policy_in_training_mode(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_logits, calls = policy.step_logits, []

    def failing_third(*inputs: Any) -> torch.Tensor:
        calls.append(policy.training)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step_logits(*inputs)

    monkeypatch.setattr(policy, "step_logits", failing_third)
    policy.train()
    with pytest.raises(KeyboardInterrupt):
        sample(policy, PROMPTS, Decoding(max_new_tokens=9), seed=0)
    assert calls == [False] * 3
    assert policy.training
    policy.eval()


def test_states_that_are_not_keys_and_values_are_a_clear_error(tmp_path: Path, policy: Policy) -> None:
    MambaForCausalLM(
        MambaConfig(vocab_size=259, hidden_size=16, num_hidden_layers=1, state_size=4)
    ).save_pretrained(tmp_path)
    policy.codec.save(tmp_path)
    with pytest.raises(ModelError, match="keeps more than keys and values"):
        mamba = Policy.load(str(tmp_path), ModelConfig(attention="eager"))
        sample(mamba, PROMPTS, Decoding(max_new_tokens=2), seed=0)


def test_rollouts_are_rows_in_order_with_text(policy: Policy) -> None:
    prompts = [Prompt("a"), Prompt("bb", "c")]
    responses = draw(policy, prompts, Decoding(max_new_tokens=9), seed=4, n=3)
    assert responses.prompts == [prompts[0]] * 3 + [prompts[1]] * 3
    assert responses.tokens.ids.shape == responses.logps.shape
    assert torch.equal(responses.logps != 0, responses.tokens.mask)
    for i, text in enumerate(responses.texts):
        ids = responses.tokens.ids[i][responses.tokens.mask[i]].tolist()
        assert text == policy.codec.text(ids)
        assert "</s>" not in text
        assert (ids[-1] == 2) == responses.ended[i]
    assert torch.allclose(policy(responses.tokens), responses.logps, atol=1e-4)


def test_a_stop_token_of_the_generation_config_ends_a_response_too(make_model: ModelMaker) -> None:
    policy = Policy.load(str(make_model(end_bias=2.0)))
    policy.codec = type(policy.codec)(
        policy.codec.tokenizer, policy.codec.template, frozenset(range(100, 259))
    )
    drawn = sample(policy, PROMPTS, Decoding(max_new_tokens=30), seed=0, n=4)
    assert any(d.ids[-1] >= 100 for d in drawn)
    assert all(token < 100 for d in drawn for token in d.ids[:-1])


def test_a_response_that_is_continued_from_its_own_tokens_is_the_same(policy: Policy) -> None:
    """Rows of several numbers of given tokens in few slots, beside rows with none."""
    decoding = Decoding(max_new_tokens=30, temperature=0.8)
    whole = sample(policy, PROMPTS, decoding, seed=5)
    given = [one.ids[: min(3 * i, len(one.ids) - 1)] for i, one in enumerate(whole)]
    assert [len(each) for each in given][:2] == [0, 3]
    for slots in (2, 64):
        found = sample(policy, PROMPTS, decoding, seed=5, given=given, slots=slots)
        assert [(one.ids, one.ended) for one in found] == [(one.ids, one.ended) for one in whole]
        for one, other, start in zip(found, whole, map(len, given), strict=True):
            assert one.logps[:start] == [0.0] * start
            assert one.logps[start:] == pytest.approx(other.logps[start:], abs=1e-4)


def test_given_tokens_belong_to_the_response(policy: Policy) -> None:
    prompts, given = [Prompt("a"), Prompt("bb")], [[50, 51], []]
    drawn = draw(policy, prompts, Decoding(max_new_tokens=6), seed=0, n=2, given=given)
    for row in (0, 1):
        assert drawn.tokens.ids[row][drawn.tokens.mask[row]][:2].tolist() == [50, 51]
        assert drawn.texts[row].startswith(policy.codec.text([50, 51]))
    assert int(drawn.tokens.mask.sum(1).max()) <= 6, "given tokens count among max_new_tokens"


def test_given_tokens_that_leave_no_room_are_a_clear_error(policy: Policy) -> None:
    with pytest.raises(ConfigError, match="4 given tokens leave no room in a response of at most 4"):
        sample(policy, [[10]], Decoding(max_new_tokens=4), seed=0, given=[[5, 6, 7, 8]])


def read_by(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The columns that attention sees in each pass, over all rows, padding included."""
    columns, step_logits = [], policy.step_logits

    def counted(ids: torch.Tensor, attention: torch.Tensor, *more: Any) -> torch.Tensor:
        columns.append(max(ids.numel(), attention.numel()))
        return step_logits(ids, attention, *more)

    monkeypatch.setattr(policy, "step_logits", counted)
    return columns


def test_a_long_prompt_costs_itself_alone(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = [[10 + i, 20] for i in range(15)], [30] * 200
    decoding, columns = Decoding(max_new_tokens=8), read_by(policy, monkeypatch)
    costs, drawn = [], []
    for prompts in (short, [long], [*short, long]):
        drawn.append([each.ids for each in sample(policy, prompts, decoding, seed=0)])
        costs.append(sum(columns))
        columns.clear()
    assert drawn[2] == drawn[0] + drawn[1]
    assert costs[2] <= costs[0] + costs[1]


def test_no_row_is_padded_to_more_than_twice_its_columns_and_no_pass_is_too_wide() -> None:
    widths = sorted((1 + (7 * i * i) % 997 for i in range(200)), reverse=True)
    for more, tokens in ((0, 2000), (100, None), (5, 700)):
        parts = list(sampler.alike(range(200), widths, more, tokens))
        assert [row for part in parts for row in part] == list(range(200))
        for part in parts:
            assert widths[part[0]] + more <= 2 * (widths[part[-1]] + more)
            assert tokens is None or len(part) == 1 or len(part) * (widths[part[0]] + more) <= tokens


def test_rows_at_a_time_follow_from_the_memory_of_keys_and_values(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = read_by(policy, monkeypatch)
    monkeypatch.setitem(sampler.CACHE_BYTES, "cpu", 0)
    row = 2 * 2 * 2 * 8 * 4 * (1 + 4 + 32)  # two layers, two heads of eight, float32
    monkeypatch.setitem(sampler.MOST_BYTES, "cpu", 5 * row)
    few = sample(policy, [[10]], Decoding(max_new_tokens=4), seed=0, n=20)
    assert max(columns) <= 5 * 5
    monkeypatch.undo()
    many = sample(policy, [[10]], Decoding(max_new_tokens=4), seed=0, n=20)
    assert [each.ids for each in few] == [each.ids for each in many]
    for one, other in zip(few, many, strict=True):  # products of few rows round in other ways
        assert one.logps == pytest.approx(other.logps, abs=1e-5)


def test_numbered_draws_are_those_of_all_and_are_told_as_they_end(policy: Policy) -> None:
    decoding = Decoding(max_new_tokens=20)
    told: dict[int, Drawn] = {}
    whole = sample(policy, PROMPTS[:2], decoding, seed=4, n=5)
    some = sample(policy, PROMPTS[:2], decoding, seed=4, n=[(1, 4), (3,)], ended=told.__setitem__)
    assert [one.ids for one in some] == [whole[k].ids for k in (1, 4, 8)]
    assert [told[place] for place in range(3)] == some


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_draw_nothing(policy: Policy, temperature: float) -> None:
    broken = deepcopy(policy)
    with torch.no_grad():
        broken.model.model.layers[1].mlp.up_proj.weight.mul_(1e37)
        broken.model.model.layers[1].mlp.down_proj.weight.mul_(1e37)
    with pytest.raises(ModelError, match="the logits of token 1 of a response to a prompt of 5 tokens"):
        sample(broken, [[1, 40, 41, 42, 43]], Decoding(max_new_tokens=4, temperature=temperature), seed=0)


@pytest.mark.slow
def test_one_long_prompt_costs_itself_alone(make_model: ModelMaker) -> None:
    """60 prompts of 34 to 55 tokens, or 59 and one of 3,600; 100 new tokens at a vocabulary of 49,152."""
    wide = Policy.load(str(make_model(hidden=64, vocabulary=49_152, context=4_096, end_bias=-8.0)))
    prompts = [[3 + (7 * i + k) % 250 for k in range(34 + i % 22)] for i in range(60)]
    long = [[3 + k % 250 for k in range(3_600)], *prompts[1:]]

    def seconds(asked: list[list[int]]) -> float:
        began = process_time()
        sample(wide, asked, Decoding(max_new_tokens=100), seed=0)
        return process_time() - began

    seconds(prompts[:4])
    ratios = sorted(seconds(long) / seconds(prompts) for _ in range(3))
    assert ratios[1] <= 1.3
