"""A prompt that several responses share is run once, and nothing but rounding tells the difference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import nn, tensor
from torch.distributed import destroy_process_group, init_process_group
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

from farm.config import ModelConfig
from farm.methods.sft import SFTConfig
from farm.models import forward as reading
from farm.models.codec import Row, collate
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Tokens
from farm.training.batches import PairBatch
from farm.training.pair_method import pair_logps
from farm.training.processes import shard
from farm.training.run_models import LoadedModels
from farm.training.score_method import pair_scores

LONG, SHORT = [9, 8, 7, 6, 5, 4, 3, 9, 8, 7], [10, 11, 12]
ROWS = [
    Row(LONG, [20, 21, 2]), Row(SHORT, [30, 2]), Row(LONG, [22, 2]), Row(SHORT, [31, 32, 33, 2]),
    Row(LONG, [20, 21, 25, 2]), Row([*LONG, 8], [20, 2]),
]  # fmt: skip
TOKENS = 3 * 10 + 6 * 5  # three distinct prompts but for their last tokens, six rows of that and a response
SMALL: dict[str, Any] = {
    "vocab_size": 259,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
FEW_HEADS = SMALL | {"intermediate_size": 32, "num_key_value_heads": 2, "initializer_range": 0.2}

LAYERS = ["sliding_attention", "full_attention"]


Result = TypeVar("Result")
Sharing = Callable[[bool], None]


def gpt2() -> PreTrainedModel:
    return GPT2LMHeadModel(GPT2Config(**SMALL, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))


def sliding() -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**FEW_HEADS, sliding_window=4))


def some_sliding() -> PreTrainedModel:
    config = Gemma3TextConfig(**FEW_HEADS, head_dim=8, sliding_window=4, layer_types=LAYERS)
    return Gemma3ForCausalLM(config)


@pytest.fixture(params=[None, gpt2, sliding, some_sliding])
def source(request: pytest.FixtureRequest, tmp_path: Path, model_dir: str) -> str:
    """A Llama with fewer heads of keys than of queries, and others that look back in other ways."""
    if request.param is None:
        return model_dir
    torch.manual_seed(0)
    request.param().save_pretrained(tmp_path)
    Policy.load(model_dir).codec.save(tmp_path)
    return str(tmp_path)


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> Sharing:
    """Says whether prompts are shared, however little that saves: sharing(True)."""
    monkeypatch.setattr(reading, "LEAST_SHARE", 0.0)
    return lambda shared: monkeypatch.setattr(reading, "LEAST_WORK", 0 if shared else torch.inf)


def tokens_run(module: Policy | Scorer, call: Callable[[], Result]) -> tuple[Result, int]:
    """What a call gives, and how many tokens the model embeds for it."""
    seen = []
    embeddings = module.model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].numel()))
    try:
        return call(), sum(seen)
    finally:
        hook.remove()


def gradients(module: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    module.zero_grad()
    loss.backward()
    found = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    assert len(found) > 10
    return found


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, gradient in expected.items():
        assert (found[name] - gradient).abs().max() <= 1e-5 * max(1.0, gradient.abs().max().item()), name


def left(rows: list[Row]) -> Tokens:
    """The same rows, their padding at both sides."""
    tokens = collate(rows, 0)
    ids, mask = torch.zeros(len(rows), 19, dtype=torch.long), torch.zeros(len(rows), 19, dtype=torch.bool)
    attention = torch.zeros_like(mask)
    for i, row in enumerate(rows):
        at = slice(i, i + row.length)
        ids[i, at], mask[i, at] = tokens.ids[i, : row.length], tokens.mask[i, : row.length]
        attention[i, at] = True
    return Tokens(ids, mask, attention)


@pytest.mark.parametrize("batch", [collate(ROWS, 0), left(ROWS)], ids=["right", "both sides"])
def test_a_policy_says_the_same_and_learns_the_same(source: str, sharing: Sharing, batch: Tokens) -> None:
    policy = Policy.load(source, seed=0).train()
    weights = torch.randn(batch.mask.shape, generator=torch.Generator().manual_seed(1))
    found = {}
    for shared in (True, False):
        sharing(shared)
        logps, count = tokens_run(policy, lambda: policy(batch))
        found[shared] = logps.detach(), gradients(policy, (logps * weights).sum())
        assert count == (TOKENS - len(ROWS) if shared else len(ROWS) * (batch.ids.shape[1] - 1))
    assert torch.allclose(found[True][0], found[False][0], atol=1e-5)
    assert_same(found[True][1], found[False][1])


@pytest.mark.parametrize("batch", [collate(ROWS, 0), left(ROWS)], ids=["right", "both sides"])
def test_a_scorer_says_the_same_and_learns_the_same(source: str, sharing: Sharing, batch: Tokens) -> None:
    scorer = Scorer.load(source, seed=1, new_head=True).train()
    found = {}
    for shared in (True, False):
        sharing(shared)
        scores, count = tokens_run(scorer, lambda: scorer(batch))
        assert count == (TOKENS if shared else batch.ids.numel())
        values, count = tokens_run(scorer, lambda: scorer.values(batch))
        assert count == (TOKENS - len(ROWS) if shared else len(ROWS) * (batch.ids.shape[1] - 1))
        loss = (scores * torch.arange(6)).sum() + values.square().sum()
        found[shared] = scores.detach(), values.detach(), gradients(scorer, loss)
    for with_sharing, without in zip(found[True][:2], found[False][:2], strict=True):
        assert torch.allclose(with_sharing, without, atol=1e-5)
    assert_same(found[True][2], found[False][2])


def test_both_responses_of_a_pair_share_their_prompt(model_dir: str, sharing: Sharing) -> None:
    sharing(True)
    chosen, rejected = ROWS[:2], [Row(LONG, [40, 41, 42, 43, 2]), Row(SHORT, [50, 2])]
    batch = PairBatch(collate(chosen, 0), collate(rejected, 0), torch.ones(2), torch.zeros(2))
    policy, scorer = Policy.load(model_dir), Scorer.load(model_dir, seed=1, new_head=True)
    logps, count = tokens_run(policy, lambda: pair_logps(policy, batch))
    assert count == 2 * 9 + 4 * 5
    scores, count = tokens_run(scorer, lambda: pair_scores(scorer, batch))
    assert count == 2 * 9 + 4 * 6
    sharing(False)
    for found, of_scorer, rows in zip(logps, scores, (chosen, rejected), strict=True):
        tokens = collate(rows, 0)
        assert torch.allclose(found, policy(tokens).sum(-1), atol=1e-5)
        assert torch.allclose(of_scorer, scorer(tokens), atol=1e-5)


def test_rows_are_moved_until_their_responses_begin_together() -> None:
    for tokens in (collate(ROWS, 0), left(ROWS)):
        shared = reading.share(tokens)
        assert shared
        assert shared.rows.attention is not None
        assert shared.tokens == TOKENS
        assert shared.owner[[0, 2, 4]].unique().numel() == 1
        assert shared.owner.unique().numel() == 3
        assert torch.equal(shared.owner[shared.example], torch.arange(3))
        assert torch.equal(shared.rows.ids[shared.rows.mask], tokens.ids[tokens.mask])
        assert shared.rows.mask[:, shared.width + 1].all()
        assert not shared.rows.mask[:, : shared.width + 1].any()
        assert shared.rows.ids[1].tolist() == [0] * 8 + [10, 11, 12, 30, 2, 0, 0]
        assert shared.rows.attention[1].tolist() == [False] * 8 + [True] * 5 + [False] * 2


def test_of_what_rows_read_only_the_prompts_are_kept() -> None:
    """Else a pass without gradients would keep every layer's keys and values of every row."""
    layer = reading._Prompts()
    prompts, rows = torch.randn(2, 4, 7, 8), torch.randn(3, 4, 5, 8)
    assert torch.equal(layer.update(prompts, -prompts)[0], prompts)
    layer.owner = tensor([1, 0, 1])
    keys, values = layer.update(rows, -rows)
    assert torch.equal(keys, torch.cat([prompts[[1, 0, 1]], rows], 2))
    assert torch.equal(values, -keys)
    assert layer.keys is not None
    assert torch.equal(layer.keys, prompts)
    assert layer.get_seq_length() == 7


