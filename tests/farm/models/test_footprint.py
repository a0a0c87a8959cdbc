"""What a model takes of the memory, against what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from farm.config import Decoding, ModelConfig, TrainConfig
from farm.models import footprint as footprints
from farm.models import packing
from farm.models.codec import Row, collate
from farm.models.footprint import bytes_on_disk, draw_bytes, footprint, free_now, kept_by_pass, weight_bytes
from farm.models.forward import PassShape, pass_shape, read
from farm.models.generation import sample
from farm.models.hub import ModelError
from farm.models.packing import separates
from farm.models.policy import Policy
from farm.models.tokens import Tokens
from tests.support.tiny_models import ModelMaker

HIDDEN, LAYERS, HEADS, OF_HEAD, VOCABULARY = 32, 2, 2, 8, 259  # of tests/support/tiny_models.py


def kept_of(model: nn.Module, tokens: Tokens) -> int:
    """Bytes that autograd keeps of a pass as it is made in training."""
    held = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() * (storage.data_ptr() not in held)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        found = read(model, tokens)
    assert found.hidden.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_what_a_pass_keeps_is_foreseen_from_three_short_rows(model_dir: str, attention: str) -> None:
    """5 rows of 70 tokens. With eager attention it keeps the probabilities, which grow with the width."""
    policy = Policy.load(model_dir, ModelConfig(attention=attention), seed=0)  # type: ignore[arg-type]
    tokens = collate([Row([5] * 30, [7] * 40)] * 5, 0)._replace(attention=None)
    apart = tokens._replace(ids=tokens.ids + torch.arange(5)[:, None])  # no prompt is shared
    shape = pass_shape(policy.model.base_model, apart)
    assert shape == PassShape(350, 350 * 70, 200, masked=False)
    foreseen = kept_by_pass(policy.model, TrainConfig(), masked=False).of(shape)
    assert foreseen == pytest.approx(kept_of(policy.model.base_model, apart), rel=0.02)


def test_what_a_pass_over_packed_rows_keeps_is_foreseen(
    model_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of 13 to 53 tokens, half of them with the prompt of the row before."""
    monkeypatch.setattr(packing, "LEAST_WORK", 0)
    policy = Policy.load(model_dir, seed=0)
    rows = [Row([9 + number // 2] * 12, [7] * (1 + 8 * number)) for number in range(6)]
    tokens, sizes = collate(rows, 0), footprint(policy)
    shape = pass_shape(policy.model.base_model, tokens)
    assert (shape.tokens, shape.again) == (3 * 12 + 6 + 8 * 15, 6 * 53 - 162)
    assert sizes.packed.of(shape) == pytest.approx(kept_of(policy.model.base_model, tokens), rel=0.02)


def test_a_pass_in_half_precision_keeps_less(make_model: ModelMaker) -> None:
    policy = Policy.load(str(make_model(hidden=64)), seed=0)
    whole, half = (footprint(policy, TrainConfig(precision=each)) for each in ("fp32", "bf16"))
    assert half.alone.token < 0.8 * whole.alone.token
    assert half.weights == whole.weights


def test_a_model_that_takes_no_positions_has_a_footprint_too(model_dir: str) -> None:
    policy = Policy.load(model_dir, seed=0)
    forward = policy.model.base_model.forward

    def without(input_ids: Tensor, use_cache: bool) -> object:
        return forward(input_ids=input_ids, use_cache=use_cache)

    expected = footprint(policy).alone.token
    policy.model.base_model.forward = without
    assert footprint(policy).alone.token == pytest.approx(expected, rel=0.02)


def test_the_shape_of_a_pass_is_that_which_is_run(make_model: ModelMaker) -> None:
    """Rows of unequal length are packed; rows of one prompt share it."""
    base = Policy.load(str(make_model(hidden=256)), seed=0).model.base_model
    assert separates(base), "which is asked once, by passes of its own"
    packed = collate([Row([5], [7] * length) for length in (60, 30, 29, 20)], 0)
    shared = collate([Row([5] * 60, [7] * 20)] * 4, 0)
    for tokens, most in ((packed, 1 + 139), (shared, 59 + 4 * 21)):
        ran: list[int] = []
        hook = base.embed_tokens.register_forward_hook(lambda _, ids, __, ran=ran: ran.append(ids[0].numel()))
        read(base, tokens)
        hook.remove()
        shape = pass_shape(base, tokens)
        assert shape.tokens == sum(ran) <= most
        assert (shape.masked, shape.again is None) == (tokens is shared, tokens is shared)


def test_a_weight_that_two_names_share_counts_once(model_dir: str) -> None:
    policy = Policy.load(model_dir)
    head = policy.model.get_output_embeddings().weight
    assert weight_bytes([head, head]) == 4 * VOCABULARY * HIDDEN
    assert footprint(policy).weights == 4 * sum(each.numel() for each in policy.parameters())
    assert footprint(policy).trained == 0
    adapted = footprint(Policy.load(model_dir, ModelConfig(lora_rank=2), seed=0))
    assert 0 < adapted.trained < adapted.weights / 5


def test_weights_on_disk_are_counted_in_the_precision_of_loading(model_dir: str, tmp_path: Path) -> None:
    whole = footprint(Policy.load(model_dir)).weights
    assert bytes_on_disk(model_dir, "float32") == whole
    assert bytes_on_disk(model_dir, "bfloat16") == whole / 2
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="no safetensors file"):
        bytes_on_disk(str(tmp_path), "float32")


def test_a_draw_holds_keys_values_and_logits(model_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, of a column: keys and values, 4 bytes, the layers, the heads of keys, the size of a head."""
    policy = Policy.load(model_dir)
    a_token = 2 * 4 * LAYERS * HEADS * OF_HEAD
    columns = 20 + 30 + 32
    by_hand = a_token * (3 * columns + 45) + 5 * 4 * 3 * VOCABULARY
    assert draw_bytes(policy, [10, 15, 20], 3, 30) == by_hand
    buffers: list[int] = []
    zeros = Tensor.new_zeros

    def noted(self: Tensor, *shape: tuple[int, ...]) -> Tensor:
        buffers.append(torch.Size(shape[0]).numel() * 4)
        return zeros(self, *shape)

    monkeypatch.setattr(Tensor, "new_zeros", noted)
    sample(policy, [[5] * 10, [6] * 15, [7] * 20], Decoding(max_new_tokens=30), seed=0)
    assert sum(buffers) == a_token * 3 * columns


def test_a_container_has_no_more_than_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    assert free_now(device) > 2**20
    monkeypatch.setattr(footprints, "_container_room", lambda: iter([12_345]))
    assert free_now(device) == 12_345
