"""Reading replies: every unusable one has a name, and what the server ignored is noticed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotators.clients import FAILURES, WARNINGS, Message, Request, RequestDecoding, Role, Usage
from annotators.clients.bodies import read_body
from annotators.clients.sending import MAX_BODY, MAX_DETAIL
from annotators.clients.statuses import classify_status
from annotators.simulator import FAULTS

PLAIN = Request("judge", (Message(Role.USER, "Which?"),), RequestDecoding(max_tokens=20))
WEIGHED = Request("judge", (Message(Role.USER, "Which?"),), RequestDecoding(max_tokens=1, top_logprobs=3))


def completion(content: object = "Output (a)", finish: object = "stop", **message: object) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    return {
        "model": "judge",
        "choices": [{"index": 0, "message": said, "finish_reason": finish, "logprobs": None}],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}},
    }


def read(data: object, request: Request = PLAIN) -> Any:
    return read_body(request, json.dumps(data).encode())


def test_a_good_reply() -> None:
    reply = read(completion())
    assert (reply.failure, reply.text, reply.finish_reason) == (None, "Output (a)", "stop")
    assert reply.usage == Usage(30, 4, 8)
    assert reply.warnings == ()
    assert not reply.unmetered


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"", "empty_body"),
        (b" \n ", "empty_body"),
        (b"<html>hello</html>", "html"),
        (b'{"choices": [', "invalid_json"),
        (b"\xff\xfe{", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"null", "wrong_shape"),
        (b'"text"', "wrong_shape"),
        (b"{}", "wrong_shape"),
        (b'{"choices": {}}', "wrong_shape"),
        (b'{"choices": [1]}', "wrong_shape"),
        (b'{"choices": [{"message": {"content": 5}}]}', "wrong_shape"),
        (b'{"choices": []}', "no_choices"),
        (b'{"error": {"message": "overloaded"}}', "error_body"),
        (b" " * (MAX_BODY + 1), "oversized"),
    ],
)
def test_a_body_that_is_no_completion(body: bytes, name: str) -> None:
    reply = read_body(PLAIN, body)
    assert reply.failure == name
    assert reply.unmetered


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (completion(None), "null_content"),
        (completion(""), "empty_text"),
        (completion(" \n\t"), "empty_text"),
        (completion("a\0b"), "nul"),
        (completion("a\ud83d"), "lone_surrogate"),
        (completion(None, refusal="No."), "refusal"),
        (completion("Output", "length"), "length"),
        (completion(None, "length"), "length"),
        (completion("", "content_filter"), "content_filter"),
        (completion(None, "tool_calls", tool_calls=[{}]), "tool_calls"),
    ],
)
def test_a_completion_that_is_of_no_use(data: dict[str, Any], name: str) -> None:
    reply = read(data)
    assert reply.failure == name
    assert reply.usage == Usage(30, 4, 8)  # it was paid for all the same
    assert not reply.unmetered
    reply.text.encode()  # what is kept can be stored
    assert "\0" not in reply.text


def test_a_reply_of_one_token_is_whole_although_it_was_cut() -> None:
    one = Request("judge", PLAIN.messages, RequestDecoding(max_tokens=1))
    assert read(completion("a", "length"), one).failure is None
    assert read(completion("a", "length"), WEIGHED).failure is None


def weighed(*positions: dict[str, object]) -> dict[str, Any]:
    data = completion("a", "length")
    data["choices"][0]["logprobs"] = {"content": list(positions)}
    return data


def test_log_probabilities_of_the_first_tokens() -> None:
    top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2.5}]
    reply = read(weighed({"token": "a", "logprob": -0.1, "top_logprobs": top}), WEIGHED)
    assert [(each.token, each.logprob) for each in reply.top_logprobs[0]] == [("a", -0.1), ("b", -2.5)]
    assert reply.warnings == ()


def test_the_token_that_was_drawn_is_among_the_alternatives() -> None:
    drawn = {"token": "a", "logprob": -4.0, "top_logprobs": [{"token": "c", "logprob": -0.1}]}
    assert [each.token for each in read(weighed(drawn), WEIGHED).top_logprobs[0]] == ["c", "a"]


@pytest.mark.parametrize("logprob", ["-1", None, True, 5.0, 10**400, {}])
def test_a_strange_log_probability_is_not_believed(logprob: object) -> None:
    reply = read(weighed({"token": "a", "logprob": logprob}), WEIGHED)
    assert reply.top_logprobs == ()
    assert "logprobs_missing" in reply.warnings


def test_very_unlikely_tokens_stay_finite() -> None:
    for text in ("-1e400", "-" + "9" * 400):
        body = json.dumps(weighed({"token": "a", "logprob": 0})).replace('"logprob": 0', f'"logprob": {text}')
        assert read_body(WEIGHED, body.encode()).top_logprobs[0][0].logprob == -1e9


SCHEMA = {"type": "json_schema", "json_schema": {"name": "v", "schema": {"required": ["better"]}}}


@pytest.mark.parametrize(
    ("wanted", "text", "ignored"),
    [
        ({"type": "json_object"}, '{"a": 1}', False),
        ({"type": "json_object"}, "Output (a)", True),
        ({"type": "json_object"}, "[1]", True),
        ({"type": "text"}, "Output (a)", False),
        (SCHEMA, '{"better": "a"}', False),
        (SCHEMA, '{"worse": "a"}', True),
    ],
)
def test_an_ignored_format_is_noticed(wanted: dict[str, Any], text: str, ignored: bool) -> None:
    request = Request("judge", PLAIN.messages, RequestDecoding(response_format=wanted))
    assert read(completion(text), request).warnings == (("response_format_ignored",) if ignored else ())


@pytest.mark.parametrize(
    ("named", "differs"),
    [
        ("judge", False),
        ("judge-2024-08-06", False),
        ("judge-0613", False),
        ("judge-20240806", False),
        ("judge@main", False),
        ("judge@other", True),
        ("judge-mini", True),
        ("judge2", True),
        ("another", True),
    ],
)
def test_another_model_is_noticed(named: str, differs: bool) -> None:
    reply = read({**completion(), "model": named})
    assert reply.model == named
    assert reply.warnings == (("other_model",) if differs else ())


def test_several_choices_and_a_missing_bill_are_noticed() -> None:
    data = completion()
    data["choices"] *= 2
    assert read(data).warnings == ("several_choices",)
    del data["usage"]
    reply = read(data)
    assert reply.warnings == ("several_choices", "usage_missing")
    assert reply.unmetered


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": 1e400}, [], 7]
)
def test_a_strange_bill_is_no_bill(usage: object) -> None:
    assert read({**completion(), "usage": usage}).usage is None


OPENAI = {"error": {"message": "m", "type": "t", "code": None, "param": None}}


@pytest.mark.parametrize(
    ("status", "code", "message", "name"),
    [
        (429, "rate_limit_exceeded", "slow down", "rate_limited"),
        (429, "insufficient_quota", "pay", "insufficient_quota"),
        (429, None, "You exceeded your current quota, please check", "insufficient_quota"),
        (402, None, "Insufficient Balance", "insufficient_quota"),
        (400, "billing_hard_limit_reached", "pay", "insufficient_quota"),
        (401, "invalid_api_key", "", "key_refused"),
        (403, None, "no", "forbidden"),
        (404, "model_not_found", "no", "not_found"),
        (400, "content_filter", "no", "prompt_filtered"),
        (400, "content_policy_violation", "no", "prompt_filtered"),
        (400, "context_length_exceeded", "no", "context_length"),
        (400, None, "This model's maximum context length is 8192 tokens", "context_length"),
        (400, "invalid_request", "bad", "bad_request"),
        (422, None, "bad", "bad_request"),
        (408, None, "late", "gateway_timeout"),
        (504, None, "late", "gateway_timeout"),
        (409, None, "again", "conflict"),
        (500, None, "oops", "server_error"),
        (529, "overloaded_error", "busy", "server_error"),
        (307, None, "", "redirected"),
        (204, None, "", "wrong_shape"),
    ],
)
def test_every_status_has_a_name(status: int, code: str | None, message: str, name: str) -> None:
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    assert classify_status(status, body)[0] == name


@pytest.mark.parametrize(
    "body",
    [b'{"error": "no"}', b'{"message": "no", "code": 40}', b'{"detail": "no"}', b"no", b'"no"'],
)
def test_the_servers_words_are_kept_in_whatever_shape_they_come(body: bytes) -> None:
    assert classify_status(400, body)[1] in ("HTTP 400: no", 'HTTP 400: "no"')


def test_details_are_one_short_line() -> None:
    detail = classify_status(500, b"a\r\n\x1b[31mb\0" + b"x" * 10_000)[1]
    assert detail.startswith("HTTP 500: a [31mb x")
    assert len(detail) <= MAX_DETAIL


@settings(max_examples=200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "content",
                        "usage",
                        "error",
                        "logprobs",
                        "top_logprobs",
                        "token",
                        "logprob",
                        "finish_reason",
                        "model",
                        "refusal",
                        "code",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_nothing_a_server_says_is_an_exception(data: object) -> None:
    body = json.dumps(data).encode()
    for request in (PLAIN, WEIGHED):
        reply = read_body(request, body)
        assert reply.failure is None or reply.failure in FAILURES
        assert set(reply.warnings) <= set(WARNINGS)
        reply.text.encode()
    assert classify_status(400, body)[0] in FAILURES


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_bytes_are_an_exception(body: bytes, status: int) -> None:
    assert read_body(PLAIN, body).failure in FAILURES
    assert classify_status(status, body)[0] in FAILURES


def test_every_fault_of_the_simulator_is_a_json_or_bytes_we_read() -> None:
    for name, fault in FAULTS.items():
        if name == "50_megabytes":
            continue
        reply = fault.reply(completion())
        if reply.status == 200:
            assert read_body(PLAIN, reply.body).failure in {None, *FAILURES}


@pytest.mark.parametrize(
    "finish", ["stop", "STOP", "end_turn", "eos_token", "COMPLETE", None, "", {"type": "stop"}]
)
def test_known_good_ends_are_whole(finish: object) -> None:
    assert read(completion(finish=finish)).failure is None


@pytest.mark.parametrize(
    ("finish", "name"),
    [
        ("error", "error_body"),
        ("abort", "unfinished"),
        ("cancelled", "unfinished"),
        ("insufficient_system_resource", "unfinished"),
        (7, "unfinished"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("tool_use", "tool_calls"),
    ],
)
def test_a_reply_that_broke_off_is_not_whole(finish: object, name: str) -> None:
    reply = read(completion(finish=finish))
    assert (reply.failure, reply.usage) == (name, Usage(30, 4, 8))


def test_an_error_within_a_choice_or_beside_it_is_an_error() -> None:
    within, beside = completion(), completion()
    within["choices"][0]["error"] = {"code": 502, "message": "Provider returned error"}
    beside["error"] = {"message": "Provider returned error"}
    for data in (within, beside):
        reply = read(data)
        assert (reply.failure, reply.detail) == ("error_body", "Provider returned error")
        assert not reply.unmetered


@pytest.mark.parametrize("request_", [PLAIN, WEIGHED])
def test_thinking_without_an_answer_is_no_text(request_: Request) -> None:
    whole = read(completion("<think>The better one is a.", "stop"), request_)
    assert (whole.failure, whole.text, whole.thinking) == (None, "", "The better one is a.")
    assert "only_thinking" in whole.warnings
    cut = read(completion("", "length", reasoning_content="The better one is a."), request_)
    assert (cut.failure, cut.text, cut.thinking) == ("length", "", "The better one is a.")
    assert "thinking" in cut.detail


def test_content_as_a_list_of_parts() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Output (a)"}]
    reply = read(completion(parts))
    assert (reply.failure, reply.text, reply.thinking) == (None, "Output (a)", "hm")


def test_log_probabilities_of_the_thinking_are_not_the_answers() -> None:
    data = weighed({"token": "The", "logprob": -0.1})
    reply = read(data, WEIGHED)
    assert reply.top_logprobs == ()
    assert reply.warnings == ("logprobs_elsewhere",)


def test_tokens_of_thinking_that_stand_in_the_total_alone_are_counted() -> None:
    usage = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 134}
    assert read({**completion(), "usage": usage}).usage == Usage(30, 104)
    assert read({**completion(), "usage": {"input_tokens": 3, "output_tokens": 4}}).usage == Usage(3, 4)


def events(
    *deltas: dict[str, object], end: bytes = b"data: [DONE]\n\n", finish: str | None = "stop"
) -> bytes:
    chunks: list[dict[str, Any]]
    chunks = [{"model": "judge", "choices": [{"index": 0, "delta": each}]} for each in deltas]
    chunks[-1]["choices"][0]["finish_reason"] = finish
    chunks.append({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 4}})
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + end


def test_a_stream_that_nobody_asked_for_is_read() -> None:
    reply = read_body(
        PLAIN, b": hello\n\n" + events({"reasoning_content": "hm"}, {"content": "Out"}, {"content": "put"})
    )
    assert (reply.failure, reply.text, reply.thinking) == (None, "Output", "hm")
    assert (reply.usage, reply.finish_reason, reply.warnings) == (Usage(30, 4), "stop", ())


def test_a_stream_that_broke_off_is_not_whole() -> None:
    broken = read_body(PLAIN, events({"content": "Out"}, end=b"", finish=None))
    assert broken.failure == "connection_lost"
    assert read_body(PLAIN, events({"content": "Out"}) + b'data: {"cho').failure == "invalid_json"
    failed = read_body(PLAIN, events({"content": "Out"}) + b'data: {"error": {"message": "overloaded"}}\n\n')
    assert (failed.failure, failed.detail) == ("error_body", "overloaded")
