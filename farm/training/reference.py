"""Log-probabilities under a frozen reference, computed once for each (row, reference, tokenizer) and kept.

They are kept by content. The key of a row is a hash of its token ids. The file is named after a hash of the
reference's weights and after the run's precision, so that policy and reference round alike. Another run finds
them again, whatever its method, its selection of rows or its order. If all are known, the reference is never
loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from db.errors import FarmError
from db.ids import content_hash
from db.whole_files import Kind, write_bytes_whole
from farm.config import TrainConfig
from farm.models.forward import autocast
from farm.models.identity import fingerprint
from farm.models.ops import masked_sum
from farm.models.policy import Policy
from farm.models.tokens import Tokens


class ReferenceLogps:
    """Sum of log π_ref over the response tokens of each row: Tokens -> (B,). Kept in memory and in a file."""

    def __init__(
        self, source: str, config: TrainConfig, load: Callable[[], Policy], folder: Path | None = None
    ) -> None:
        self.source, self.config, self.load, self.folder = source, config, load, folder
        self.computed = 0  # rows that the reference was run on

    def __call__(self, tokens: Tokens) -> Tensor:
        keys = row_keys(tokens)
        if not all(key in self._known for key in keys):
            self._compute(tokens, keys)
        return torch.tensor([self._known[key] for key in keys], device=tokens.ids.device)

    @torch.no_grad()
    def _compute(self, tokens: Tokens, keys: list[str]) -> None:
        # The whole batch, even where some rows are known: values never depend on what was known.
        with autocast(self.config):
            sums = masked_sum(self.load()(tokens), tokens.mask).float().tolist()
        self.computed += len(keys)
        new = {key: value for key, value in zip(keys, sums, strict=True) if key not in self._known}
        self._known.update(new)
        if self._file is not None:
            lines = "".join(f"{json.dumps([key, value])}\n" for key, value in new.items())
            try:
                with self._file.open("a", encoding="utf-8") as file:
                    file.write(lines)
            except OSError as error:
                what = f"the reference's values cannot be kept: {error.strerror}"
                remedy = "free some disk space, then run the same command again"
                raise FarmError(what, where=str(self._file), remedy=remedy) from None

    @cached_property
    def _known(self) -> dict[str, float]:
        known: dict[str, float] = {}
        if self._file is not None and self._file.exists():
            text = self._file.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]  # a line that a crash cut short is computed again
            if len(whole) < len(text):
                write_bytes_whole(self._file, whole.encode(), Kind(b""))
            for line in whole.splitlines():
                key, value = json.loads(line)
                known.setdefault(key, value)
        return known

    @cached_property
    def _file(self) -> Path | None:
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        weights = fingerprint(self.source, self.config, self.load)
        return self.folder / f"{weights}-{self.config.precision}.jsonl"


def row_keys(tokens: Tokens) -> list[str]:
    """A hash of each row: of its prompt tokens and its response tokens, not of its padding."""
    keys = []
    attention = tokens.attention
    for i, (ids, mask) in enumerate(zip(tokens.ids.tolist(), tokens.mask.tolist(), strict=True)):
        first = 0 if attention is None else int(attention[i].int().argmax())
        begin, end = mask.index(True), len(mask) - mask[::-1].index(True)
        keys.append(content_hash("row", [ids[first:begin], ids[begin:end]]))
    return keys
