"""Identity of a model: a hash of its files or of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from farm.config import ModelConfig


class Loaded(Protocol):
    """An object that holds a model: a policy or a scorer."""

    model: nn.Module


def fingerprint(source: str, config: ModelConfig, load: Callable[[], Loaded]) -> str:
    """A hash of a model's dtype and its safetensors files, as 32 hexadecimal digits.

    Without such files `load` is called, and its weights are hashed.
    """
    digest = hashlib.sha256(f"{config.dtype}".encode())
    files = sorted(Path(source).glob("*.safetensors")) if Path(source).is_dir() else []
    for path in [*files, *(Path(source) / name for name in ("config.json",) if files)]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    if not files:
        for name, weight in sorted(load().model.state_dict().items()):
            digest.update(name.encode() + weight.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def digest_of(files: Iterable[Path]) -> str:
    """A hash of these files, by name and content, in the order of their names: 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(files):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
