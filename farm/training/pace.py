"""How fast a run goes and what it holds, as figures for its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import monotonic
from typing import Any

import torch

from farm.config import TrainConfig
from farm.models.footprint import held_now
from farm.training.method import Method
from farm.training.widest_step import trained_models

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Operations a second of dense bfloat16 products, by part of a GPU's name; by the makers' data sheets."""
SECONDS = "seconds/"  # begins the metrics of the parts of a step


class Pace:
    """Figures of the steps between two lines of a log."""

    def __init__(self, method: Method[Any], config: TrainConfig) -> None:
        models = trained_models(method)
        self._device = models[0].device
        self._operations = sum(operations_a_token(each.model, bool(config.lora_rank)) for each in models)
        self._peak = peak_of(self._device, config)
        self._step, self._time = 0, monotonic()

    def figures(self, step: int, metrics: Mapping[str, float]) -> str:
        """The figures of the steps since the last call, at whose end the run is at this step."""
        now = monotonic()
        tokens = metrics.get("tokens", 0.0) * (step - self._step) / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        return ", ".join(self._told(tokens, metrics))

    def _told(self, tokens_a_second: float, metrics: Mapping[str, float]) -> Iterator[str]:
        if "loss" in metrics:
            yield f"loss {metrics['loss']:.4g}"
        if tokens_a_second:
            yield f"{tokens_a_second:,.0f} tokens a second"
        if tokens_a_second and self._peak:
            yield f"{tokens_a_second * self._operations / self._peak:.1%} of the peak"
        yield f"{held_now(self._device) / 1e9:.2f} GB"
        for name, seconds in metrics.items():
            if name.startswith(SECONDS):
                yield f"{name.removeprefix(SECONDS)} {seconds:.1f} s"


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
