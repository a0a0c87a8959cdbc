"""Conversations in the field's spellings, as turns of a role and a text.

A conversation is a list of messages: {role, content} (OpenAI), {from, value} (ShareGPT), a pair [question,
answer] of a history, or one message alone. A content may be a list of parts. A message that only calls tools
has the calls as its text. The answer of a tool keeps the tool's name and the id of the call. A prompt keeps
its turns, and a single turn of the user is a flat text. An output of several turns is a text too: their
transcript, a paragraph "Role: text" for each. It keeps the turns beside the text, if it knows every role.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from db.interchange import fields
from db.records import Turn, TurnRole, transcript


class Said(NamedTuple):
    """One message as a source has it. A plain text has no role."""

    role: str
    text: str
    name: str = ""  # of the tool that answers
    call_id: str = ""  # of the call that a tool answers

    @property
    def turn(self) -> Turn:
        """The message as a turn, whatever its role."""
        return Turn(cast(TurnRole, self.role), self.text, self.name, self.call_id)


Turns: TypeAlias = Sequence[Said]

ROLES = {role.value: role.value for role in TurnRole} | {
    "human": "user", "prompter": "user", "question": "user",
    "gpt": "assistant", "bot": "assistant", "chatgpt": "assistant", "chatbot": "assistant",
    "model": "assistant", "answer": "assistant", "ai": "assistant", "function_call": "assistant",
    "observation": "tool", "function": "tool", "ipython": "tool", "tool_response": "tool",
    "developer": "system",
}  # fmt: skip
SPELLINGS = (("role", "content"), ("from", "value"), ("role", "text"))  # keys of a message's role and content
CALLS = ("tool_calls", "function_call")
ANSWERS = ("name", "tool_call_id")  # of a tool: its name, and the call that it answers


def turns(value: object, name: str) -> Turns:
    """The turns of a field's value. A text that holds messages as JSON, as CSV cells do, counts as messages.

    Raises ValueError with the reason where the value is neither a text nor messages.
    """
    if isinstance(value, str):
        packed = _unpacked(value)
        if packed is None:
            return [Said("", fields.require_storable(name, value))]
        value = packed
    if isinstance(value, Mapping):
        value = value["messages"] if isinstance(value.get("messages"), list) else [value]
    if not isinstance(value, list):
        raise ValueError(f"{name} is {fields.shown(value)}, neither a text nor a list of messages")
    return [_turn(message, name) for message in value]


def _unpacked(value: str) -> list[Any] | None:
    """The messages that a text holds as JSON; None where it holds none."""
    if not value.lstrip().startswith("[{"):
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(value.strip())  # as pandas writes a list into a cell
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return found if all(isinstance(each, dict) and _spelling(each) for each in found) else None


def _spelling(message: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((keys for keys in SPELLINGS if keys[0] in message and keys[1] in message), None)


def _turn(message: object, name: str) -> Said:
    if not isinstance(message, Mapping):
        raise ValueError(f"{name} holds {fields.shown(message)}, not a message")
    role_key, content_key = _spelling(message) or next(
        (keys for keys in SPELLINGS if keys[0] in message), SPELLINGS[0]
    )
    role = fields.text(message, role_key)
    said = _content(message.get(content_key), message)
    if said is None:
        raise ValueError(f"{content_key} is missing")
    role = ROLES.get(role.lower(), role)
    answers = (fields.maybe_text(message, key) or "" for key in ANSWERS) if role == TurnRole.TOOL else ()
    return Said(role, fields.require_storable(content_key, said), *answers)


def _content(value: object, message: Mapping[str, Any]) -> str | None:
    """The text of a message's content; its calls of tools where it has no other; None for nothing."""
    said = _parts(value) if isinstance(value, list) else value
    if said is not None and not isinstance(said, str):
        raise ValueError(f"content is {fields.shown(said)}, not a text")
    calls = [message[key] for key in CALLS if message.get(key)]
    if not calls:
        return said
    told = "\n".join(json.dumps(call, ensure_ascii=False) for call in calls)
    return f"{said}\n{told}" if said else told


def _parts(parts: Sequence[object]) -> str:
    """The texts of a content's parts, one a line. Raises ValueError for a part that is no text."""
    found = []
    for part in parts:
        text = part.get("text", part.get("value")) if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            kind = part.get("type") if isinstance(part, Mapping) else part
            raise ValueError(f"content has a part {fields.shown(kind)}, and only texts can be judged")
        found.append(text)
    return "\n".join(found)


