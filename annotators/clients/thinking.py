"""What a model thinks before it answers, cut off from what it answers.

Servers give the thinking in a field of its own, in a part of the content, or within the text: between tags
that are opened and closed, opened and never closed, or closed only (the prompt opened them), or in channels.
A tag that is only mentioned (within a line, in quotes or in a code block) is part of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_NAMES = "think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad"
_NAME = rf"(?:[a-z][a-z0-9.-]{{0,20}}[:_])?(?:{_NAMES})"
_MARK = re.compile(
    rf"(?P<open><{_NAME}(?:\s[^<>\n]{{0,100}})?>|<\|(?:begin_of_|start_)?(?:{_NAMES})\|>|\[think\]|◁think▷"
    r"|<unused94>(?:thought)?|<\|channel>\s?thought)"
    rf"|(?P<close></{_NAME}\s?>|<\|(?:/|end_of_|end_)(?:{_NAMES})\|>|\[/think\]|◁/think▷|<unused95>"
    r"|<channel\|>)"
    r"|(?P<fence>^ {0,3}```)",
    re.IGNORECASE | re.MULTILINE,
)
_SOLUTION = re.compile(r"\A\s*<\|begin_of_solution\|>|<\|end_of_solution\|>\s*\Z")
_CHANNEL_MARK = re.compile(r"<\|(start|end|return|call|channel|constrain|message)\|>")
_BARE_CHANNELS = re.compile(r"\s*(?:analysis|commentary)(?=[A-Z\s\"'])")  # without their special tokens
_BARE_FINAL = "assistantfinal"
_IN_WORDS = re.compile(
    r"\s*here(?: is|'s) my thought process:(?P<thought>.*?)(?:here(?: is|'s) my response:(?P<answer>.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
_QUOTES = "`'\"\u201c\u201d"
_SHORTEST = 12  # characters between two tags within one line; fewer are a mention of the tags

FIELDS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_text")
"""The fields of a message in which servers give the thinking."""
_PARTS = frozenset(
    {"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text", "summary_text"}
)
_TEXTS = frozenset({"text", "output_text", ""})


class Spoken(NamedTuple):
    """A reply in its two parts. Both may be empty."""

    thinking: str
    answer: str


def without_thinking(text: str) -> Spoken:
    """Cut off what is thought. A text in which nothing is thought is its own answer, unchanged."""
    for cut in (_of_channels, _of_words):
        if found := cut(text):
            return found
    return _of_tags(text)


def message_of(content: object, message: Mapping[str, object]) -> Spoken | None:
    """The thinking and the answer of a message; None where its content is neither text nor parts.

    content: a text, None, or a list of parts. message: the object that may hold thinking in FIELDS.
    """
    if content is None or isinstance(content, str):
        said = without_thinking(content or "")
    elif isinstance(content, list | dict):
        parts = list(_parts(content))
        if not parts:
            return None
        inner = without_thinking("".join(text for thought, text in parts if not thought))
        said = Spoken(_joined([text for thought, text in parts if thought] + [inner.thinking]), inner.answer)
    else:
        return None
    beside = next((text for name in FIELDS if (text := _text_of(message.get(name))).strip()), "")
    beside = beside or _text_of(message.get("reasoning_details"))
    return Spoken(_joined([beside, said.thinking]), said.answer)


def _parts(content: object) -> Iterator[tuple[bool, str]]:
    """Whether each part is thought, and its text. Parts that are neither thought nor text are left out."""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield False, part
        elif isinstance(part, Mapping):
            kind = part.get("type", "")
            if kind in _PARTS or part.get("thought") is True:
                yield True, _text_of(part)
            elif kind in _TEXTS and isinstance(part.get("text"), str):
                yield False, str(part["text"])


def _text_of(value: object) -> str:
    """The text of a thinking part or field: a text, a list of such, or an object that holds one."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_text_of(each) for each in value[:1000])
    if isinstance(value, Mapping):
        inner = (value.get(key) for key in ("thinking", "text", "reasoning", "summary", "content"))
        return next(
            (text for each in inner if not isinstance(each, Mapping) and (text := _text_of(each))), ""
        )
    return ""


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(each.strip() for each in thoughts if each.strip())


