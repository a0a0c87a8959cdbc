"""A client's reply as a completion of the ledger, and a completion as a text for a parser."""

from __future__ import annotations

import json

from annotators.clients.request import Reply, TokenLogprob
from annotators.parsers import ReplyText
from db.records import Completion


def completion_of(claim_id: int, reply: Reply) -> Completion:
    """The completion that the ledger keeps under a claim."""
    tops = [[[each.token, each.logprob] for each in position] for position in reply.top_logprobs]
    return Completion(
        claim_id=claim_id,
        text=reply.text,
        failure=reply.failure,
        detail=reply.detail,
        finish_reason=reply.finish_reason,
        model=reply.model,
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
        thinking=reply.thinking,
    )


def stored_reply(text: str, top_logprobs: str | None, thinking: str = "") -> ReplyText:
    """The text of a stored completion, for a parser. top_logprobs: JSON, as of db.records.Completion."""
    tops = json.loads(top_logprobs) if top_logprobs else []
    positions = tuple(tuple(TokenLogprob(token, value) for token, value in position) for position in tops)
    return ReplyText(text, positions, thinking)
