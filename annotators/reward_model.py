"""A reward model as a judge: what it is asked and what it replies, in the form of any other judge's.

A request holds the instruction, its input and both outputs. The turns of a conversation are one message of
the system, as JSON. The reply is a line of JSON with a score for each
output as shown. So scores are stored as replies are. The parser decides how to read them: as a probability
(Bradley and Terry 1952: P(first) = σ(s_1 − s_2)) or as a plain choice. The weights run elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from annotators.clients.request import Message, Request, Role
from annotators.shown import ShownPair
from db.records import Instruction, turns_from_json, turns_to_json


class ScoredPair(NamedTuple):
    """An instruction and the two outputs, as shown, that a reward model scores."""

    instruction: Instruction
    first: str
    second: str


def scoring_messages(shown: ShownPair) -> tuple[Message, ...]:
    """The messages that hold a pair as it is shown. The input, if there is one, is a second message."""
    texts = [shown.instruction, *([shown.input] if shown.input else [])]
    talk = [Message(Role.SYSTEM, turns_to_json(shown.turns))] if shown.turns else []
    return (
        *(talk or (Message(Role.USER, text) for text in texts)),
        *(Message(Role.ASSISTANT, text) for text in shown.outputs),
    )


def scored_pair(request: Request) -> ScoredPair:
    """The pair that a request of `scoring_messages` holds."""
    *said, first, second = request.messages
    texts = [message.content for message in said]
    if said[0].role is Role.SYSTEM:
        asked = Instruction.of_turns(turns_from_json(texts[0]))
    else:
        asked = Instruction(texts[0], texts[1] if len(texts) > 1 else "")
    return ScoredPair(asked, first.content, second.content)


def scores_text(scores: Sequence[float]) -> str:
    """The reply with the scores of the outputs, in the order shown."""
    return json.dumps({"scores": list(scores)})
