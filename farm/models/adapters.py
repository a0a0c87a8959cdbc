"""Low-rank adapters on disk: read, checked against their base, and added to its weights.

Only safetensors files are read. A merged model is a model like any other: it is saved whole.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from farm.models.hub import ModelError, line_of

WEIGHTS = "adapter_model.safetensors"
_HEADS = ("score.weight", "classifier.weight")


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder or hub id, and the shapes of its tensors by name."""

    source: str
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def read(cls, source: str) -> Adapter:
        """The adapter at a place. Raises ModelError where it has no safetensors file that can be read."""
        from transformers.utils.hub import cached_file

        try:
            path = cached_file(source, WEIGHTS) if not Path(source).is_dir() else Path(source) / WEIGHTS
            with safe_open(str(path), "pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, SafetensorError) as error:
            what = f"the adapter's weights cannot be read: {line_of(error, 200)}"
            remedy = f"give a folder with {WEIGHTS} in it"
            raise ModelError(what, where=source, remedy=remedy) from None
        return cls(source, shapes)

    @property
    def whole(self) -> tuple[str, ...]:
        """Names of the base's weights that the adapter replaces, such as the head of a reward model."""
        names = (name.removeprefix("base_model.model.") for name in self.shapes if ".lora_" not in name)
        return tuple(re.sub(r"\.(modules_to_save(\.default)?|base_layer)\.", ".", name) for name in names)

    @property
    def options(self) -> dict[str, Any]:
        """What the base is loaded with: as many labels as the adapter's head has, if it brings one."""
        heads = [shape[0] for name, shape in self.shapes.items() if name.endswith(_HEADS)]
        return {"num_labels": heads[0]} if heads else {}

    def merged_into(self, model: Any) -> Any:
        """The base with the adapter added to its weights. Raises ModelError where the two do not fit."""
        from peft import PeftModel

        self._resize(model)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                adapted = PeftModel.from_pretrained(model, self.source)
                missing = [str(each.message) for each in said if "missing adapter keys" in str(each.message)]
            if missing:
                raise ValueError(missing[0])
            return adapted.merge_and_unload(safe_merge=True).requires_grad_(True)
        except (ValueError, RuntimeError, KeyError, AttributeError, TypeError, OSError) as error:
            what = f"the adapter does not fit its base: {line_of(error)}"
            remedy = (
                "name the base that it was trained on in adapter_config.json; only LoRA adapters are read"
            )
            raise ModelError(what, where=self.source, remedy=remedy) from None

    def _resize(self, model: Any) -> None:
        """Give the base as many embeddings as the adapter brings, where it was trained with more tokens."""
        rows = {
            shape[0]
            for name, shape in self.shapes.items()
            if ".lora_" not in name and re.search(r"(embed_tokens|lm_head|wte|embed_in|embed_out)\.", name)
        }
        if rows and max(rows) != model.get_input_embeddings().weight.shape[0]:
            model.resize_token_embeddings(max(rows), mean_resizing=False)
