"""Prompts that a server cut without a word: it counts far fewer tokens than the prompt can be.

A tokenizer makes at least one token of each word. So the words of a prompt are a lower bound of its tokens,
whatever the model, and a server that counts clearly fewer has not read all of it.
"""

from __future__ import annotations

from annotators.clients.request import Request
from annotators.clients.tokens import DIGITS, LETTERS, count_runs
from annotators.prices import Usage

WORD, NUMBER = 12, 4  # letters and digits: the longest that common tokenizers hold in one token
TOLERANCE = 0.85  # a few tokenizers join some words
SMALLEST = 64  # tokens that must be missing


def least_tokens(request: Request) -> int:
    """A number of prompt tokens that hardly any tokenizer stays below. It counts words in ASCII alone."""
    texts = [each.content.encode("ascii", "replace") for each in request.messages]
    words = sum(count_runs(text, LETTERS, WORD) + count_runs(text, DIGITS, NUMBER) for text in texts)
    return words + len(request.prompt)


def was_cut(request: Request, usage: Usage | None) -> bool:
    """Whether the server counted so few tokens that it cannot have read the whole prompt."""
    if usage is None or not usage.prompt:
        return False
    least = least_tokens(request)
    return usage.prompt < TOLERANCE * least and least - usage.prompt >= SMALLEST
