"""Rows as one stream, so that a forward pass computes no padding and no token twice.

A transformer looks at each token by itself, but for attention. So the distinct tokens of a batch stand behind
each other in one row. A prompt that several rows share is there once. For attention alone the rows are put
together again, each with its prompt, and padded at the right. What attention finds for a token goes back into
the stream. Positions begin at 0 in each row. A probe finds models that say something else then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from farm.models.ops import last_token
from farm.models.tokens import Tokens

LEAST_SAVED = 0.1  # share of the work that packing must save, for moving rows has a cost
LEAST_WORK = 2**20  # tokens times hidden size squared that packing must save
LAYER = 6  # a layer does LAYER x hidden size operations a token for each one a column that it attends to
CONTAMINATED = 0.05  # of the difference between two rows, more than rounding makes
ATTENTION = "packed_rows"  # what transformers calls the attention of packed rows
KINDS = {"full_attention", "sliding_attention"}  # of layers whose rows can be put together again

_separating: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_packed: ContextVar[PackedRows] = ContextVar("packed")


class PackedRows(NamedTuple):
    """B rows packed into N tokens."""

    ids: Tensor  # (1, N)
    positions: Tensor  # (1, N) from 0 in each row
    place: Tensor  # (B, S) where each column of a row stands among the N, rows at the left; 0 for padding
    origin: Tensor  # (N,) the column among the B x S that attends for each token
    mask: Tensor  # (B, S), or (B, S + 1) without last tokens, as Tokens.mask with its rows at the left

    @property
    def attended(self) -> int:
        """Rows times columns times the columns that they attend to."""
        rows, columns = self.place.shape
        return rows * columns**2

    def columns_of(self, states: Tensor) -> Tensor:
        """States of the stream where rows want them: (N, ...) -> (B, S, ...). Padding has some token's."""
        return states.index_select(0, self.place.flatten()).view(*self.place.shape, *states.shape[1:])


def work(tokens: int, attended: int, hidden_size: int) -> int:
    """The work of a layer on so many tokens, in multiples of 4 x hidden size operations."""
    return tokens * LAYER * hidden_size + attended


def pack(tokens: Tokens, hidden_size: int, *, last: bool) -> PackedRows | None:
    """The rows packed; None where that does not pay.

    tokens: of (B, T). last: include the last response token of each row, which predicts no token. S is the
    length of the longest row, one less without.
    """
    found = packed(tokens, last=last)
    rows, columns = tokens.ids.shape
    columns -= not last
    plain = work(rows * columns, rows * columns**2, hidden_size)
    saved = 1 - work(found.ids.numel(), found.attended, hidden_size) / plain
    if saved < LEAST_SAVED or saved * rows * columns * hidden_size**2 < LEAST_WORK:
        return None
    return found


def packed(tokens: Tokens, *, last: bool) -> PackedRows:
    """The rows packed, whether that pays or not."""
    ids, mask, attention = tokens
    first = torch.zeros_like(ids[:, 0]) if attention is None else attention.int().argmax(-1)
    begins, ends = mask.int().argmax(-1), last_token(mask) + last
    width = int((ends - first).max())
    known: dict[tuple[int, ...], int] = {}
    stream: list[int] = []
    positions: list[int] = []
    origin: list[int] = []
    place = torch.zeros(len(ids), width, dtype=torch.long)
    bounds = zip(first.tolist(), begins.tolist(), ends.tolist(), strict=True)
    for number, (row, (a, b, c)) in enumerate(zip(ids.tolist(), bounds, strict=True)):
        prompt = tuple(row[a:b])
        new = b if prompt in known else a  # the first column that the stream has not yet
        start = known.setdefault(prompt, len(stream))
        rest = len(stream) + b - new
        place[number, : b - a] = torch.arange(start, start + b - a)
        place[number, b - a : c - a] = torch.arange(rest, rest + c - b)
        stream += row[new:c]
        positions += range(new - a, c - a)
        origin += range(number * width + new - a, number * width + c - a)
    columns = first[:, None] + torch.arange(width + (not last), device=ids.device)
    at_left = mask.gather(1, columns.clamp(max=mask.shape[1] - 1)) & (columns < mask.shape[1])
    return PackedRows(
        ids=torch.tensor([stream], device=ids.device),
        positions=torch.tensor([positions], device=ids.device),
        place=place.to(ids.device),
        origin=torch.tensor(origin, device=ids.device),
        mask=at_left,
    )


def hidden_states(model: Any, rows: PackedRows) -> Tensor:
    """Last hidden states of a base model of transformers for packed rows: (B, S, H)."""
    with _attending(model, rows):
        out = model(input_ids=rows.ids, position_ids=rows.positions, use_cache=False)
    return rows.columns_of(out.last_hidden_state[0])


@contextmanager
def _attending(model: Any, rows: PackedRows) -> Iterator[None]:
    """In the block the attention of a model is that of the rows. One thread at a time runs a model."""
    config, token = model.config.get_text_config(), _packed.set(rows)
    before, config._attn_implementation = config._attn_implementation, ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before
        _packed.reset(token)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention within each row: queries, keys and values of (1, heads, N, size) -> (1, N, heads, size)."""
    rows = _packed.get()
    apart = (rows.columns_of(each[0].transpose(0, 1)).transpose(1, 2) for each in (query, key, value))
    mask = _window(rows.place, options.pop("sliding_window", None))
    found, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, *apart, mask, **options)
    return found.flatten(0, 1).index_select(0, rows.origin)[None], None


def _window(place: Tensor, size: int | None) -> Tensor | None:
    """The mask of a layer that looks back at so many columns, itself included; None: it looks at all."""
    width = place.shape[1]
    if size is None or size >= width:
        return None
    columns = torch.arange(width, device=place.device)
    ago = columns[:, None] - columns
    return ((ago >= 0) & (ago < size))[None, None]


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attend)


def separates(model: Any) -> bool:
    """Whether a base model keeps packed rows apart. Found out once for each model."""
    if model not in _separating:
        _separating[model] = _calls_attention(model) and _keeps_apart(model)
    return _separating[model]


def _calls_attention(model: Any) -> bool:
    """Whether the attention of a model is called by its name, with rows that look at what is before them."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ())
    named = getattr(model, "_supports_attention_backend", False) and config._attn_implementation == "sdpa"
    return bool(named and kinds <= KINDS)


@torch.no_grad()
def _keeps_apart(model: Any) -> bool:
    """Whether two rows of one prompt give what they give alone."""
    words = model.config.get_text_config().vocab_size
    prompt = [1, 2, 3]
    ids = torch.tensor([[*prompt, 4, 5, 6, 7], [*prompt, 7, 6, 5, 4]], device=model.device) % words
    mask = (torch.arange(7, device=model.device) >= len(prompt)).expand(2, 7)
    with _evaluating(model):
        whole = model(input_ids=ids, use_cache=False).last_hidden_state.float()
        found = hidden_states(model, packed(Tokens(ids, mask), last=True)).float()
    apart = (whole[0] - whole[1])[len(prompt) :].abs().max()
    return bool((found - whole).abs().max() < CONTAMINATED * apart)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """In the block no part of the model drops anything out."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
