"""Rows of unequal length stand side by side in a pass, and nothing but rounding tells the difference."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma3TextConfig,
    Gemma3TextModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
)
from transformers.models.bloom import BloomConfig, BloomModel
from transformers.models.opt import OPTConfig, OPTModel

from farm.models import forward, packing
from farm.models.codec import Row, collate
from farm.models.forward import Read, read
from farm.models.policy import Policy
from farm.models.scorer import Scorer
from farm.models.tokens import Tokens
from farm.training.batches import PairBatch
from farm.training.score_method import pair_scores

SMALL: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
FEW_HEADS = SMALL | {"num_key_value_heads": 2}
KEPT_APART: dict[str, Callable[[str], Any]] = {
    "llama": lambda how: LlamaModel(LlamaConfig(**FEW_HEADS, attn_implementation=how)),
    "positions are learnt": lambda how: GPT2Model(GPT2Config(**SMALL, attn_implementation=how)),
    "window": lambda how: MistralModel(MistralConfig(**FEW_HEADS, sliding_window=4, attn_implementation=how)),
    "some layers have a window": lambda how: Gemma3TextModel(
        Gemma3TextConfig(
            **FEW_HEADS,
            head_dim=8,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
            attn_implementation=how,
        )
    ),
}
TOLERANCE = {"sdpa": 1e-5, "eager": 1e-4}  # in float64, but for some norms, and in float32
LENGTHS = [5, 14, 3, 9, 4, 6, 14, 3, 7]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are packed, however little that saves."""
    monkeypatch.setattr(packing, "LEAST_WORK", 0)
    monkeypatch.setattr(packing, "LEAST_SAVED", -9.0)


def batch(begins: Callable[[int], int] = lambda row: 0) -> Tokens:
    """Rows of LENGTHS, of which all but two tokens are the response. begins: where each row does."""
    generator = torch.Generator().manual_seed(0)
    shape = (len(LENGTHS), max(begins(row) + length for row, length in enumerate(LENGTHS)))
    ids, attention = torch.randint(3, 99, shape, generator=generator), torch.zeros(shape, dtype=torch.bool)
    mask = attention.clone()
    for row, length in enumerate(LENGTHS):
        attention[row, begins(row) : begins(row) + length] = True
        mask[row, begins(row) + 2 : begins(row) + length] = True
    return Tokens(ids * attention, mask, attention)


def run(model: Any, tokens: Tokens, last: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """States that are read of the rows, and gradients of a loss on them."""
    model.zero_grad()
    found: Read = read(model, tokens, last=last)
    hidden = found.hidden[found.mask if last else found.mask[:, 1:]]
    hidden.square().sum().backward()
    return hidden.detach(), {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
    }


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("how", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", KEPT_APART)
def test_rows_say_and_learn_what_they_do_alone(
    kind: str, how: str, last: bool, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = KEPT_APART[kind](how).to(torch.float64 if how == "sdpa" else torch.float32).eval()
    for tokens in (batch()._replace(attention=None), batch(lambda row: row % 4)):
        seen: list[tuple[int, ...]] = []
        hook = model.get_input_embeddings().register_forward_hook(
            lambda _, inputs, __, seen=seen: seen.append(tuple(inputs[0].shape))
        )
        packed = run(model, tokens, last)
        hook.remove()
        assert seen[-1][0] < len(LENGTHS)
        with monkeypatch.context() as patch:
            patch.setattr(forward, "_packed", lambda *_: None)
            plain = run(model, tokens, last)
        assert torch.allclose(packed[0], plain[0], rtol=0, atol=TOLERANCE[how])
        assert packed[1].keys() == plain[1].keys()
        for name, gradient in plain[1].items():
            assert (packed[1][name] - gradient).abs().max() <= 10 * TOLERANCE[how], name


def test_the_probe_finds_models_that_read_the_row_before() -> None:
    opt = OPTModel(OPTConfig(**SMALL, word_embed_proj_dim=32, ffn_dim=32)).train()
    assert not packing.separates(opt)
    assert opt.training  # as it was
    assert packing.separates(KEPT_APART["llama"]("sdpa"))


def test_models_that_take_no_positions_are_not_packed(always: None) -> None:
    bloom = BloomModel(BloomConfig(**SMALL))
    assert forward._packed(bloom, batch(), True) is None


def test_packing_must_save_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 14 and 3, 3, 3, 3 tokens: 70 places, or two rows of 14, so 42 of 70 are saved."""
    rows = [Row([9], [3] * (length - 1)) for length in (14, 3, 3, 3, 3)]
    tokens = collate(rows, 0)
    for share, work, pays in ((0.599, 42 * 8**2 - 1, True), (0.601, 0, False), (0.0, 42 * 8**2 + 1, False)):
        monkeypatch.setattr(packing, "LEAST_SAVED", share)
        monkeypatch.setattr(packing, "LEAST_WORK", work)
        found = packing.pack(tokens, 8, last=True)
        assert (found is not None) == pays
        assert found is None or found.ids.shape == (2, 14)


def test_first_fit_loses_no_row_and_is_near_the_fewest_bins() -> None:
    drawn = random.Random(0)
    for _ in range(50):
        lengths = [drawn.randint(1, 30) for _ in range(drawn.randint(1, 40))]
        found = packing.first_fit(lengths, max(lengths))
        assert sorted(row for each in found.rows for row in each) == list(range(len(lengths)))
        assert max(sum(lengths[row] for row in each) for each in found.rows) == found.width
        fewest = -(-sum(lengths) // max(lengths))  # no packing has fewer
        assert len(found.rows) <= 11 / 9 * fewest + 2


def test_a_policy_and_a_scorer_say_the_same(
    model_dir: str, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row([5, 6, 7 + number], [8] * (1 + 3 * number)) for number in range(6)]
    chosen, rejected = collate(rows[:3], 0), collate(rows[3:], 0)
    pairs = PairBatch(chosen, rejected, torch.ones(3), torch.zeros(3))
    policy, scorer = Policy.load(model_dir), Scorer.load(model_dir, seed=1, new_head=True)
    results = [policy(pairs.both), scorer.values(pairs.both), *pair_scores(scorer, pairs)]
    monkeypatch.setattr(forward, "_packed", lambda *_: None)
    plain = [policy(pairs.both), scorer.values(pairs.both), *pair_scores(scorer, pairs)]
    for found, expected in zip(results, plain, strict=True):
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
