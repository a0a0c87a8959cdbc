"""The body of a response of status 200: JSON, or the events of a stream that nobody asked for.

A status of 200 proves nothing: proxies answer with HTML, and some servers stream whatever is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from annotators.clients.choices import read_completion
from annotators.clients.cut_prompts import least_tokens, was_cut
from annotators.clients.request import Request
from annotators.clients.sending import MAX_BODY, Sending, decoded, failed

CUT_PROMPT = "prompt_cut"
_TEXTS = ("content", "reasoning_content", "reasoning", "thinking", "refusal", "text")


def read_body(request: Request, body: bytes) -> Sending:
    """Read the body of a response of status 200."""
    if len(body) > MAX_BODY:
        return failed("oversized", f"more than {MAX_BODY} bytes")
    text = body.strip()
    if not text:
        return failed("empty_body")
    if text.startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return _read_events(request, text)
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        return failed("html" if text[:1] == b"<" else "invalid_json", decoded(text))
    return _unless_cut(request, read_completion(request, data))


def _unless_cut(request: Request, sending: Sending) -> Sending:
    """The reply; a failure where the server read only a part of the prompt."""
    if sending.failure is not None or not was_cut(request, sending.usage):
        return sending
    read = sending.usage.prompt if sending.usage else 0
    said = f"the server read {read} tokens of a prompt of {least_tokens(request)} words or more"
    return replace(sending, failure=CUT_PROMPT, detail=said)


def _read_events(request: Request, body: bytes) -> Sending:
    """Read server-sent events as the one completion that they spell. A stream without an end broke off."""
    whole: dict[str, object] = {}
    choice: dict[str, object] = {"finish_reason": None}
    message: dict[str, object] = {"role": "assistant", "content": None}
    ended = False
    try:
        for event in _events(body):
            ended = ended or event is None
            if isinstance(event, dict):
                _add_event(event, whole, choice, message)
    except (ValueError, RecursionError):
        return failed("invalid_json", decoded(body))
    if "error" in whole:
        return read_completion(request, whole)
    if not ended and choice["finish_reason"] is None:
        return failed("connection_lost", "the stream broke off before its end")
    key = {"text": message.pop("text")} if "text" in message else {"message": message}
    return _unless_cut(request, read_completion(request, {**whole, "choices": [{**choice, **key}]}))


def _events(body: bytes) -> Iterator[object]:
    """The data of each event, parsed; None for the mark of the end. Raises ValueError on other text."""
    for line in body.replace(b"\r", b"\n").split(b"\n"):
        data = line[5:].strip() if line.startswith(b"data:") else b""
        if data:
            yield None if data == b"[DONE]" else json.loads(data)


def _add_event(
    event: Mapping[str, object],
    whole: dict[str, object],
    choice: dict[str, object],
    message: dict[str, object],
) -> None:
    """Add one event to the completion so far."""
    whole |= {key: event[key] for key in ("model", "usage", "error") if event.get(key)}
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(first, dict) or first.get("index") not in (0, None):
        return
    choice |= {key: first[key] for key in ("finish_reason", "error") if first.get(key)}
    logprobs = first.get("logprobs")
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    if isinstance(listed, list):
        before = choice.setdefault("logprobs", {"content": []})
        before["content"] += listed  # type: ignore[index]
    delta = first.get("delta") or first.get("message") or first
    for key in _TEXTS if isinstance(delta, dict) else ():
        said = delta.get(key)
        if isinstance(said, str):
            message[key] = str(message.get(key) or "") + said
        elif isinstance(said, list):
            kept = message.get(key)
            message[key] = [*(kept if isinstance(kept, list) else []), *said]
    if isinstance(delta, dict) and delta.get("tool_calls"):
        message["tool_calls"] = delta["tool_calls"]
