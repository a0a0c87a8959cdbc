"""What a judging prompt shows and how it wants its reply, read from its text as a judge would read it.

The default extractor knows the marks of annotators/render.py, <output_A 1f2e3d4c> ... </output_A 1f2e3d4c>.
The marks of one comparison share a code. The last user message holds what is asked now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_BLOCK = re.compile(
    r"<(?P<mark>\w{1,40}) (?P<code>[0-9a-f]{6,64})>\n(?P<text>.*?)\n</(?P=mark) (?P=code)>", re.DOTALL
)
_OUTPUT = "output_"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat, as the server received it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ShownOutput:
    """One output as the prompt shows it. label: its name in a verdict."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptComparison:
    """One comparison in a prompt. number: from 1."""

    shown: tuple[ShownOutput, ...]
    instruction: str = ""
    input: str = ""
    number: int = 1


Extractor = Callable[[Sequence[ChatMessage]], Sequence[PromptComparison]]
"""messages -> the comparisons they ask for, in order; empty where they ask for none."""


def find_questions(messages: Sequence[ChatMessage]) -> Sequence[PromptComparison]:
    """The comparisons that the last user message asks for."""
    found: list[PromptComparison] = []
    for texts in _blocks(messages).values():
        outputs = {mark: text for mark, text in texts.items() if mark.startswith(_OUTPUT)}
        shown = tuple(ShownOutput(mark.removeprefix(_OUTPUT), text) for mark, text in outputs.items())
        if shown:
            rest = texts.get("instruction", ""), texts.get("input", "")
            found.append(PromptComparison(shown, *rest, number=len(found) + 1))
    return found


@dataclass(frozen=True, slots=True)
class PromptDisagreement:
    """A pair on which people and a judge differ, as a prompt shows it: the texts that each prefers."""

    instruction: str
    input: str
    people: str
    judge: str


def find_disagreements(messages: Sequence[ChatMessage]) -> list[PromptDisagreement]:
    """The disagreements that the last user message shows: marks people_preferred and judge_preferred."""
    found = []
    for texts in _blocks(messages).values():
        if {"people_preferred", "judge_preferred"} <= texts.keys():
            asked = texts.get("instruction", ""), texts.get("input", "")
            found.append(PromptDisagreement(*asked, texts["people_preferred"], texts["judge_preferred"]))
    return found


def _blocks(messages: Sequence[ChatMessage]) -> dict[str, dict[str, str]]:
    """By code, the texts between the marks of the last user message, by the mark's name."""
    blocks: dict[str, dict[str, str]] = {}
    for block in _BLOCK.finditer(_last_of_user(messages)):
        blocks.setdefault(block["code"], {})[block["mark"]] = block["text"]
    return blocks


def orders(messages: Sequence[ChatMessage]) -> str:
    """What the prompt itself says: its text without worked examples and what stands between marks."""
    system = "\n".join(said.content for said in messages if said.role != "user" and said.role != "assistant")
    return f"{system}\n{_BLOCK.sub('', _last_of_user(messages))}"


def standing(messages: Sequence[ChatMessage]) -> str:
    """All messages before the last one of the user, which holds the question."""
    last = max((place for place, said in enumerate(messages) if said.role == "user"), default=0)
    return "\n".join(f"{said.role}: {said.content}" for said in messages[:last])


def _last_of_user(messages: Sequence[ChatMessage]) -> str:
    return next((said.content for said in reversed(messages) if said.role == "user"), "")
