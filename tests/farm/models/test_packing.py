"""Rows stand behind each other in a pass, shared prompts once, and only rounding tells the difference."""

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
KEPT_APART: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaModel(LlamaConfig(**FEW_HEADS)),
    "positions are learnt": lambda: GPT2Model(GPT2Config(**SMALL)),
    "window": lambda: MistralModel(MistralConfig(**FEW_HEADS, sliding_window=4)),
    "some layers have a window": lambda: Gemma3TextModel(
        Gemma3TextConfig(
            **FEW_HEADS,
            head_dim=8,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
        )
    ),
}
TOLERANCE = 1e-5  # in float64, but for some norms
LENGTHS = [5, 14, 3, 9, 4, 6, 14, 3, 7]
PROMPTS = [3, 2, 2, 3, 2, 3, 7, 2, 4]  # tokens of the prompts of those rows
SAME = [(3, 0), (5, 0), (4, 2)]  # rows with the prompt of another row: together 3 + 3 + 2 tokens


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are packed, however little that saves."""
    monkeypatch.setattr(packing, "LEAST_WORK", 0)
    monkeypatch.setattr(packing, "LEAST_SAVED", -9.0)


def batch(begins: Callable[[int], int] = lambda row: 0) -> Tokens:
    """Rows of LENGTHS that begin with PROMPTS, three of them with that of another row.

    begins: where each row does.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (len(LENGTHS), max(begins(row) + length for row, length in enumerate(LENGTHS)))
    ids, attention = torch.randint(3, 99, shape, generator=generator), torch.zeros(shape, dtype=torch.bool)
    mask = attention.clone()
    for row, (length, prompt) in enumerate(zip(LENGTHS, PROMPTS, strict=True)):
        attention[row, begins(row) : begins(row) + length] = True
        mask[row, begins(row) + prompt : begins(row) + length] = True
    for row, other in SAME:
        of_both = torch.arange(PROMPTS[row])
        ids[row, begins(row) + of_both] = ids[other, begins(other) + of_both]
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
@pytest.mark.parametrize("kind", KEPT_APART)
def test_rows_say_and_learn_what_they_do_alone(
    kind: str, last: bool, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token is run twice: of all rows' tokens, those of shared prompts are left out."""
    torch.manual_seed(0)
    model = KEPT_APART[kind]().to(torch.float64).eval()
    for tokens in (batch()._replace(attention=None), batch(lambda row: row % 4)):
        seen: list[tuple[int, ...]] = []
        hook = model.get_input_embeddings().register_forward_hook(
            lambda _, inputs, __, seen=seen: seen.append(tuple(inputs[0].shape))
        )
        packed = run(model, tokens, last)
        hook.remove()
        assert seen[-1] == (1, sum(LENGTHS) - (3 + 3 + 2) - (0 if last else len(LENGTHS)))
        with monkeypatch.context() as patch:
            patch.setattr(forward, "_packed", lambda *_: None)
            plain = run(model, tokens, last)
        assert torch.allclose(packed[0], plain[0], rtol=0, atol=TOLERANCE)
        assert packed[1].keys() == plain[1].keys()
        for name, gradient in plain[1].items():
            assert (packed[1][name] - gradient).abs().max() <= 10 * TOLERANCE, name


def test_the_probe_finds_models_that_read_rows_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that reads the token before, whatever row it belongs to, as convolutions do."""
    model = KEPT_APART["llama"]().train()
    assert packing.separates(model)
    assert model.training, "as it was"
    other = KEPT_APART["llama"]()
    other.layers[0].mlp.register_forward_hook(lambda _, __, out: out + 10 * out.roll(1, 1))
    assert not packing.separates(other)


def test_models_that_call_no_attention_by_name_are_not_packed(always: None) -> None:
    """One takes no positions, one attends in a way of its own, one layer looks back in chunks."""
    assert forward._packed(BloomModel(BloomConfig(**SMALL)), batch(), True) is None
    eager = LlamaModel(LlamaConfig(**FEW_HEADS, attn_implementation="eager"))
    assert forward._packed(eager, batch(), True) is None
    chunked = KEPT_APART["llama"]()
    chunked.config.layer_types = ["full_attention", "chunked_attention"]
    assert forward._packed(chunked, batch(), True) is None


def test_layers_that_are_run_again_read_every_row_whole(always: None) -> None:
    """In the backward pass nobody would tell them how rows were packed."""
    model = KEPT_APART["llama"]()
    model.gradient_checkpointing = True
    assert forward._packed(model.train(), batch(), True) is None
    assert forward._packed(model.eval(), batch(), True) is not None


def test_packing_must_save_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of 14 and 3, 3, 3, 3 tokens with one prompt: 22 of 70 are left, and 980 attended to on both sides.

    At hidden size 8 the work is 70 x 6 x 8 + 980 = 4,340, and 22 x 6 x 8 + 980 = 2,036 then.
    """
    rows = [Row([9], [3] * (length - 1)) for length in (14, 3, 3, 3, 3)]
    tokens, saved = collate(rows, 0), 1 - 2036 / 4340
    for share, work, pays in ((saved, saved * 70 * 64, True), (saved + 1e-9, 0, False), (0.0, 2379, False)):
        monkeypatch.setattr(packing, "LEAST_SAVED", share)
        monkeypatch.setattr(packing, "LEAST_WORK", work)
        found = packing.pack(tokens, 8, last=True)
        assert (found is not None) == pays, (share, work)
        assert found is None or found.ids.shape == (1, 22)


def test_a_long_prompt_that_many_rows_share_is_run_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream would attend to it for each row, which costs more than a second pass saves."""
    monkeypatch.setattr(forward, "LEAST_WORK", 0)
    monkeypatch.setattr(packing, "LEAST_WORK", 0)
    model = KEPT_APART["llama"]()
    long, short = (collate([Row([5] * n, [7 + row]) for row in range(8)], 0) for n in (200, 20))
    assert isinstance(forward._arranged(model, long, True), forward.SharedPrompts)
    uneven = collate([Row([5] * 20, [7] * (1 + 9 * row)) for row in range(8)], 0)
    assert isinstance(forward._arranged(model, uneven, True), packing.PackedRows)
    assert forward._arranged(model, short, True) is not None


def test_the_name_of_the_attention_is_as_before(always: None) -> None:
    """Also where a pass ends with an error."""
    model = KEPT_APART["llama"]()
    rows = packing.packed(batch(), last=True)
    packing.hidden_states(model, rows)
    assert model.config._attn_implementation == "sdpa"
    with pytest.raises(IndexError):
        packing.hidden_states(model, rows._replace(ids=rows.ids + 99))
    assert model.config._attn_implementation == "sdpa"


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
