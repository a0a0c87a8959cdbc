"""Short rows side by side in one, so that a forward pass computes little padding.

A batch is as wide as its longest row, and the padding of the others costs as much as tokens do. So rows are
put behind each other as long as they fit. Positions begin at 0 in each row, which tells transformers that no
token may attend to the row before. A probe finds models that do it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from farm.models.ops import last_token
from farm.models.tokens import Tokens

WIDTHS = (1.0, 1.25, 1.5, 2.0)  # widths that are tried, in lengths of the longest row
FULL = 0.95  # share of tokens at which no other width is tried
LEAST_SAVED = 0.1  # share of the work that packing must save, for attention then needs a mask
LEAST_WORK = 2**20  # tokens times hidden size squared that packing must save, for the mask has a cost
LAYER = 6  # a layer does LAYER x hidden size operations a token for each one a column that it attends to
CONTAMINATED = 0.05  # of what reading the row before would change, more than rounding does

_separating: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class PackedRows(NamedTuple):
    """B rows packed into R of width W."""

    ids: Tensor  # (R, W)
    positions: Tensor  # (R, W) from 0 in each row; what is left at the end counts as a row
    place: Tensor  # (B, S) where each column of a row stands among the R x W; 0 for padding


class Bins(NamedTuple):
    """Which rows stand behind each other."""

    rows: list[list[int]]
    width: int

    def work(self, hidden_size: int) -> int:
        """The work of a layer on them; see `work`."""
        return work(len(self.rows), self.width, hidden_size)


def work(rows: int, width: int, hidden_size: int) -> int:
    """The work of a layer on rows of a width, in multiples of 4 x hidden size operations."""
    return rows * width * (LAYER * hidden_size + width)


def pack(tokens: Tokens, hidden_size: int, *, last: bool) -> PackedRows | None:
    """Rows packed so that a model has the least work; None where that does not pay.

    tokens: of (B, T). last: include the last response token of each row, which predicts no token. S is T with
    it, and T - 1 without.
    """
    ids, attention = tokens.ids if last else tokens.ids[:, :-1], tokens.attention
    first = torch.zeros_like(ids[:, 0]) if attention is None else attention.int().argmax(-1)
    lengths = (last_token(tokens.mask) - first + last).tolist()
    bins = fullest(lengths, hidden_size)
    rows, columns = ids.shape
    saved = 1 - bins.work(hidden_size) / work(rows, columns, hidden_size)
    if saved < LEAST_SAVED or saved * rows * columns * hidden_size**2 < LEAST_WORK:
        return None
    return packed(ids, first, lengths, bins)


def fullest(lengths: Sequence[int], hidden_size: int) -> Bins:
    """Rows in bins of the width that gives a layer the least work."""
    found: list[Bins] = []
    for each in WIDTHS:
        bins = first_fit(lengths, int(max(lengths) * each))
        found.append(bins)
        if sum(lengths) >= FULL * len(bins.rows) * bins.width:
            break
    return min(found, key=lambda bins: bins.work(hidden_size))


def first_fit(lengths: Sequence[int], width: int) -> Bins:
    """Rows into bins of a width by first fit, longest first.

    Johnson et al. 1974: about 11/9 of the fewest bins at most.
    """
    rows: list[list[int]] = []
    free: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        place = next((i for i, room in enumerate(free) if room >= lengths[row]), len(free))
        if place == len(free):
            rows.append([])
            free.append(width)
        rows[place].append(row)
        free[place] -= lengths[row]
    return Bins(rows, width - min(free))


def packed(ids: Tensor, first: Tensor, lengths: Sequence[int], bins: Bins) -> PackedRows:
    """The rows in their bins. ids: (B, S). first, lengths: where a row begins, and its number of tokens."""
    begins, tails = [0] * len(lengths), [0] * len(bins.rows)
    for number, members in enumerate(bins.rows):
        for row in members:
            begins[row] = number * bins.width + tails[number]
            tails[number] += lengths[row]
    starts, ends = torch.tensor(begins), torch.tensor(tails)
    position = torch.arange(ids.shape[1]) - first.cpu()[:, None]  # (B, S) in the row
    inside = (position >= 0) & (position < torch.tensor(lengths)[:, None])
    place = position + starts[:, None]
    left = (torch.arange(bins.width) - ends[:, None]).clamp(min=0)  # (R, W) positions of what is left
    positions = left.flatten().scatter(0, place[inside], position[inside])
    moved = torch.zeros_like(positions).scatter(0, place[inside], ids.cpu()[inside])
    found = (moved.view_as(left), positions.view_as(left), place.masked_fill(~inside, 0))
    return PackedRows(*(each.to(ids.device) for each in found))


def separates(model: Any) -> bool:
    """Whether a base model, given positions, keeps packed rows apart. Found out once for each model."""
    if model not in _separating:
        with torch.no_grad(), _evaluating(model):
            _separating[model] = _keeps_apart(model)
    return _separating[model]


def _keeps_apart(model: Any) -> bool:
    """Whether a row behind another gives what it gives alone, and not what it gives as its continuation."""
    ids = torch.arange(1, 9, device=model.device) % model.config.get_text_config().vocab_size
    place = torch.arange(4, device=model.device)

    def states(ids: Tensor, positions: Tensor) -> Tensor:
        out = model(input_ids=ids[None], position_ids=positions[None], use_cache=False)
        return out.last_hidden_state[0, -4:].float()  # type: ignore[no-any-return]

    alone, behind = states(ids[4:], place), states(ids, torch.cat([place, place]))
    continued = states(ids, torch.cat([place, place + 4]))
    return bool((behind - alone).abs().max() < CONTAMINATED * (continued - alone).abs().max())


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
