"""The turns of a conversation: of an instruction, or of an output that has several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from db.ids import canonical_json


class TurnRole(StrEnum):
    """Who speaks in a turn of a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Turn(NamedTuple):
    """One message of a conversation. Calls of tools stand in the content, as text."""

    role: TurnRole
    content: str
    name: str = ""  # of the tool that answers
    call_id: str = ""  # of the call that a tool answers

    @property
    def tool(self) -> str:
        """Which tool answers which call, such as "search, call_1"; empty where neither is known."""
        return ", ".join(filter(None, (self.name, self.call_id)))

    @property
    def speaker(self) -> str:
        """The role, such as "User", and in brackets which tool answers which call."""
        return self.role.capitalize() + (f" ({self.tool})" if self.tool else "")

    @property
    def message(self) -> dict[str, str]:
        """The turn as chat templates and servers take it: role, content, name and tool_call_id."""
        named = {"name": self.name, "tool_call_id": self.call_id}
        return {"role": str(self.role), "content": self.content} | {k: v for k, v in named.items() if v}


def transcript(turns: Sequence[Turn]) -> str:
    """Turns as one text with a paragraph "Role: content" for each."""
    return "\n\n".join(f"{turn.speaker}: {turn.content}" for turn in turns)


def turns_to_json(turns: Sequence[Turn]) -> str:
    """Turns as canonical JSON: a list of messages. No turns are an empty text."""
    return canonical_json([turn.message for turn in turns]) if turns else ""


def turns_from_json(text: str) -> tuple[Turn, ...]:
    """The turns that `turns_to_json` wrote."""
    if not text:
        return ()
    said = json.loads(text)
    return tuple(
        Turn(TurnRole(each["role"]), each["content"], each.get("name", ""), each.get("tool_call_id", ""))
        for each in said
    )
