"""A reward model as a judge: what it is shown, and what it says, as messages and text like any other judge's.

The request holds the instruction, its input and both outputs; the reply is a line of JSON with a score for
each output as shown. So scores are stored as replies are, and whether they are read as probabilities
(Bradley and Terry 1952: P(first) = σ(s_1 − s_2)) or as a plain choice is the parser's business. The weights
run elsewhere: this module knows none.
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
    """The messages that hold a pair as it is shown; the input, where there is one, is a second message."""
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
    """The reply that tells the scores of the outputs, as shown."""
    return json.dumps({"scores": list(scores)})
