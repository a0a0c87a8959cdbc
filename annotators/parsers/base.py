"""What all parsers share: what they read, what they raise, and the slots of a batched prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from annotators.clients.request import TokenLogprob
from annotators.judgement import Verdict


class ParseError(Exception):
    """No verdict can be read from a reply. Not an error of the user's: the judgement is unreadable."""


class Readable(Protocol):
    """What a parser reads of a reply; annotators.clients.Reply is one."""

    @property
    def text(self) -> str: ...

    @property
    def top_logprobs(self) -> Sequence[Sequence[TokenLogprob]]: ...


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The text of a reply, with alternatives at its first positions: stored before, or a worked example."""

    text: str
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()


class CompletionParser(Protocol):
    """Reads the verdicts of a reply: one for each pair of its prompt, in the order of the prompt."""

    def __call__(self, reply: Readable) -> list[Verdict]:
        """Raises ParseError where no verdict at all can be read, and nothing else on any text."""
        ...


class Slots:
    """The verdicts of a batched prompt as they are found, by number from 1; the last of a number stands."""

    def __init__(self, batch: int) -> None:
        self._verdicts = [Verdict(None, "the reply does not name this pair") for _ in range(batch)]

    def put(self, number: int, verdict: Verdict) -> None:
        if 1 <= number <= len(self._verdicts):
            self._verdicts[number - 1] = verdict

    def close(self) -> list[Verdict]:
        """All verdicts. Raises ParseError where none is readable."""
        if all(verdict.first is None for verdict in self._verdicts):
            raise ParseError(self._verdicts[0].reason or "no verdict is declared")
        return self._verdicts