def _of_tags(text: str) -> Spoken:
    """Cut off what stands between tags, from an unclosed tag on, and up to a tag that only closes."""
    thoughts: list[str] = []
    answers: list[str] = []
    at, thinking, cut, end = 0, False, False, len(text.rstrip())
    for mark in _real_marks(text):
        if mark["open"] and thinking:
            continue  # a tag that the thinking mentions
        before = text[at : mark.start()]
        if mark["open"]:
            answers.append(before)
            thinking = True
        elif thinking:
            thoughts.append(before)
            thinking = False
        elif cut and mark.end() >= end:
            answers.append(before)  # one closing tag too many, at the end
        else:
            thoughts += [*answers, before]
            answers = []
        at, cut = mark.end(), True
    (thoughts if thinking else answers).append(text[at:])
    if not cut:
        return Spoken("", text)
    return Spoken(_joined(thoughts), _SOLUTION.sub("", "".join(answers)).strip())


def _real_marks(text: str) -> Iterator[re.Match[str]]:
    """The opening and closing tags that are no mention."""
    marks = list(_MARK.finditer(text))
    in_code = thinking = False
    mentioned = -1  # the place of a closing tag that belongs to a mention
    for place, mark in enumerate(marks):
        if mark["fence"]:
            in_code = in_code != (not thinking)
            continue
        if place == mentioned or _is_quoted(text, mark) or (in_code and not thinking):
            continue
        if mark["open"] and not thinking and _within_line(text, mark):
            after = marks[place + 1] if place + 1 < len(marks) else None
            inner = text[mark.end() : after.start() if after else len(text)]
            if after is None or not after["close"]:
                if inner[:1] != "\n":
                    continue
            elif "\n" not in inner and len(inner.strip()) <= _SHORTEST:
                mentioned = place + 1
                continue
        thinking = bool(mark["open"])
        yield mark


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    before, after = text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1]
    return bool(before) and bool(after) and before in _QUOTES and after in _QUOTES


def _within_line(text: str, mark: re.Match[str]) -> bool:
    """Whether there is text before the mark on its line, as far as 100 characters tell."""
    return bool(text[max(0, mark.start() - 100) : mark.start()].rpartition("\n")[2].strip())


def _of_channels(text: str) -> Spoken | None:
    """The channels of the harmony format: `final` is the answer. None where there are none."""
    if "<|message|>" in text:
        return _of_marked_channels(text)
    if bare := _BARE_CHANNELS.match(text):
        thought, final, answer = text[bare.end() :].rpartition(_BARE_FINAL)
        if final:
            return Spoken(thought.strip(), answer.strip())
        if bare[0].startswith("analysis") and text[bare.end() : bare.end() + 1].isupper():
            return Spoken(text[bare.end() :].strip(), "")
    return None


def _of_marked_channels(text: str) -> Spoken:
    """A header names the channel of the message after it. What begins without a header is thought."""
    said: dict[bool, list[str]] = {True: [], False: []}  # whether it is the answer -> messages
    first, *rest = _CHANNEL_MARK.split(text)
    channel = "" if rest[0] in ("end", "start", "return", "call") else first
    said[False].append("" if channel else first)
    for mark, part in zip(rest[::2], rest[1::2], strict=True):
        if mark == "message":
            said[channel.split()[:1] in (["final"], [])].append(part)
        elif mark != "constrain":
            channel = part if mark == "channel" else ""
    return Spoken(_joined(said[False]), "".join(said[True]).strip())


def _of_words(text: str) -> Spoken | None:
    """A thought process that is announced in words, as one family of models does."""
    found = _IN_WORDS.match(text)
    return found and Spoken(found["thought"].strip(), (found["answer"] or "").strip())
