"""Prompts, and rows of tokens: what models read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a policy is asked: an instruction and its optional input. The policy's template makes the text."""

    instruction: str
    input: str = ""


class Tokens(NamedTuple):
    """Rows of prompt and response tokens."""

    ids: Tensor  # (B, T) int64
    mask: Tensor  # (B, T) bool, True on response tokens
    attention: Tensor | None = None  # (B, T) bool, False on padding; None: padding on the right

    @property
    def tokens(self) -> Tokens:
        """Themselves; see AboutTokens."""
        return self

    @property
    def weight(self) -> Tensor:
        """Number of response tokens."""
        return self.mask.sum()


class AboutTokens(Protocol):
    """A batch that holds rows of tokens, and other facts about them."""

    @property
    def tokens(self) -> Tokens:
        """The rows: Tokens of (B, T)."""
        ...