def history(value: object, name: str = "history") -> Turns:
    """The turns of a history of pairs [question, answer]; empty where the value is missing."""
    if not value:
        return []
    if not isinstance(value, list) or not all(isinstance(each, list) and len(each) == 2 for each in value):
        raise ValueError(f"{name} is {fields.shown(value)}, not a list of question and answer")
    return [
        Said(role, fields.text({name: said}, name, default=""))
        for pair in value
        for role, said in zip(("user", "assistant"), pair, strict=True)
    ]


def led(system: str | None, before: Turns, asked: Turns) -> Turns:
    """A prompt with its system text and its earlier turns in front."""
    front = [Said("system", system)] if system and system.strip() else []
    front += before
    return [*front, *(each._replace(role=each.role or "user") for each in asked)] if front else asked


def apart(prompt: Turns | None, answers: Sequence[Turns]) -> tuple[Turns, list[Turns]]:
    """The prompt, and the turns of each answer that do not repeat it.

    Where every answer begins with the prompt, or there is no prompt, the leading turns that the answers share
    are the prompt. Raises ValueError where there is no prompt and the answers share none, as plain texts do,
    or one has no turn of its own.
    """
    shared = _shared(answers)
    shortest = min(map(len, answers))
    if prompt is None:
        if shared == 0:
            raise ValueError("there is no prompt, and chosen and rejected share no turn")
        if shared == shortest:
            raise ValueError("chosen and rejected do not differ in what follows their shared turns")
        return answers[0][:shared], [each[shared:] for each in answers]
    repeated = [_repeated(prompt, each) for each in answers]
    if all(repeated) and shared >= max(repeated):
        shared = min(shared, shortest - 1)
        return answers[0][:shared], [each[shared:] for each in answers]
    return prompt, [each[end:] for end, each in zip(repeated, answers, strict=True)]


def _shared(answers: Sequence[Turns]) -> int:
    """How many leading turns all answers have in common."""
    shared = 0
    while shared < min(map(len, answers)) and len({each[shared] for each in answers}) == 1:
        shared += 1
    return shared


def _repeated(prompt: Turns, answer: Turns) -> int:
    """How many leading turns of an answer are the prompt, or a system text and the prompt; 0 if none."""
    for end in range(len(prompt), len(answer)):
        front, same = answer[: end - len(prompt)], answer[end - len(prompt) : end]
        if any(each.role != "system" for each in front):
            return 0
        if prompt and all(map(_alike, prompt, same)):
            return end
    return 0


def _alike(asked: Said, said: Said) -> bool:
    """Whether two turns are one. A prompt that is a plain text has no role."""
    return asked.text.strip() == said.text.strip() and said.role == (asked.role or "user")


class Prompted(NamedTuple):
    """What a prompt asks, as rows say it: a text and its input, or turns with their transcript."""

    instruction: str
    input: str
    turns: tuple[Turn, ...]


def prompted(said: Turns, input: str = "") -> Prompted:
    """What the turns of a prompt ask. One turn of the user, or a plain text, is flat.

    An empty text of the system says nothing and is left out. Beside a conversation, the input is the end of
    the last turn. Raises ValueError where there is no turn, a role is unknown, the last turn is empty, or an
    input follows a turn that is not the user's.
    """
    spoken = [each for each in said if each.role != TurnRole.SYSTEM or each.text.strip()]
    if not spoken:
        raise ValueError("prompt has no message")
    last = spoken[-1]
    if len(spoken) == 1 and last.role in ("", TurnRole.USER):
        return Prompted(last.text, input, ())
    if input and last.role != TurnRole.USER:
        raise ValueError(f"an input stands beside a conversation that ends with a turn of the {last.role}")
    spoken[-1] = last._replace(text=f"{last.text}\n\n{input}" if input else last.text)
    kept = tuple(map(_known, spoken))
    if not kept[-1].content.strip():
        raise ValueError("the last turn of the prompt is empty")
    return Prompted(transcript(kept), "", kept)


def _known(said: Said) -> Turn:
    if said.role not in set(TurnRole):
        raise ValueError(f"a turn has the role {fields.shown(said.role)}, not {', '.join(TurnRole)}")
    return said.turn._replace(role=TurnRole(said.role))


def text_of(said: Turns, name: str) -> str:
    """An output as one text: the transcript of several turns. Raises ValueError where it has no turn."""
    if not said:
        raise ValueError(f"{name} has no message")
    return said[0].text if len(said) == 1 else transcript([each.turn for each in said])


def turns_of(said: Turns) -> tuple[Turn, ...]:
    """The turns that an output keeps beside its text: several, each of a known role; else none."""
    known = len(said) > 1 and all(each.role in set(TurnRole) for each in said)
    return tuple(_known(each) for each in said) if known else ()


def messages(said: Turns) -> list[dict[str, str]]:
    """Turns as messages of role and content, and of a tool its name and the call."""
    return [each.turn.message for each in said]
