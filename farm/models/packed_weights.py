"""Linear layers on a CPU with weights that are packed once, for passes of few rows.

Torch's own product rearranges the weights at every call. For few rows that takes most of its time. Here the
weights are kept in oneDNN's own layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

OPERATORS = ("_reorder_linear_weight", "_linear_pointwise")  # torch's own, which torch.compile packs with
MOST_BYTES = 2**31  # of weights to pack at most, for packed copies take memory of their own


@contextmanager
def packed(model: nn.Module) -> Iterator[None]:
    """Inside the block linear layers multiply with packed copies of their present weights, without gradients.

    Nothing is packed in a compiled model, under autocast, in a model of more than MOST_BYTES, or without
    oneDNN in torch.
    """
    layers = _linear_layers(model)
    try:
        for layer in layers:
            layer.forward = _product(layer)  # type: ignore[assignment, method-assign]
        yield
    finally:
        for layer in layers:
            vars(layer).pop("forward", None)


def _linear_layers(model: nn.Module) -> list[nn.Linear]:
    """The layers to pack; none where nothing is to be packed."""
    compiled = any(part._compiled_call_impl is not None for part in model.modules())
    known = all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)
    if compiled or torch.is_autocast_enabled("cpu") or not known:
        return []
    layers = [layer for layer in model.modules() if type(layer) is nn.Linear and _is_plain(layer)]
    return layers if sum(layer.weight.nbytes for layer in layers) <= MOST_BYTES else []


def _is_plain(layer: nn.Linear) -> bool:
    """Whether a layer has whole float32 weights on a CPU and the forward pass of its class."""
    weight = layer.weight
    plain = type(weight) is nn.Parameter and weight.dtype == torch.float32 and weight.device.type == "cpu"
    return plain and "forward" not in vars(layer)


def _product(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """The forward pass of a layer."""
    pack, product = (getattr(torch.ops.mkldnn, name) for name in OPERATORS)
    weight, bias = pack(layer.weight.detach(), None), layer.bias

    def forward(input: Tensor) -> Tensor:
        return product(input, weight, bias, "none", [], "")  # type: ignore[no-any-return]

    return forward
