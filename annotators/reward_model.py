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
from annotators.render import Asked


class Scored(NamedTuple):
    """What a reward model is to score: both answers to an instruction."""

    instruction: str
    input: str
    first: str
    second: str


def question(asked: Asked) -> tuple[Message, ...]:
    """The messages that hold a pair as it is shown; the input, where there is one, is a second message."""
    a, b = asked.pair.output_a.text, asked.pair.output_b.text
    first, second = (b, a) if asked.swapped else (a, b)
    instruction = asked.pair.instruction
    said = [instruction.text, *([instruction.input] if instruction.input else [])]
    return (
        *(Message(Role.USER, text) for text in said),
        Message(Role.ASSISTANT, first),
        Message(Role.ASSISTANT, second),
    )


def scored(request: Request) -> Scored:
    """What the messages of `question` hold."""
    *asked, first, second = (message.content for message in request.messages)
    return Scored(asked[0], asked[1] if len(asked) > 1 else "", first, second)


def reply(scores: Sequence[float]) -> str:
    """The reply that tells the scores of the outputs, as shown."""
    return json.dumps({"scores": list(scores)})
