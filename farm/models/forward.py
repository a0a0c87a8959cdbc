"""A forward pass over prompts and responses, with few tokens run twice and little padding.

Rows are packed into one stream (`packing`), or a prompt that several responses share is run once before
them: whichever leaves less to do. The stream has fewest tokens, but its attention reads a shared prompt for
each row.

The keys and values of a prompt in a causal model are the same for every response to it. So each distinct
prompt is run first, and the responses follow on its keys and values. Gradients flow back through both passes.
With 8 responses to a prompt that is as long as each of them, this saves 7 of 16 tokens.
"""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from farm.config import TrainConfig
from farm.models.ops import last_token
from farm.models.packing import PackedRows, hidden_states, pack, separates, work
from farm.models.tokens import Tokens

LEAST_SHARE = 0.1  # share of a pass's tokens that sharing must save, for attention then needs a mask
LEAST_WORK = 2**22  # tokens times hidden size squared that sharing must save, for a second pass has a cost


class Read(NamedTuple):
    """The last hidden states of rows. Positions of the prompt may be left out."""

    hidden: Tensor  # (B, S, H) last hidden states
    mask: Tensor  # (B, S) bool, True on response tokens, in the order in which Tokens.mask has them


class PassShape(NamedTuple):
    """How much a forward pass runs."""

    tokens: int  # padding included
    attended: int  # rows times columns times the columns that they attend to
    targets: int  # positions that predict a response token
    masked: bool  # attention has a mask
    again: int | None = None  # of packed rows alone: columns beyond the tokens that attention puts together


class SharedPrompts(NamedTuple):
    """Rows moved so that all responses begin in one column, with the distinct prompt of each row."""

    rows: Tokens  # (B, P + S): a prompt but for its last token, padded at the left; then the rest
    width: int  # P
    owner: Tensor  # (B,) the distinct prompt of each row
    example: Tensor  # (D,) a row of each distinct prompt

    @property
    def tokens(self) -> int:
        """Number of tokens that are run, padding included."""
        rows, columns = self.rows.ids.shape
        return len(self.example) * self.width + rows * (columns - self.width)

    @property
    def attended(self) -> int:
        """Rows times columns times the columns that they attend to."""
        rows, columns = self.rows.ids.shape
        return len(self.example) * self.width**2 + rows * (columns - self.width) * columns


