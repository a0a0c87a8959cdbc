"""Reading stored replies again: a recording becomes a judgement, and nobody is asked.

A recording is a reply that a run of ours stored, or a text that was imported with a judgement. Where there is
no recording, the judgement fails and says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from annotators.clients.request import TokenLogprob
from annotators.draws import Occasion
from annotators.judgement import Judgement, Verdict, judgement_of, spared
from annotators.parsers import ReplyText, parser_of, parser_problems, read_verdicts
from annotators.spec import AnnotatorSpec

Positions = tuple[tuple[TokenLogprob, ...], ...]


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A stored reply. slot: the place of this question among the pairs of its prompt. pairs: their number."""

    said: ReplyText
    slot: int = 0
    pairs: int = 1


def replayed(spec: AnnotatorSpec, reply: StoredReply, swapped: bool, occasion: Occasion) -> Judgement:
    """Read the judgement of one pair from a stored reply, by the spec's parser and label noise."""
    if saved := spared(swapped, spec.noise, occasion):
        return saved
    several = spec.about(reply.pairs) if spec.more else replace(spec, batch=reply.pairs)
    if problems := parser_problems(several):
        verdict = Verdict(None, f"a reply about {reply.pairs} pairs: {'; '.join(problems)}")
    else:
        verdict = _verdict(read_verdicts(parser_of(several), reply.said, reply.pairs), reply.slot)
    return judgement_of(verdict, swapped, spec.noise, occasion)


def imported_reply(raw: str) -> ReplyText:
    """An imported text as a reply.

    Some sources store log-probabilities as JSON: {"text", "top_logprobs": [{token: value}]}, or a choice of
    the chat API. From such a text both the text and the log-probabilities are taken.
    """
    try:
        data: object = json.loads(raw) if raw[:1] == "{" else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return ReplyText(raw)
    tops = _mapped(data.get("top_logprobs")) or _listed(data.get("logprobs"))
    message = data.get("message")
    content = message.get("content") if isinstance(message, dict) else data.get("text")
    return ReplyText(content if isinstance(content, str) else raw, tops) if tops else ReplyText(raw)


def _verdict(verdicts: list[Verdict], slot: int) -> Verdict:
    return verdicts[slot] if slot < len(verdicts) else Verdict(None, "the reply does not name this pair")


def _mapped(positions: object) -> Positions:
    listed = positions if isinstance(positions, list) else []
    return tuple(
        tuple(TokenLogprob(token, float(value)) for token, value in each.items() if _is_number(value))
        for each in listed
        if isinstance(each, Mapping)
    )


def _listed(logprobs: object) -> Positions:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    positions = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    return tuple(
        tuple(
            TokenLogprob(other["token"], float(other["logprob"]))
            for other in each.get("top_logprobs") or [each]
            if isinstance(other, dict)
            and isinstance(other.get("token"), str)
            and _is_number(other.get("logprob"))
        )
        for each in positions
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
