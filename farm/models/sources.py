"""Where the parts of a model are: a folder or hub id, a .gguf file, an adapter and its base.

A model is named by one text everywhere. `locate` finds out which of these it names.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from farm.models.hub import REMEDY, ModelError, check_found

ADAPTER = "adapter_config.json"  # the file that makes a folder an adapter's
WHOLE = ("model*.safetensors", "pytorch_model*.bin")  # weights that need no base


@dataclass(frozen=True)
class ModelSource:
    """The parts of one model.

    weights: a folder or a hub id. gguf: the name of the .gguf file in that folder, which holds weights and
    tokenizer. adapter: a folder or hub id of low-rank weights, which are added to those of `weights`.
    """

    weights: str
    gguf: str | None = None
    adapter: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What from_pretrained of transformers is told beside `weights`."""
        return {"gguf_file": self.gguf} if self.gguf else {}

    @property
    def parts(self) -> tuple[str, ...]:
        """Folders, files and hub ids that together are the model."""
        weights = str(Path(self.weights) / self.gguf) if self.gguf else self.weights
        return (weights,) if self.adapter is None else (self.adapter, weights)

    @property
    def is_here(self) -> bool:
        """Whether all parts are on this machine."""
        return all(Path(part).exists() for part in self.parts)

    def files(self, *patterns: str) -> list[Path]:
        """The files of all parts on this machine that match a pattern, and a .gguf file always."""
        found = []
        for part in map(Path, self.parts):
            matching = {file for pattern in patterns for file in part.glob(pattern) if file.is_file()}
            found += [part] if part.is_file() else sorted(matching)
        return found


def locate(source: str) -> ModelSource:
    """The parts of the model that a text names: a folder, a .gguf file or a hub id.

    Raises ModelError where there is no such model, where an adapter's base cannot be found, and where a .gguf
    file cannot be read for want of a package.
    """
    source = packaged(source)
    path = Path(source)
    if path.suffix == ".gguf" or path.is_file():
        return _gguf(path)
    check_found(source)
    if not path.is_dir():
        return _with_base(source) if _is_adapter_on_hub(source) else ModelSource(source)
    if (path / ADAPTER).is_file() and not any(any(path.glob(pattern)) for pattern in WHOLE):
        return _with_base(source)
    files = [] if (path / "config.json").is_file() else sorted(path.glob("*.gguf"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:5])
        raise ModelError(
            f"the folder holds several .gguf files: {names}", where=source, remedy="name one of them"
        )
    return _gguf(files[0]) if files else ModelSource(source)


def packaged(source: str) -> str:
    """A model of the package by its name in the docs, farm/world/base, where no such folder is here."""
    inside = Path(__file__).parents[2] / source
    is_ours = Path(source).parts[:2] == ("farm", "world") and not Path(source).exists()
    return str(inside) if is_ours and inside.is_dir() else source


def _gguf(path: Path) -> ModelSource:
    if path.suffix != ".gguf":
        raise ModelError("a file, and no model", where=str(path), remedy=f"{REMEDY}, or a .gguf file")
    if not path.is_file():
        raise ModelError("no such file", where=str(path), remedy="give the path of a .gguf file")
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            "a .gguf file is read with the package gguf, which is not installed",
            where=str(path),
            remedy="install it (pip install gguf), or give a folder of safetensors weights",
        )
    return ModelSource(str(path.parent), gguf=path.name)


def _with_base(adapter: str) -> ModelSource:
    """An adapter with its base: a hub id or a path, which may start from the adapter's folder."""
    remedy = f"write the base's folder or hub id into base_model_name_or_path of {ADAPTER}"
    try:
        base = str(_adapter_config(adapter).get("base_model_name_or_path") or "")
    except (ValueError, OSError, AttributeError) as error:
        raise ModelError(f"{ADAPTER} cannot be read: {error}", where=adapter, remedy=remedy) from None
    if not base:
        raise ModelError("an adapter that does not say what its base is", where=adapter, remedy=remedy)
    beside = Path(adapter) / base
    try:
        found = locate(str(beside) if not Path(base).exists() and beside.exists() else base)
    except ModelError as error:
        what = f"the adapter's base {base!r:.200} cannot be used: {error.what}"
        raise ModelError(what, where=adapter, remedy=remedy) from None
    if found.adapter is not None:
        what = f"the adapter's base {base!r:.200} is an adapter too"
        raise ModelError(what, where=adapter, remedy="add the base's adapter to its weights first")
    return replace(found, adapter=adapter)


def _adapter_config(adapter: str) -> dict[str, Any]:
    file = Path(adapter) / ADAPTER if Path(adapter).is_dir() else Path(str(_on_hub(adapter, ADAPTER)))
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


def _is_adapter_on_hub(source: str) -> bool:
    return _on_hub(source, "config.json") is None and _on_hub(source, ADAPTER) is not None


def _on_hub(source: str, name: str) -> str | None:
    """The path of a hub model's file in the cache; None where it has no such file or cannot be asked."""
    from transformers.utils.hub import cached_file

    try:
        found: str | None = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError):
        return None
    return found
