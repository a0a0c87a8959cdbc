"""How fast a run goes and what it holds, as figures for its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from farm.config import TrainConfig
from farm.models.footprint import held_now
from farm.training.method import Method
from farm.training.widest_step import trained_models

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Operations a second of dense bfloat16 products, by part of a GPU's name; by the makers' data sheets."""
SECONDS = "seconds/"  # begins the metrics of the parts of a step
WHOLE = "seconds/step"


class Pace:
    """Figures of the steps of a line of a log, in words."""

    def __init__(self, method: Method[Any], config: TrainConfig) -> None:
        models = trained_models(method)
        self._device = models[0].device
        self._operations = sum(operations_a_token(each.model, bool(config.lora_rank)) for each in models)
        self._peak = peak_of(self._device, config)

    def figures(self, metrics: Mapping[str, float]) -> str:
        """The figures of these metrics."""
        return ", ".join(self._told(metrics))

    def _told(self, metrics: Mapping[str, float]) -> Iterator[str]:
        if "loss" in metrics:
            yield f"loss {metrics['loss']:.4g}"
        tokens_a_second = metrics.get("tokens_per_second", 0.0)
        if tokens_a_second:
            yield f"{tokens_a_second:,.0f} tokens a second"
        if tokens_a_second and self._peak:
            yield f"{tokens_a_second * self._operations / self._peak:.1%} of the peak"
        yield f"{held_now(self._device) / 1e9:.2f} GB"
        parts = [name for name in metrics if name.startswith(SECONDS) and name != WHOLE]
        if len(parts) > 1:
            yield from (f"{name.removeprefix(SECONDS)} {metrics[name]:.1f} s" for name in parts)


def operations_a_token(model: Any, frozen: bool) -> float:
    """Operations that learning from a token takes: 6 for each weight that it is multiplied with.

    2 of them are of the forward pass, 4 of the backward pass. Adapters on frozen weights need 2 fewer: no
    gradient at the weights. Attention is left out, which is little for rows shorter than the model is wide.
    Chowdhery et al. 2022, arXiv 2204.02311, appendix B.
    """
    embedded, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    tied = head is not None and head.weight is embedded
    weights: int = sum(each.numel() for each in model.parameters()) - (0 if tied else embedded.numel())
    return (4.0 if frozen else 6.0) * weights


def peak_of(device: torch.device, config: TrainConfig) -> float:
    """Operations a second that a device can do at most in the run's precision; 0 where it is not known."""
    if device.type != "cuda" or ("bf16" not in config.precision and config.dtype != "bfloat16"):
        return 0.0
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), 0.0)
