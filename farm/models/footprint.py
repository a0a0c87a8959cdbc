"""What a model takes of the memory: weights, what a pass keeps, logits, and keys and values of a draw.

Weights, gradients and moments are counted as by Rajbhandari et al. 2020 (arXiv 1910.02054, section 3.1): a
trained weight has a gradient and two moments of AdamW, each in the weight's own precision. What a pass keeps
for its backward pass grows with its tokens, and with heads times width squared where attention keeps its
probabilities or a mask (Korthikanti et al. 2022, arXiv 2205.05198, eq. 2). That formula is for one
architecture. Here its factors are found for any: autograd is asked what it keeps of three short rows.
"""

from __future__ import annotations

import inspect
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor

from farm.config import Precision, TrainConfig
from farm.models import chunks
from farm.models.forward import PassShape, autocast
from farm.models.generation import PREFILL_TOKENS, bytes_of_a_token, rows_that_pay
from farm.models.hub import ModelError
from farm.models.mixture import Drawer
from farm.models.packing import hidden_states, packed, separates
from farm.models.sources import locate
from farm.models.tokens import Tokens

PROBED = 96  # tokens of the longest row that autograd is asked about, if the model reads as many


class KeptByPass(NamedTuple):
    """Bytes that autograd keeps of a pass: fixed + token x tokens + square x (rows x width x keys).

    again: of each column that attention puts together beyond the tokens of packed rows.
    """

    fixed: float
    token: float
    square: float
    again: float = 0.0

    def of(self, shape: PassShape) -> float:
        """The bytes of a pass of this shape."""
        known = self.fixed + self.token * shape.tokens + self.square * shape.attended
        return known + self.again * (shape.again or 0)


