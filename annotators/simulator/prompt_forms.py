"""What a judging prompt shows and how it wants its reply, read from its text as a judge would read it.

The default extractor knows the marks of annotators/render.py, <output_A 1f2e3d4c> ... </output_A 1f2e3d4c>.
The marks of one comparison share a code. The last user message holds what is asked now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

_BLOCK = re.compile(
    r"<(?P<mark>\w{1,40}) (?P<code>[0-9a-f]{6,64})>\n(?P<text>.*?)\n</(?P=mark) (?P=code)>", re.DOTALL
)
_OUTPUT = "output_"
_BEFORE_VERDICT = r"\A|\bverdict:\s*|\"better\":\s*\"|\[\[|\b(?:best|ranking):\s*"


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
    return _comparisons(_last_of_user(messages))


def _comparisons(text: str) -> list[PromptComparison]:
    """The comparisons that a message shows."""
    found: list[PromptComparison] = []
    for texts in _blocks(text).values():
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
    for texts in _blocks(_last_of_user(messages)).values():
        if {"people_preferred", "judge_preferred"} <= texts.keys():
            asked = texts.get("instruction", ""), texts.get("input", "")
            found.append(PromptDisagreement(*asked, texts["people_preferred"], texts["judge_preferred"]))
    return found


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A pair that a prompt shows together with its verdict: the texts of the better and the worse output."""

    instruction: str
    input: str
    better: str
    worse: str


def find_examples(messages: Sequence[ChatMessage]) -> list[WorkedExample]:
    """The worked examples of a prompt: each message of the user that is answered within it.

    Of more than two outputs, or of an answer that is none of a verdict, nothing is read.
    """
    found = []
    for said, answer in pairwise(messages):
        if (said.role, answer.role) != ("user", "assistant"):
            continue
        shown = _comparisons(said.content)
        for each in shown:
            texts = {output.label: output.text for output in each.shown}
            better = _told_better(answer.content, texts, each.number if len(shown) > 1 else None)
            if better and len(texts) == 2:
                [worse] = texts.keys() - {better}
                found.append(WorkedExample(each.instruction, each.input, texts[better], texts[worse]))
    return found


def _told_better(answer: str, labels: Collection[str], number: int | None) -> str:
    """The label that an answer calls the better one; empty where it names none. number: of several pairs."""
    names = "|".join(map(re.escape, labels))
    begins = rf"\bpair\W+{number}\W+(?:[^\n]*better\W+)?" if number else _BEFORE_VERDICT
    said = re.search(rf"(?:{begins})({names})\b(?=\W*\Z|\s*>|\"|\]|\n)", answer, re.IGNORECASE)
    return said[1] if said and said[1] in labels else ""


def find_rewriting(messages: Sequence[ChatMessage]) -> tuple[str, str] | None:
    """The instruction and the input that the last user message shows to be rewritten: mark to_rewrite."""
    for texts in _blocks(_last_of_user(messages)).values():
        if "to_rewrite" in texts:
            return texts["to_rewrite"], texts.get("input", "")
    return None


def _blocks(text: str) -> dict[str, dict[str, str]]:
    """By code, the texts between the marks of a message, by the mark's name."""
    blocks: dict[str, dict[str, str]] = {}
    for block in _BLOCK.finditer(text):
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
