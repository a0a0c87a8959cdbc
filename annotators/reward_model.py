"""A reward model as a judge: what it is asked and what it replies, in the form of any other judge's.

A request holds the instruction, its input and both outputs. The reply is a line of JSON with a score for each
output as shown. So scores are stored as replies are. The parser decides how to read them: as a probability
(Bradley and Terry 1952: P(first) = σ(s_1 − s_2)) or as a plain choice. The weights run elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from annotators.clients.request import Message, Request, Role
from annotators.shown import ShownPair


class ScoredPair(NamedTuple):
    """An instruction and the two outputs, as shown, that a reward model scores."""

    instruction: str
    input: str
    first: str
    second: str


def scoring_messages(shown: ShownPair) -> tuple[Message, ...]:
    """The messages that hold a pair as it is shown. The input, if there is one, is a second message."""
    said = [shown.instruction, *([shown.input] if shown.input else [])]
    return (
        *(Message(Role.USER, text) for text in said),
        *(Message(Role.ASSISTANT, text) for text in shown.outputs),
    )


def scored_pair(request: Request) -> ScoredPair:
    """The pair that a request of `scoring_messages` holds."""
    *said, first, second = (message.content for message in request.messages)
    return ScoredPair(said[0], said[1] if len(said) > 1 else "", first, second)


def scores_text(scores: Sequence[float]) -> str:
    """The reply with the scores of the outputs, in the order shown."""
    return json.dumps({"scores": list(scores)})
