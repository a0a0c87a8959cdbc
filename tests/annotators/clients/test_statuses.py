"""A server's own words for a failure: a prompt that is too long, a request that is too large."""

from __future__ import annotations

import json

import pytest

from annotators.clients import Message, Request, Role
from annotators.clients.bodies import read_body
from annotators.clients.statuses import classify_status

PLAIN = Request("judge", (Message(Role.USER, "Which?"),))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it"),
        (500, "the request exceeds the available context size. try increasing the context size"),
        (400, "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        (400, "Requested token count exceeds the model's maximum context length of 4096 tokens."),
        (400, "input length exceeds maximum context length"),
        (400, "Trying to keep the first 4390 tokens when context the overflows. However, the model is loaded "
         "with context length of only 4096 tokens"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
        (400, "This model's maximum prompt length is 131072 but the request contains 200000 tokens."),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"),
        (422, "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"),
        (400, "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"),
        (400, "Input is too long for requested model."),
        (413, "Please reduce the length of the messages or completion."),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_in_the_words_of_other_servers(status: int, message: str) -> None:
    body = json.dumps({"error": {"message": message}}).encode()
    assert classify_status(status, body)[0] == "context_length"
    assert read_body(PLAIN, body).failure == "context_length"


def test_a_prompt_that_is_too_long_by_the_type_of_the_error_alone() -> None:
    error = {"code": 400, "message": "no", "type": "exceed_context_size_error", "n_ctx": 4096}
    assert classify_status(400, json.dumps({"error": error}).encode())[0] == "context_length"


@pytest.mark.parametrize(
    ("status", "message", "name"),
    [
        (429, "Request too large for m on tokens per min (TPM): Limit 30000, Requested 31538.", "too_large"),
        (429, "Rate limit reached for m on TPM: Limit 30000, Used 29000, Requested 1538.", "rate_limited"),
        (
            429,
            "Rate limit reached: Limit 6,000, Requested 7,200, please reduce your message size",
            "too_large",
        ),
        (429, "The input or output tokens must be reduced in order to run successfully.", "too_large"),
        (429, "Too many requests", "rate_limited"),
        (413, "Request Entity Too Large", "too_large"),
        (400, "stop must be a string", "bad_request"),
        (400, "Unsupported parameter: 'max_tokens' is not supported with this model.", "bad_request"),
    ],
)
def test_a_request_that_can_never_succeed_has_a_name_of_its_own(status: int, message: str, name: str) -> None:
    assert classify_status(status, json.dumps({"error": {"message": message}}).encode())[0] == name
