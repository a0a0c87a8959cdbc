"""Select rows of a batch, cut to the width they need, and split rows into parts that fit into memory."""

from __future__ import annotations

import math
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from farm.models.tokens import AboutTokens, Tokens
from farm.training.data import DataError

T = TypeVar("T", bound=AboutTokens)


def widths(tokens: Tokens) -> Tensor:
    """Number of the column after each row's last response token: (B,), on the CPU."""
    columns = torch.arange(1, tokens.mask.shape[1] + 1, device=tokens.mask.device)
    return (tokens.mask * columns).amax(-1).cpu()


def parts(width: Tensor, rows: int | None, tokens: int | None, count: int = 1) -> list[Tensor]:
    """Row numbers in at least `count` parts. Rows of a part have similar widths.

    width: (B,). rows, tokens: what a part has at most, padding included; None: no limit. A row wider than
    `tokens` is a part alone. Raises DataError where there are fewer rows than parts.
    """
    order = width.argsort(descending=True, stable=True)
    count = max(count, math.ceil(len(order) / (rows or len(order))))
    if count > len(order):
        what = f"a minibatch has {len(order)} responses on one process and {count} parts on another"
        raise DataError(what, where="batch_size", remedy="use a multiple of the number of processes")
    while True:
        found = list(order.tensor_split(count))
        widest = max(int(width[part[0]]) * len(part) for part in found)
        if tokens is None or widest <= tokens or count == len(order):
            return found
        count += 1


def take(batch: T, rows: Tensor) -> T:
    """Some rows of a named tuple of tensors, without the columns that none of them uses.

    Tensors of (B, T) and (B,) are cut. Scalars and values that are no tensors are kept.
    """
    tokens = batch.tokens
    width = int(widths(tokens)[rows.cpu()].max())
    return cast(T, _cut(batch, rows.to(tokens.mask.device), width))


def _cut(value: Any, rows: Tensor, width: int) -> Any:
    if isinstance(value, Tensor):
        return value if value.ndim == 0 else value[rows] if value.ndim == 1 else value[rows, :width]
    if isinstance(value, tuple):
        return type(value)(*(_cut(each, rows, width) for each in value))
    return value
