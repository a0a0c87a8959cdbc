"""Select rows of a batch, cut to the width they need, and split rows into parts that fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from farm.models.tokens import AboutTokens, Tokens
from farm.training.data import DataError
from farm.training.processes import Processes

T = TypeVar("T", bound=AboutTokens)

ALONE = Processes()


def widths(tokens: Tokens) -> Tensor:
    """Number of the column after each row's last response token: (B,), on the CPU."""
    columns = torch.arange(1, tokens.mask.shape[1] + 1, device=tokens.mask.device)
    return (tokens.mask * columns).amax(-1).cpu()


def parts(width: Tensor, rows: int | None, tokens: int | None, of: Processes = ALONE) -> list[Tensor]:
    """One process's share of some rows: their numbers, in parts whose rows have similar widths.

    width: (B,) of all rows. rows, tokens: what a part has at most, padding included; None: no limit. A row
    wider than `tokens` is a part alone. of: the processes that share the rows; each gets as many parts.
    Raises DataError where a process has fewer rows than parts.
    """
    order = width.argsort(descending=True, stable=True)
    shares = [order[rank :: of.size] for rank in range(of.size)]
    most, fewest = len(shares[0]), len(shares[-1])
    count = math.ceil(most / (rows or most))
    while count <= fewest:
        found = [share.tensor_split(count) for share in shares]
        widest = max(int(width[part[0]]) * len(part) for share in found for part in share)
        if tokens is None or widest <= tokens or count == most:
            return list(found[of.rank])
        count += 1
    what = f"a minibatch has {most} responses on one process, in {count} parts, and {fewest} on another"
    raise DataError(what, where="batch_size", remedy="use a multiple of the number of processes")


def gathered(batch: T, of: Processes, n: int) -> T:
    """The rows of all processes, in the order in which one process alone would have them.

    Prompt i of all is on process i % size, with its n rows together. Tensors of (B, T) and (B,) are gathered,
    scalars and values that are no tensors are kept.
    """
    if of.size == 1:
        return batch
    whole = cast(T, _each(batch, of.gathered))
    prompts = torch.arange(len(whole.tokens.ids) // n)
    place = torch.cat([prompts[rank :: of.size] for rank in range(of.size)]).argsort()
    return take(whole, (place[:, None] * n + torch.arange(n)).flatten())


def take(batch: T, rows: Tensor) -> T:
    """Some rows of a named tuple of tensors, without the columns that none of them uses.

    Tensors of (B, T) and (B,) are cut. Scalars and values that are no tensors are kept.
    """
    tokens = batch.tokens
    width = int(widths(tokens)[rows.cpu()].max())
    rows = rows.to(tokens.mask.device)
    return cast(T, _each(batch, lambda of: of[rows] if of.ndim == 1 else of[rows, :width]))


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change every tensor of a nested tuple that is no scalar."""
    if isinstance(value, Tensor):
        return change(value) if value.ndim else value
    return type(value)(*(_each(each, change) for each in value)) if isinstance(value, tuple) else value
