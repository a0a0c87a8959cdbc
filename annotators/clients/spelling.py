"""Log-probabilities that belong to a reply: those of the tokens that spell its beginning.

A model that thinks first has log-probabilities of its thinking, too. They say nothing of the answer. Tokens
are compared with the answer without white space, since servers write it in several ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from annotators.clients.request import TokenLogprob
from annotators.clients.sending import repaired

LOGPROB_POSITIONS = 8  # how many first tokens keep their alternatives
_SPECIAL = re.compile(r"(?:<[^<>\s]{1,40}>|\[/?[A-Z_]{2,20}\]|</?s>)+")
_PIECES = str.maketrans({"\u2581": " ", "\u0120": " ", "\u010a": "\n"})  # blanks as tokenizers write them

_BROKEN = "\ufffd"  # what is shown of a part of a character

Positions = tuple[tuple[TokenLogprob, ...], ...]


def listed_positions(value: object) -> list[object]:
    """The positions that a choice's `logprobs` lists, without those whose values are no log-probabilities."""
    content = value.get("content") if isinstance(value, dict) else None
    return [each for each in content if _token(each)] if isinstance(content, list) else []


def answer_logprobs(positions: Sequence[object], answer: str, stop: Sequence[str] = ()) -> Positions:
    """The alternatives at the first tokens of an answer; empty where no tokens spell its beginning.

    positions: as the server listed them. stop: the texts at which the reply ends, and which it lacks.
    """
    begin = _begin(positions, _bare(answer), [_bare(each) for each in stop])
    if begin is None:
        return ()
    chosen = positions[begin : begin + LOGPROB_POSITIONS]
    return tuple(found for each in chosen if (found := _alternatives(each)))


def _begin(positions: Sequence[object], answer: str, stop: Sequence[str]) -> int | None:
    """The place of the first token of the answer."""
    tokens = [_bare(_spelt(each)) for each in positions]
    first = next((place for place, token in enumerate(tokens) if token and not _is_special(token)), None)
    if not answer or first is None:
        return None
    if any(_BROKEN in token for token in tokens):  # parts of characters: only ASCII is compared
        said = "".join(map(_ascii, tokens[first:]))
        return first if _spells(said, _ascii(answer), [_ascii(each) for each in stop]) else None
    if _spells("".join(tokens[first:]), answer, stop):
        return first
    whole = "".join(tokens)
    ends = [0, *accumulate(map(len, tokens))]
    at = whole.rfind(answer)  # after the thinking; the tokens from there on spell the answer and no more
    if at < 0 or at not in ends or not _spells(whole[at:], answer, stop):
        return None
    return next(place for place, token in enumerate(tokens) if token and ends[place] == at)


def _spells(said: str, answer: str, stop: Sequence[str]) -> bool:
    """Whether a text is the beginning of the answer, or the answer and then a mark of its end."""
    if answer.startswith(said):
        return True
    rest = said[len(answer) :]
    return said.startswith(answer) and (
        _is_special(rest) or any(each and (rest.startswith(each) or each.startswith(rest)) for each in stop)
    )


def _is_special(text: str) -> bool:
    return _SPECIAL.fullmatch(text) is not None


def _ascii(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


def _bare(text: str) -> str:
    return "".join(text.split())


def _spelt(position: object) -> str:
    """The text of the token that was drawn. Its bytes are read where the server gives them."""
    if not isinstance(position, dict):
        return ""
    numbers = position.get("bytes")
    if isinstance(numbers, list) and numbers:
        try:
            return bytes(numbers).decode("utf-8", "ignore")
        except (TypeError, ValueError):
            pass  # no list of bytes
    token = position.get("token")
    return token.translate(_PIECES) if isinstance(token, str) else ""


def _alternatives(position: object) -> tuple[TokenLogprob, ...]:
    if not isinstance(position, dict):
        return ()
    others = position.get("top_logprobs")
    listed = (
        [each for each in (_token(other) for other in others) if each] if isinstance(others, list) else []
    )
    drawn = _token(position)
    if drawn and drawn.token not in {each.token for each in listed}:
        listed.append(drawn)
    return tuple(listed)


def _token(value: object) -> TokenLogprob | None:
    token = value.get("token") if isinstance(value, dict) else None
    logprob = value.get("logprob") if isinstance(value, dict) else None
    if not isinstance(token, str) or not isinstance(logprob, int | float) or not logprob <= 1e-3:
        return None  # NaN or a positive number is no log-probability
    return TokenLogprob(repaired(token), float(max(logprob, -1e9)))