class _Prompts(DynamicLayer):
    """Keys and values of distinct prompts in one layer. Rows that follow attend to their own prompt's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owner: Tensor | None = None  # (B,) the prompt of each row, once rows follow

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Keys and values to attend to. Those of responses are not kept, for nothing follows them."""
        if self.owner is None:
            return super().update(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        keys, values = (states.index_select(0, self.owner) for states in (self.keys, self.values))
        return torch.cat([keys, key_states], -2), torch.cat([values, value_states], -2)


def read(model: Any, tokens: Tokens, *, last: bool = True) -> Read:
    """Last hidden states of a base model of transformers: Tokens of (B, T) -> Read of (B, S, H).

    last: include the last column, which predicts no token. Without it `hidden` has one column less than
    `mask`.
    """
    arranged = _arranged(model, tokens, last)
    if isinstance(arranged, SharedPrompts):
        return _read_shared(model, arranged, last)
    if arranged is not None:
        return Read(hidden_states(model, arranged), arranged.mask)
    inputs = {name: values[:, : _end(values, last)] for name, values in model_inputs(tokens).items()}
    return Read(model(**inputs, use_cache=False).last_hidden_state, tokens.mask)


def pass_shape(model: Any, tokens: Tokens) -> PassShape:
    """How much `read` would run of these rows; nothing is run."""
    arranged, (rows, columns) = _arranged(model, tokens, last=True), tokens.ids.shape
    targets = int(tokens.mask.sum())
    if isinstance(arranged, SharedPrompts):
        return PassShape(arranged.tokens, arranged.attended, targets, masked=True)
    if arranged is not None:
        run = arranged.ids.numel()
        again = arranged.place.numel() - run
        return PassShape(run, arranged.attended, targets, masked=False, again=again)
    return PassShape(rows * columns, rows * columns**2, targets, masked=tokens.attention is not None)


def _arranged(model: Any, tokens: Tokens, last: bool) -> SharedPrompts | PackedRows | None:
    """How the rows are moved, so that least is left to do; None: not at all."""
    shared, packed = _shared(model, tokens), _packed(model, tokens, last)
    if shared is None or packed is None:
        return shared or packed
    size = model.config.get_text_config().hidden_size
    least = work(packed.ids.numel(), packed.attended, size)
    return shared if work(shared.tokens, shared.attended, size) <= least else packed


def _read_shared(model: Any, shared: SharedPrompts, last: bool) -> Read:
    """Run each distinct prompt without its last token, then that token and the response of each row."""
    inputs, width = model_inputs(shared.rows), shared.width
    layers = [_Prompts() for _ in range(key_value_layers(model.config))]
    kept = Cache(layers=layers)  # type: ignore[arg-type]
    options = {cache_option(model): kept, "use_cache": True}
    model(**{name: values[shared.example, :width] for name, values in inputs.items()}, **options)
    for layer in layers:
        layer.owner = shared.owner
    end = _end(shared.rows.ids, last)
    rest = {name: inputs[name][:, width:end] for name in ("input_ids", "position_ids")}
    out = model(**rest, attention_mask=inputs["attention_mask"][:, :end], **options)
    return Read(out.last_hidden_state, shared.rows.mask[:, width:])


def _end(columns: Tensor, last: bool) -> int:
    return columns.shape[1] if last else columns.shape[1] - 1


def model_inputs(tokens: Tokens) -> dict[str, Tensor]:
    """The arguments of a transformers model: ids, attention mask and positions, (B, T) each.

    Padding on the right needs no mask, because no token attends to it.
    """
    if tokens.attention is None:
        return {"input_ids": tokens.ids}
    attention = tokens.attention.long()
    return {
        "input_ids": tokens.ids,
        "attention_mask": attention,
        "position_ids": (attention.cumsum(-1) - 1).clamp(min=0),
    }


def share(tokens: Tokens) -> SharedPrompts | None:
    """Rows moved so that all responses begin in one column; None where a prompt has but one token."""
    ids, mask = tokens.ids, tokens.mask
    first = torch.zeros_like(ids[:, 0]) if tokens.attention is None else tokens.attention.int().argmax(-1)
    begin, end = mask.int().argmax(-1) - 1, last_token(mask)  # of what is run for every row by itself
    width, rest = int((begin - first).max()), int((end - begin).max()) + 1
    if int((begin - first).min()) < 1:
        return None
    columns = begin[:, None] - width + torch.arange(width + rest, device=ids.device)
    inside = (columns >= first[:, None]) & (columns <= end[:, None])
    columns = columns.clamp(0, ids.shape[1] - 1)
    rows = Tokens(ids.gather(1, columns).masked_fill(~inside, 0), mask.gather(1, columns) & inside, inside)
    prompts = rows.ids[:, :width].masked_fill(~inside[:, :width], -1)
    distinct, owner = torch.unique(prompts, dim=0, return_inverse=True)
    example = owner.new_empty(len(distinct)).scatter_(0, owner, torch.arange(len(ids), device=ids.device))
    return SharedPrompts(rows, width, owner, example)


def _shared(model: Any, tokens: Tokens) -> SharedPrompts | None:
    """How to share prompts; None where that is impossible or does not pay."""
    per_token = model.config.get_text_config().hidden_size ** 2
    if tokens.ids.numel() * per_token < LEAST_WORK or not _may_change(model) or not _can_share(model):
        return None
    shared = share(tokens)
    saved = tokens.ids.numel() - shared.tokens if shared else 0
    return shared if saved >= LEAST_SHARE * tokens.ids.numel() and saved * per_token >= LEAST_WORK else None


def _packed(model: Any, tokens: Tokens, last: bool) -> PackedRows | None:
    """How to pack rows; None where that is impossible or does not pay."""
    if not _may_change(model) or _computes_again(model):
        return None
    packed = pack(tokens, model.config.get_text_config().hidden_size, last=last)
    return packed if packed is not None and separates(model) else None


def _may_change(model: Any) -> bool:
    """Whether the rows of a pass may be moved.

    Not in compiled passes. Not with sharded weights, for all processes must make equally many passes. Not on
    a GPU, where other things decide what is fast; not measured.
    """
    from torch.distributed.fsdp import FSDPModule

    if model.device.type != "cpu" or model._compiled_call_impl is not None:
        return False
    placed = "position_ids" in inspect.signature(model.forward).parameters
    return placed and not any(isinstance(part, FSDPModule) for part in model.modules())


def _can_share(model: Any) -> bool:
    """Whether a model keeps the keys and values of a prompt and nothing else, and computes nothing again."""
    return not _computes_again(model) and key_value_layers(model.config) > 0


def _computes_again(model: Any) -> bool:
    """Whether the backward pass runs layers again, when it is forgotten how rows were moved."""
    return any(part.training and getattr(part, "gradient_checkpointing", False) for part in model.modules())


def cache_option(model: Any) -> str:
    """The name of a model's argument for keys and values: `cache` since transformers 5.24."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def key_value_layers(config: Any) -> int:
    """The number of layers that keep keys and values; 0 if some layer keeps other states."""
    layers = DynamicCache(config=config).layers
    if not all(isinstance(layer, DynamicLayer) for layer in layers):
        return 0
    return len(layers) or int(config.get_text_config().num_hidden_layers)


def autocast(config: TrainConfig) -> AbstractContextManager[object]:
    """bfloat16 autocast for the forward pass, where asked for."""
    if config.precision == "fp32":
        return nullcontext()
    return torch.autocast("cuda" if torch.cuda.is_available() else "cpu", dtype=torch.bfloat16)