class ModelFootprint(NamedTuple):
    """A model's sizes. Bytes, unless something else is said."""

    weights: int
    trained: int  # of those weights that are trained
    vocabulary: int  # logits of a position; 0 without a head for tokens
    layers: int
    hidden: int
    alone: KeptByPass  # of a pass over rows as they are
    masked: KeptByPass  # of a pass over rows that share prompts or are padded at the left
    packed: KeptByPass  # of a pass over packed rows

    def kept(self, shape: PassShape, checkpointing: bool = False) -> float:
        """What stands in memory at the beginning of the backward pass, without logits.

        checkpointing: each layer keeps its input alone, and one layer at a time computes the rest again.
        """
        whole = self._kept_by(shape).of(shape)
        states = 4.0 * self.hidden * shape.targets  # that the head reads
        if not checkpointing:
            return whole + states + self.working(shape)
        return 4.0 * self.hidden * self.layers * shape.tokens + states + 2 * self.working(shape)

    def working(self, shape: PassShape) -> float:
        """What a layer makes and drops: about what one keeps for the backward pass."""
        return self._kept_by(shape).of(shape) / max(1, self.layers)

    def _kept_by(self, shape: PassShape) -> KeptByPass:
        if shape.again is not None:
            return self.packed
        return self.masked if shape.masked else self.alone

    def under_lora(self, rank: int) -> ModelFootprint:
        """The same with adapters that are trained in place of the weights: about 8 x rank weights a unit."""
        adapters = 4 * 14 * rank * self.hidden * self.layers
        return self._replace(trained=adapters)

    def logits(self, positions: int) -> float:
        """Logits in memory at a time, twice over: `farm.models.chunks` takes a part of the positions."""
        part = max(1, chunks.LOGITS // max(1, self.vocabulary))
        return 2 * 4.0 * self.vocabulary * min(positions, part)


def footprint(module: Any, config: TrainConfig | None = None) -> ModelFootprint:
    """The sizes of a policy or scorer: `module.model` is a model of transformers.

    config: the run's options, for passes in the precision of the run.
    """
    config = config or TrainConfig()
    read = module.model.config.get_text_config()
    model = module.model
    head = model.get_output_embeddings()
    alone = kept_by_pass(model, config, masked=False)
    return ModelFootprint(
        weights=weight_bytes(model.parameters()),
        trained=weight_bytes(each for each in model.parameters() if each.requires_grad),
        vocabulary=0 if head is None else int(head.weight.shape[0]),
        layers=int(read.num_hidden_layers),
        hidden=int(read.hidden_size),
        alone=alone,
        masked=kept_by_pass(model, config, masked=True),
        packed=kept_by_packed(model, config) or alone,
    )


def weight_bytes(weights: Iterable[Tensor]) -> int:
    """Bytes of tensors, each counted once."""
    return sum({id(each): each.numel() * each.element_size() for each in weights}.values())


def kept_by_pass(model: Any, config: TrainConfig, *, masked: bool) -> KeptByPass:
    """What autograd keeps of a pass through a base model, by rows of three widths.

    masked: two rows behind each other in one, so that attention gets a mask; where the model takes positions.
    """
    rows = (1 + masked) if _placed(model) else 0
    widths = [max(2, _probed(model) * part // 3) for part in (1, 2, 3)]
    with autocast(config):
        found = [_kept_of_row(model, width, rows) for width in widths]
    square, token, fixed = np.polyfit(widths, found, 2)
    return KeptByPass(max(0.0, fixed), max(0.0, token), square if square * widths[-1] > 0.01 * token else 0.0)


def kept_by_packed(model: Any, config: TrainConfig) -> KeptByPass | None:
    """The same of packed rows: a row by itself, and two of one prompt. None where no row is packed."""
    if not (_placed(model) and separates(model.base_model)):
        return None
    width = _probed(model)
    mask = (torch.arange(width, device=model.device) >= width // 2).expand(2, -1)
    both = Tokens(torch.zeros_like(mask, dtype=torch.long), mask)
    with autocast(config):
        one, two = (
            _kept(model, partial(hidden_states, model.base_model, packed(Tokens(*rows), last=True)))
            for rows in ((both.ids[:1], both.mask[:1]), both[:2])
        )
    token = one / width  # of two rows half a row is packed once, and put together twice
    return KeptByPass(
        0.0, token, 0.0, again=max(0.0, (two - token * (2 * width - width // 2)) / (width // 2))
    )


def _placed(model: Any) -> bool:
    return "position_ids" in inspect.signature(model.base_model.forward).parameters


def _probed(model: Any) -> int:
    """Tokens of the longest row that autograd is asked about."""
    return min(PROBED, getattr(model.config.get_text_config(), "max_position_embeddings", None) or PROBED)


def _kept_of_row(model: Any, width: int, rows: int) -> int:
    """Bytes that autograd keeps of a row.

    rows: that stand behind each other in it, by their positions; 0: without positions.
    """
    places = torch.arange(width, device=model.device)
    options = {"position_ids": (places % (width // rows))[None]} if rows else {}
    ids = torch.zeros_like(places)[None]
    return _kept(model, lambda: model.base_model.forward(input_ids=ids, use_cache=False, **options))


def _kept(model: Any, run: Callable[[], object]) -> int:
    """Bytes of the storages that autograd keeps of a pass, but for weights and buffers."""
    held = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return saved

    was_training = model.training
    model.eval()  # checkpointing and dropout are off then
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        out = run()
    model.train(was_training)
    del out  # until here the graph lived, and so did every storage that was counted
    return sum(kept.values())


def draw_bytes(policy: Drawer, prompts: Sequence[int], rows: int, more: int) -> float:
    """What a draw holds at most: keys and values of its rows, those of the prompts just run, and logits.

    prompts: tokens of each prompt. rows: responses to be drawn. more: max_new_tokens. Of logits there are the
    model's, their log-softmax, the probabilities, and the sums of these.
    """
    columns = max(prompts) + more + 32
    at_a_time = min(rows, rows_that_pay(policy, columns))
    a_token = sum(map(bytes_of_a_token, policy.models))
    prefilled = min(sum(prompts), max(PREFILL_TOKENS, max(prompts)))
    vocabulary: int = policy.models[0].get_output_embeddings().weight.shape[0]
    return a_token * (at_a_time * columns + prefilled) + 5 * 4.0 * at_a_time * vocabulary


def bytes_on_disk(source: str, dtype: Precision) -> int:
    """Bytes that a model's safetensors weights take in memory; 0 where there are no such files here.

    Raises ModelError where there is no such model.
    """
    itemsize: int = getattr(torch, dtype).itemsize
    return itemsize * sum(_weights_in(path) for path in locate(source).files("*.safetensors"))


def _weights_in(path: Path) -> int:
    """The number of weights in a safetensors file, from its header."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
    except (OSError, ValueError, struct.error, MemoryError):
        raise ModelError("no safetensors file", where=str(path), remedy="use another checkpoint") from None
    shapes = [each["shape"] for name, each in header.items() if name != "__metadata__"]
    return sum(int(np.prod(shape)) for shape in shapes)


def held_now(device: torch.device) -> int:
    """Bytes that this process holds: of a GPU what tensors take, else all that it has in memory."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def free_now(device: torch.device) -> int:
    """Bytes of memory that are free on the device; within the limit of a container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min([int(psutil.virtual_memory().available), *_container_room()])


def _container_room() -> Iterator[int]:
    """What the control group of this process lets it take beyond what it holds, if there is a limit."""
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            yield int(Path("/sys/fs/cgroup", limit).read_text()) - psutil.Process().memory_info().rss