def test_padding_is_no_token_of_a_prompt() -> None:
    shared = reading.share(collate([Row([0, 5, 6], [2]), Row([5, 6], [2])], 0))
    assert shared
    assert shared.tokens == 2 * 2 + 2 * 2


def test_prompts_of_one_token_are_not_shared(model_dir: str, sharing: Sharing) -> None:
    sharing(True)
    policy, tokens = Policy.load(model_dir), collate([*ROWS, Row([10], [30, 2])], 0)
    assert reading.share(tokens) is None
    assert tokens_run(policy, lambda: policy(tokens))[1] == 7 * 13


def test_sharing_must_save_enough(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 6 rows of 14 tokens, 84 with padding, 60 are left: 24 saved, at 32² for each."""
    scorer, tokens = Scorer.load(model_dir, seed=1, new_head=True), collate(ROWS, 0)
    assert tokens.ids.numel() == 84
    for share, work, pays in ((0.28, 24 * 32**2, True), (0.29, 0, False), (0.0, 24 * 32**2 + 1, False)):
        monkeypatch.setattr(reading, "LEAST_SHARE", share)
        monkeypatch.setattr(reading, "LEAST_WORK", work)
        assert tokens_run(scorer, lambda: scorer(tokens))[1] == (60 if pays else 84)


def test_models_that_keep_more_than_keys_and_values_read_every_row_whole(
    tmp_path: Path, model_dir: str, sharing: Sharing
) -> None:
    sharing(True)
    config = MambaConfig(vocab_size=259, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    Policy.load(model_dir).codec.save(tmp_path)
    policy = Policy.load(str(tmp_path), ModelConfig(attention="eager"))
    assert tokens_run(policy, lambda: policy(collate(ROWS, 0)))[1] == 6 * 13


def test_activations_that_are_computed_again_and_compiled_passes_go_without(
    model_dir: str, sharing: Sharing
) -> None:
    sharing(True)
    whole, tokens = 6 * 13, collate(ROWS, 0)
    again = LoadedModels(model_dir, SFTConfig(gradient_checkpointing=True)).policy()
    assert tokens_run(again.train(), lambda: again(tokens))[1] == whole
    assert tokens_run(again.eval(), lambda: again(tokens))[1] < whole
    compiled = Policy.load(model_dir)
    compiled.model.base_model.compile(backend="eager")
    assert tokens_run(compiled, lambda: compiled(tokens))[1] == whole


def test_sharded_models_go_without(model_dir: str, sharing: Sharing) -> None:
    """Whether prompts are shared depends on a process's rows, and all must gather equally often."""
    sharing(True)
    policy, tokens = Policy.load(model_dir, seed=0), collate(ROWS, 0)
    expected = policy(tokens)
    init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        shard(policy)
        logps, count = tokens_run(policy, lambda: policy(tokens))
        assert count == 6 * 13
        assert torch.allclose(logps, expected, atol=1e-5)
    finally:
        destroy_process_group()


def test_base_models_that_take_no_positions_read_every_row_whole(model_dir: str, sharing: Sharing) -> None:
    sharing(True)
    policy = Policy.load(model_dir)
    base = policy.model.base_model
    forward = base.forward
    base.forward = lambda input_ids, attention_mask=None, use_cache=False: forward(input_ids, attention_mask)
    assert tokens_run(policy, lambda: policy(collate(ROWS, 0)))[1] == 6 * 13
    assert reading.read(base, Tokens(tensor([[5, 6, 7]]), tensor([[False, True, True]]))).hidden.shape[1] == 3
