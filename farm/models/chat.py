"""Turns as the text of a tokenizer's chat template, so that no turn is lost.

Templates are foreign code, and they differ. Some refuse a role, and some leave its text out without a word.
Some want user and assistant in turn. A conversation that a template does not take as it is, is folded into
messages of user and assistant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from db.errors import ConfigError
from db.records import Turn, TurnRole, transcript
from farm.models.chat_templates import bounded, rendered
from farm.models.hub import line_of

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def chat_text(
    said: Sequence[Turn], tokenizer: Any, *, reply: bool = True, options: Mapping[str, Any] = NO_OPTIONS
) -> str:
    """The text of a conversation by the tokenizer's chat template, folded only as far as it must be.

    reply: end with the beginning of the assistant's next turn. options: further arguments of the template.
    Raises ConfigError where the template refuses the conversation in every form.
    """
    refusal = ""
    with bounded(len(said)):
        for form in _forms(tuple(said)):
            messages = [turn.message for turn in form]
            try:
                text = rendered(messages, tokenizer, reply=reply, options=options)
            except Exception as error:
                refusal = refusal or line_of(error, 200)
                continue
            if all(_holds(text, turn) for turn in form):
                return text
            refusal = refusal or "it leaves out what was said"
    what = "a question" if len(said) == 1 else f"a conversation that begins {said[0].content[:40]!r}"
    raise ConfigError(f"the chat template refuses {what}: {refusal}", remedy="use --template plain")


def _forms(said: tuple[Turn, ...]) -> Iterator[tuple[Turn, ...]]:
    """A conversation as it is; with all but its first text of the system folded; folded as a whole."""
    yield said
    first = 1 if said[0].role is TurnRole.SYSTEM else 0
    yield (*said[:first], *folded(said[first:]))
    yield folded(said)


def _holds(text: str, turn: Turn) -> bool:
    """Whether a text holds what was said in a turn, perhaps as JSON.

    Of the assistant nothing is required: some templates leave out what it thought before its answers.
    """
    if turn.role is TurnRole.ASSISTANT:
        return True
    content = turn.content.strip()
    return content in text or json.dumps(content, ensure_ascii=False)[1:-1] in text


def folded(said: Sequence[Turn]) -> tuple[Turn, ...]:
    """A conversation as messages of user and assistant in turn.

    What the system or a tool said becomes the user's, and neighbours of one role become one message with a
    blank line between them.
    """
    found: list[Turn] = []
    for turn in map(without_tool, said):
        role = TurnRole.USER if turn.role is TurnRole.SYSTEM else turn.role
        before = f"{found.pop().content}\n\n" if found and found[-1].role is role else ""
        found.append(Turn(role, before + turn.content))
    return tuple(found)


def without_tool(turn: Turn) -> Turn:
    """The turn; what a tool said, as a message of the user that says so."""
    return Turn(TurnRole.USER, transcript([turn])) if turn.role is TurnRole.TOOL else turn
