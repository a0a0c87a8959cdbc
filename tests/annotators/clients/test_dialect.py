"""A server's refusal of a field, in the words of many servers, tells what the next sending leaves out."""

from __future__ import annotations

import json

import pytest

from annotators.clients import Message, Request, RequestDecoding, Role, Usage
from annotators.clients.batch_lines import request_line
from annotators.clients.cut_prompts import was_cut
from annotators.clients.dialect import FIELDS, Dialect
from annotators.clients.sending import WARNINGS, failed
from annotators.clients.statuses import classify_status
from db.errors import ConfigError

DECODING = RequestDecoding(
    temperature=0.0,
    top_p=0.9,
    max_tokens=20,
    seed=1,
    stop=("\n",),
    top_logprobs=5,
    response_format={"type": "json_object"},
    extra={"reasoning_effort": "low", "top_k": 3},
)
SAID = (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Which?"))
ASKED = Request("judge", SAID, DECODING)


def refused(message: str, status: int = 400, dialect: Dialect | None = None) -> tuple[str, Dialect] | None:
    body = json.dumps({"error": {"message": message}}).encode()
    return (dialect or Dialect()).heeding(ASKED, failed(*classify_status(status, body)))


@pytest.mark.parametrize(
    ("field", "status", "message"),
    [
        ("temperature", 400, "Unsupported value: 'temperature' does not support 0 with this model."),
        ("temperature", 400, "`temperature` may only be set to 1 when thinking is enabled."),
        ("temperature", 422, "Input validation error: `temperature` must be strictly positive"),
        ("top_p", 400, "`top_p` cannot be specified for this model"),
        ("seed", 400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'),
        (
            "seed",
            422,
            '{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}',
        ),
        ("seed", 400, "property 'seed' is unsupported"),
        ("stop", 400, "'stop' is not supported with this model."),
        ("logprobs", 400, "This model does not support logprobs"),
        ("logprobs", 403, "You are not allowed to request logprobs from this model"),
        ("logprobs", 400, "top_logprobs must be at most 4"),
        ("response_format", 400, "JSON mode is not supported by this model"),
        ("response_format", 400, "'response_format.type' must be 'json_schema' or 'text'"),
        ("system", 400, "Developer instruction is not enabled for models/gemma-3"),
        ("system", 400, "'messages[0].role' does not support 'system' with this model."),
        ("system", 500, "Value is not callable: System role not supported at row 1"),
        ("extra", 400, "Unrecognized request argument supplied: reasoning_effort"),
        ("extra", 400, "Argument not supported on this model: reasoningEffort"),
        ("single replies", 400, "This model only support stream mode, please enable the stream parameter"),
        ("max_tokens", 400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
def test_a_field_that_a_server_refuses(field: str, status: int, message: str) -> None:
    found = refused(message, status)
    assert found is not None
    assert found[0] == field
    before, after = Dialect().body(ASKED), found[1].body(ASKED)
    assert before != after
    assert refused(message, status, found[1]) is None  # it is heeded once


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Your organization must be verified."),
        (400, "max_tokens must be at least 16"),
        (400, "max_tokens is too large: 20. This model supports at most 10 completion tokens."),
        (400, "This model's maximum context length is 10 tokens; the seed is invalid."),
        (429, "temperature is unsupported"),
        (500, "temperature is unsupported"),
        (400, "The temperature outside is 20 degrees."),
    ],
)
def test_other_refusals_tell_nothing_of_fields(status: int, message: str) -> None:
    assert refused(message, status) is None


def test_the_system_text_goes_into_the_users_message() -> None:
    found = refused("System role not supported")
    assert found is not None
    assert found[1].body(ASKED)["messages"] == [{"role": "user", "content": "Be brief.\n\nWhich?"}]


def test_the_other_name_of_the_longest_reply_is_tried_once() -> None:
    first = refused("Unsupported parameter: 'max_tokens' is not supported.")
    assert first is not None
    assert first[1].body(ASKED)["max_completion_tokens"] == 20
    assert refused("Unknown parameter: 'max_completion_tokens'.", dialect=first[1]) is None


def test_what_is_not_sent_is_a_warning_and_the_identity_stays() -> None:
    bare = Dialect(without=frozenset(FIELDS))
    assert set(bare.body(ASKED)) == {"model", "messages", "max_tokens"}
    assert bare.lost(ASKED) == tuple(f"without_{name}" for name in FIELDS)
    assert set(bare.lost(ASKED)) <= set(WARNINGS)
    assert bare.lost(Request("judge", SAID[1:])) == ()  # nothing was asked for, nothing is lost
    with pytest.raises(ConfigError, match="no field 'colour' can be left out"):
        Dialect(without=frozenset({"colour"}))


def test_the_name_of_the_longest_reply_can_be_chosen_and_is_no_part_of_the_identity() -> None:
    chosen = Request("judge", SAID, RequestDecoding(max_tokens=5, max_tokens_field="max_completion_tokens"))
    assert Dialect().body(chosen)["max_completion_tokens"] == 5
    assert chosen.key == Request("judge", SAID, RequestDecoding(max_tokens=5)).key


@pytest.mark.parametrize(
    ("words", "counted", "cut"),
    [(3000, 64, True), (3000, 2048, True), (3000, 3600, False), (3000, 2700, False), (100, 40, False)],
)
def test_a_prompt_was_cut_where_the_server_counts_far_fewer_tokens_than_words(
    words: int, counted: int, cut: bool
) -> None:
    asked = Request("judge", (Message(Role.USER, "word " * words),))
    assert was_cut(asked, Usage(counted, 1)) is cut
    assert not was_cut(asked, None)
    assert not was_cut(Request("judge", (Message(Role.USER, "слово " * words),)), Usage(counted, 1))


def test_the_lines_of_a_batch_lack_the_same_fields() -> None:
    line = json.loads(request_line(ASKED, Dialect(without=frozenset({"temperature", "system"}))))
    assert "temperature" not in line["body"]
    assert [each["role"] for each in line["body"]["messages"]] == ["user"]
