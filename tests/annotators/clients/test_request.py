"""A request's identity and its body on the wire."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators import clients
from annotators.clients import Message, Reply, Request, RequestDecoding, Role
from annotators.clients.request import encodable
from db.errors import ConfigError

BASE = Request(
    "judge",
    (Message(Role.SYSTEM, "Compare."), Message(Role.USER, "One and two.")),
    RequestDecoding(temperature=0.5, top_p=0.9, max_tokens=5, seed=3, stop=("\n",), top_logprobs=5),
)

CHANGES = {
    "model": replace(BASE, model="other"),
    "message": replace(BASE, messages=(BASE.messages[0], Message(Role.USER, "Two and one."))),
    "role": replace(BASE, messages=(Message(Role.USER, "Compare."), BASE.messages[1])),
    "fewer messages": replace(BASE, messages=BASE.messages[1:]),
    "replicate": replace(BASE, replicate=1),
    "endpoint": replace(BASE, endpoint="http://127.0.0.1:8000/v1"),
    "prompt": replace(BASE, prompt=(1, 17)),
    "temperature": replace(BASE, decoding=replace(BASE.decoding, temperature=0.6)),
    "no temperature": replace(BASE, decoding=replace(BASE.decoding, temperature=None)),
    "top_p": replace(BASE, decoding=replace(BASE.decoding, top_p=0.8)),
    "max_tokens": replace(BASE, decoding=replace(BASE.decoding, max_tokens=6)),
    "seed": replace(BASE, decoding=replace(BASE.decoding, seed=4)),
    "stop": replace(BASE, decoding=replace(BASE.decoding, stop=())),
    "logprobs": replace(BASE, decoding=replace(BASE.decoding, top_logprobs=None)),
    "top_logprobs": replace(BASE, decoding=replace(BASE.decoding, top_logprobs=6)),
    "format": replace(BASE, decoding=replace(BASE.decoding, response_format={"type": "json_object"})),
    "extra": replace(BASE, decoding=replace(BASE.decoding, extra={"reasoning_effort": "low"})),
}


def test_every_thing_that_can_change_the_reply_changes_the_key() -> None:
    keys = {BASE.key, *(changed.key for changed in CHANGES.values())}
    assert len(keys) == len(CHANGES) + 1


def test_the_key_is_this_hash_of_this_text_in_every_process() -> None:
    text = (
        'preference-farm/1/request\n["","judge",[["system","Compare."],["user","One and two."]],'
        '{"logprobs":true,"max_tokens":5,"seed":3,"stop":["\\n"],"temperature":0.5,"top_logprobs":5,'
        '"top_p":0.9},0]'
    )
    assert BASE.key == hashlib.sha256(text.encode()).hexdigest()[:32]


def test_the_body_is_what_the_api_reads() -> None:
    assert BASE.body() == {
        "model": "judge",
        "messages": [
            {"role": "system", "content": "Compare."},
            {"role": "user", "content": "One and two."},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 5,
        "seed": 3,
        "stop": ["\n"],
        "logprobs": True,
        "top_logprobs": 5,
    }


def test_what_is_left_open_is_not_sent() -> None:
    assert set(Request("judge", BASE.messages).body()) == {"model", "messages"}


def test_a_replicate_is_drawn_with_a_seed_of_its_own() -> None:
    seeds = [replace(BASE, replicate=replicate).body()["seed"] for replicate in range(3)]
    assert seeds == [3, 4, 5]
    unseeded = Request("judge", BASE.messages)
    assert [replace(unseeded, replicate=replicate).body().get("seed") for replicate in range(3)] == [
        None,
        1,
        2,
    ]


def test_the_longest_reply_goes_by_the_name_the_server_knows() -> None:
    body = BASE.body("max_completion_tokens")
    assert body["max_completion_tokens"] == 5
    assert "max_tokens" not in body


@pytest.mark.parametrize("name", ["n", "stream", "model", "temperature", "max_completion_tokens"])
def test_extra_fields_cannot_overrule_our_own(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        RequestDecoding(extra={name: 2})


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_sent_and_hashed(text: str) -> None:
    request = Request("judge", (Message(Role.USER, text),))
    sent = json.loads(request.body_bytes())["messages"][0]["content"]
    assert sent == encodable(text)
    assert len(request.key) == 32


@given(st.text())
def test_valid_text_is_sent_as_it_is(text: str) -> None:
    assert encodable(text) == text


def test_lone_surrogates_are_replaced_and_pairs_joined() -> None:
    assert encodable("a\ud83db") == "a\ufffdb"
    assert encodable("\ud83d\ude00") == "\U0001f600"


@pytest.mark.parametrize(("old", "new"), [("Completion", Reply), ("Decoding", RequestDecoding)])
def test_an_old_name_still_works_for_a_release(old: str, new: type) -> None:
    with pytest.warns(DeprecationWarning, match=new.__name__):
        assert getattr(clients, old) is new
    assert not hasattr(clients, "Nothing")
