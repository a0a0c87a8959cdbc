"""What all parsers share: what they read, the error that they raise, and the slots of a batched prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from annotators.clients.request import TokenLogprob
from annotators.judgement import Verdict


class ParseError(Exception):
    """No verdict can be read from a reply: the judgement is unreadable. It is no error of the user."""


class Readable(Protocol):
    """What a parser reads of a reply. annotators.clients.Reply has these properties."""

    @property
    def text(self) -> str:
        """The text of the reply."""
        ...

    @property
    def thinking(self) -> str:
        """What was thought before it, which no verdict is read from."""
        ...

    @property
    def top_logprobs(self) -> Sequence[Sequence[TokenLogprob]]:
        """The alternatives at the first positions, with their log-probabilities."""
        ...


@dataclass(frozen=True, slots=True)
class ReplyText:
    """The text of a reply and the alternatives at its first positions: from the ledger, or an example."""

    text: str
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()
    thinking: str = ""


class CompletionParser(Protocol):
    """Reads the verdicts of a reply: one for each pair of its prompt, in the order of the prompt."""

    def __call__(self, reply: Readable) -> list[Verdict]:
        """Raises ParseError where no verdict at all can be read, and nothing else on any text."""
        ...


class Slots:
    """The verdicts of a batched prompt, numbered from 1. Where a number comes twice, the last one counts."""

    def __init__(self, batch: int) -> None:
        self._verdicts = [Verdict(None, "the reply does not name this pair") for _ in range(batch)]

    def put(self, number: int, verdict: Verdict) -> None:
        """Take the verdict of a number. A number that the prompt has not is ignored."""
        if 1 <= number <= len(self._verdicts):
            self._verdicts[number - 1] = verdict

    def close(self) -> list[Verdict]:
        """All verdicts. Raises ParseError where none is readable."""
        if all(verdict.first is None for verdict in self._verdicts):
            raise ParseError(self._verdicts[0].reason or "no verdict is declared")
        return self._verdicts
