"""Identity of a model: a hash of its files or of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from farm.config import ModelConfig
from farm.models.sources import ADAPTER, locate

if TYPE_CHECKING:
    from torch import nn


class Loaded(Protocol):
    """An object that holds a model: a policy or a scorer."""

    model: nn.Module


def fingerprint(source: str, config: ModelConfig, load: Callable[[], Loaded]) -> str:
    """A hash of a model's dtype and the files of its weights, as 32 hexadecimal digits.

    Files are those of safetensors or .gguf, of an adapter and of its base. Where a part has none here, `load`
    is called, and its weights are hashed.
    """
    import torch  # here: judges at a server need no torch

    digest = hashlib.sha256(f"{config.dtype}".encode())
    found = locate(source)
    files = found.files("*.safetensors") if found.is_here else []
    for path in [*files, *(found.files("config.json", ADAPTER) if files and not found.gguf else ())]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if not files:
        for name, weight in sorted(load().model.state_dict().items()):
            digest.update(name.encode() + weight.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def digest_of(files: Iterable[Path]) -> str:
    """A hash of these files, by name and content, in the order of their names: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda file: file.name):  # stable: wherever the folders of an adapter stand
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
