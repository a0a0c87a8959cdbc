"""What is measured on the logits of many positions, with the logits of few of them in memory at a time.

At a vocabulary V of 49,152, the logits of 8 rows of 512 tokens take 0.8 GB in float32, and their gradient as
much again. Of all that only a number or two for each position is wanted. So the head and the measure are
applied to a part of the positions at a time, and once more in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LOGITS = 2**24
"""Logits in memory at a time: 64 MiB in float32."""


def in_chunks(measure: Callable[..., Tensor], rows: tuple[Tensor, ...], width: int) -> Tensor:
    """measure(*rows), a part of the rows at a time: each of `rows` is (N, ...), the result (N, ...).

    measure: looks at each row by itself. width: elements that it makes of a row, which is the vocabulary's
    size where it makes logits. Where a gradient is wanted, a part is computed again in the backward pass.
    """
    parts = [[each[part] for each in rows] for part in _parts(len(rows[0]), width)]
    if len(parts) < 2:
        return measure(*rows)
    if not torch.is_grad_enabled():
        return torch.cat([measure(*part) for part in parts])
    return torch.cat(
        [checkpoint(measure, *part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    )


def head_logps(states: Tensor, weight: Tensor, ids: Tensor, temperature: float = 1.0) -> Tensor:
    """log softmax(states weightᵀ / temperature)[ids], in float32 or better: (N, H), (V, H), (N,) -> (N,).

    The same as `ops.token_logps` of those logits. Under autocast the product is made in its precision.
    """
    device = states.device.type
    if torch.is_autocast_enabled(device):
        precision = torch.get_autocast_dtype(device)
        states, weight = states.to(precision), weight.to(precision)
    return _HeadLogps.apply(states, weight, ids, temperature)  # type: ignore[no-untyped-call, no-any-return]


class _HeadLogps(torch.autograd.Function):
    """A product with the head, and its log-softmax at one token each, in parts, with little kept of either.

    The gradient at logit z_v is g (1[v = id] − p_v) / temperature, where g is that at the log-probability.
    Of each row its largest logit and the logarithm of the sum are kept: they give the probabilities again.
    The exponentials of the last part are kept too. The backward pass begins with that part and uses them up,
    so they are not made again, and the most memory is held at the same moment as without them.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, ids: Tensor, temperature: float) -> Tensor:
        """Log-probabilities: (N,)."""
        logps, top, log_sum = (states.new_empty(len(ids), dtype=_wide(states)) for _ in range(3))
        ctx.last = None
        for part in _parts(len(ids), len(weight)):
            logits = _logits(states[part], weight, temperature)
            top[part] = logits.amax(-1)
            logits -= top[part, None]
            chosen = logits.gather(1, ids[part, None])[:, 0]
            log_sum[part] = logits.exp_().sum(-1).log_()
            logps[part] = chosen - log_sum[part]
            ctx.last = logits
        ctx.save_for_backward(states, weight, ids, top, log_sum)
        ctx.temperature = temperature
        return logps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients at the states, (N, H), and at the weights, (V, H), which are added up in float32."""
        states, weight, ids, top, log_sum = ctx.saved_tensors
        of_states = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight, dtype=_wide(weight)) if ctx.needs_input_grad[1] else None
        grad = grad / ctx.temperature
        slopes, ctx.last = ctx.last, None
        for part in reversed(list(_parts(len(ids), len(weight)))):
            if slopes is None:
                slopes = _logits(states[part], weight, ctx.temperature).sub_(top[part, None]).exp_()
            slopes.mul_((-grad * (-log_sum).exp())[part, None])
            slopes.scatter_add_(1, ids[part, None], grad[part, None])
            if of_states is not None:
                torch.mm(slopes.to(states.dtype), weight, out=of_states[part])
            if of_weight is not None:
                of_weight.addmm_(slopes.T, states[part].to(slopes.dtype))
            slopes = None
        return of_states, None if of_weight is None else of_weight.to(weight.dtype), None, None


def _parts(rows: int, width: int) -> Iterator[slice]:
    """The rows in parts that make at most LOGITS elements, or one row a part."""
    size = max(1, LOGITS // width)
    return (slice(at, at + size) for at in range(0, rows, size))


def _wide(values: Tensor) -> torch.dtype:
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _logits(states: Tensor, weight: Tensor, temperature: float) -> Tensor:
    """A new tensor, which may be changed."""
    logits = (states @ weight.T).to(_wide(states))
    return logits if temperature == 1 else logits.div_(temperature)
