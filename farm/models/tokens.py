"""Prompts, and rows of tokens: what models read and write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from db.records import Instruction, Turn

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a policy is asked: see Instruction. The policy's template makes the text."""

    instruction: str
    input: str = ""
    turns: tuple[Turn, ...] = ()

    @classmethod
    def of(cls, asked: Instruction) -> Prompt:
        """The prompt of an instruction."""
        return cls(asked.text, asked.input, asked.turns)

    @property
    def messages(self) -> tuple[Turn, ...]:
        """The turns; of a flat prompt, one turn of the user."""
        return Instruction(self.instruction, self.input, self.turns).messages


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
