"""A client's reply as a completion of the ledger, and a completion as a text for a parser."""

from __future__ import annotations

import json
from dataclasses import astuple, replace

from annotators.clients.request import Reply, TokenLogprob
from annotators.clients.sending import one_line, repaired
from annotators.parsers import ReplyText
from annotators.prices import Usage
from db.records import Completion

MOST = 2**62  # tokens: what a column holds


def completion_of(claim_id: int, reply: Reply) -> Completion:
    """The completion that the ledger keeps under a claim."""
    tops = [[[each.token, each.logprob] for each in position] for position in reply.top_logprobs]
    return Completion(
        claim_id=claim_id,
        text=repaired(reply.text),
        failure=reply.failure,
        detail=repaired(reply.detail),
        finish_reason=_repaired(reply.finish_reason),
        model=_repaired(reply.model),
        top_logprobs=json.dumps(tops) if tops else None,
        prompt_tokens=reply.usage.prompt,
        completion_tokens=reply.usage.completion,
        cached_tokens=reply.usage.cached,
        sendings=reply.attempts,
        unmetered=reply.unmetered,
        cost=reply.cost,
        cost_bound=reply.cost_bound,
        seconds=reply.seconds,
        warnings=",".join(reply.warnings),
        thinking=repaired(reply.thinking),
    )


def _repaired(text: str | None) -> str | None:
    return None if text is None else repaired(text)


def unstorable(reply: Reply, why: str) -> Reply:
    """The reply as the failure `unstorable`: its tokens and its cost, and nothing of what it said."""
    return replace(
        reply,
        failure="unstorable",
        detail=one_line(why),
        text="",
        thinking="",
        finish_reason=None,
        model=None,
        top_logprobs=(),
        usage=Usage(*(min(each, MOST) for each in astuple(reply.usage))),
    )


def stored_reply(text: str, top_logprobs: str | None, thinking: str = "") -> ReplyText:
    """The text of a stored completion, for a parser. top_logprobs: JSON, as of db.records.Completion."""
    tops = json.loads(top_logprobs) if top_logprobs else []
    positions = tuple(tuple(TokenLogprob(token, value) for token, value in position) for position in tops)
    return ReplyText(text, positions, thinking)
