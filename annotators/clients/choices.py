"""A completion object, as servers write it -> a Sending: the answer, the thinking, the end, the bill.

A reply is whole only where it ends as a whole reply does: by itself, or without a word of its end. What broke
off for any other reason is a failure, whatever its text says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum

from annotators.clients.request import Request, encodable
from annotators.clients.sending import Sending, failed, is_unicode, one_line, repaired, shown
from annotators.clients.spelling import Positions, answer_logprobs, listed_positions
from annotators.clients.statuses import body_failure, error_message
from annotators.clients.thinking import Spoken, message_of
from annotators.prices import Usage

CUT_THINKING = "cut while it was thinking, before any answer"


class End(StrEnum):
    """How a reply ended."""

    WHOLE = "whole"
    CUT = "length"
    FILTERED = "content_filter"
    REFUSED = "refusal"
    TOOL = "tool_calls"
    OTHER = "unfinished"


_ENDS: Mapping[End, str] = {
    End.WHOLE: "stop end eos eos_token end_turn end_of_turn eot stop_sequence stop_token stop_str complete "
    "completed finish finished done",
    End.CUT: "length max_tokens max_output_tokens max_completion_tokens max_new_tokens max_length "
    "model_length token_limit",
    End.FILTERED: "content_filter content_filtered safety recitation prohibited_content blocklist spii "
    "sensitive moderation guardrail_intervened",
    End.REFUSED: "refusal",
    End.TOOL: "tool_calls tool_call tool_use function_call",
}
_BY_NAME = {name: end for end, names in _ENDS.items() for name in names.split()}


def read_completion(request: Request, data: object) -> Sending:
    """Read a completion object, which is parsed JSON already. The Batch API gives such objects."""
    if not isinstance(data, dict):
        return failed("wrong_shape", shown(data))
    choices = data.get("choices")
    usage = _usage(data.get("usage"))
    model = one_line(data["model"]) if isinstance(data.get("model"), str) else None
    if data.get("error"):
        name, words = body_failure(data["error"])
        return Sending(failure=name, detail=one_line(words or shown(data)), usage=usage, model=model)
    if not isinstance(choices, list):
        return failed("wrong_shape", shown(data))
    if not choices:
        return Sending(failure="no_choices", usage=usage, model=model)
    choice = choices[0]
    message = _message(request, choice) if isinstance(choice, dict) else None
    said = message_of(message.get("content"), message) if isinstance(message, dict) else None
    if not isinstance(message, dict) or said is None:
        return Sending(failure="wrong_shape", detail=one_line(shown(choice)), usage=usage, model=model)
    logprobs = answer_logprobs(listed_positions(choice.get("logprobs")), said.answer, request.decoding.stop)
    failure, detail = _unusable(request, choice, message, said=said)
    if usage and not usage.completion and (said.answer + said.thinking).strip():
        usage = None  # no text is made of no tokens: the bill will say otherwise
    warnings = _warnings(request, said, choice, logprobs=logprobs)
    outside = {
        "several_choices": len(choices) > 1,
        "other_model": model is not None and not _same_model(request.model, model),
    }
    return Sending(
        failure=failure,
        detail=one_line(detail),
        text=repaired(said.answer),
        thinking=repaired(said.thinking),
        finish_reason=_finish(choice) or None,
        model=model,
        top_logprobs=logprobs,
        usage=usage,
        warnings=tuple(
            name for name, seen in {**outside, **warnings, "usage_missing": usage is None}.items() if seen
        ),
    )


def _message(request: Request, choice: Mapping[str, object]) -> object:
    """The message of a choice, in the form of the chat API. The completions API gives a text alone."""
    return {"content": choice["text"]} if request.prompt and "text" in choice else choice.get("message")


def _finish(choice: Mapping[str, object]) -> str:
    """The server's word for the end; empty where it says none."""
    value = choice.get("finish_reason")
    if isinstance(value, Mapping):
        value = value.get("type") or value.get("reason")
    return "" if value is None else encodable(value if isinstance(value, str) else shown(value))


def end_of(finish: str) -> End:
    """How a reply ended, by the server's word for it. Without a word it is whole."""
    name = re.sub(r"[\s-]+", "_", finish.strip().casefold())
    return _BY_NAME.get(name, End.OTHER) if name else End.WHOLE


def _unusable(
    request: Request, choice: Mapping[str, object], message: Mapping[str, object], said: Spoken
) -> tuple[str | None, str]:
    """The name and the detail of what makes a well-formed choice unusable; None where nothing does."""
    finish = _finish(choice)
    end = end_of(finish)
    if choice.get("error") or finish == "error":
        return "error_body", error_message(
            choice.get("error")
        ) or "the server says `error` as the reply's end"
    if message.get("refusal"):
        return "refusal", str(message["refusal"])
    if message.get("tool_calls"):
        return "tool_calls", ""
    if end not in (End.WHOLE, End.CUT):
        return end.value, finish if end is End.OTHER else ""
    answered = bool(said.answer.strip())
    whole = answered and (request.decoding.max_tokens == 1 or request.decoding.wants_logprobs)
    if end is End.CUT and not whole:  # a reply of one token, or read by its first token, is complete
        return "length", "" if answered or not said.thinking else CUT_THINKING
    if not answered and not said.thinking:
        return "null_content" if message.get("content") is None else "empty_text", ""
    if "\0" in said.answer:
        return "nul", ""
    return (None if is_unicode(said.answer) else "lone_surrogate"), ""


def _warnings(
    request: Request, said: Spoken, choice: Mapping[str, object], logprobs: Positions
) -> dict[str, bool]:
    """What a choice tells of what the server did otherwise, by name."""
    wanted = request.decoding.response_format
    listed = bool(listed_positions(choice.get("logprobs")))
    weighed = request.decoding.wants_logprobs and not logprobs
    return {
        "only_thinking": bool(said.thinking) and not said.answer.strip(),
        "logprobs_missing": weighed and not listed,
        "logprobs_elsewhere": weighed and listed,
        "response_format_ignored": wanted is not None and not _has_format(said.answer, wanted),
    }


def _same_model(asked: str, named: str) -> bool:
    """Whether the name is the one asked for, a dated snapshot of it (gpt-4o -> gpt-4o-2024-08-06), or it
    with its default revision (served -> served@main)."""
    return re.fullmatch(re.escape(asked) + r"(-\d{4}(-\d{2}-\d{2})?|-\d{8}|@main)?", named) is not None


def _has_format(content: str, wanted: Mapping[str, object]) -> bool:
    """Whether the text is JSON of the kind that was asked for, judged by the required keys of its schema."""
    if wanted.get("type") not in ("json_object", "json_schema"):
        return True
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return False
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    required = schema.get("required") if isinstance(schema, Mapping) else None
    return isinstance(value, dict) and (not isinstance(required, list) or set(required) <= set(value))


def _usage(value: object) -> Usage | None:
    """The bill in either wording of its fields.

    Some servers leave the tokens of the thinking out of the completion and count them in the total alone.
    """
    if not isinstance(value, dict):
        return None
    prompt = _count(value.get("prompt_tokens", value.get("input_tokens")))
    completion = _count(value.get("completion_tokens", value.get("output_tokens")))
    if not prompt or completion is None:
        return None  # no prompt is 0 tokens long: a server that says so does not count them
    total = _count(value.get("total_tokens"))
    details = value.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Usage(prompt, max(completion, (total or 0) - prompt), min(cached or 0, prompt))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
