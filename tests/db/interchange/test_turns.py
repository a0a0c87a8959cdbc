"""Conversations in every spelling become the same turns, and an answer never holds its prompt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db.interchange.turns import Turns, apart, history, led, prompted, text_of, turns

HELLO = [("user", "Say hi."), ("assistant", "hi")]


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "hi"}],
        [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "hi"}],
        {"messages": [{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "hi"}]},
        [
            {"role": "user", "content": [{"type": "text", "text": "Say hi."}]},
            {"role": "assistant", "content": [{"type": "text", "value": "hi"}]},
        ],
        [{"role": "user", "content": ["Say hi."]}, {"role": "assistant", "content": "hi"}],
        json.dumps([{"role": "user", "content": "Say hi."}, {"role": "assistant", "content": "hi"}]),
        "[{'role': 'user', 'content': 'Say hi.'}, {'role': 'assistant', 'content': 'hi'}]",
    ],
)
def test_every_spelling_of_a_conversation_is_read(value: Any) -> None:
    assert list(turns(value, "prompt")) == HELLO


@pytest.mark.parametrize("value", ["Say hi.", '[{"name": "Bo"}]', "[1, 2]", "[{", '[{"role": 1}]'])
def test_a_text_is_a_text_even_where_it_looks_like_json(value: str) -> None:
    assert list(turns(value, "prompt")) == [("", value)]


def test_calls_of_tools_are_the_text_of_a_message_without_another() -> None:
    call = {"id": "1", "function": {"name": "add", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    answered = {"role": "tool", "content": "2"}
    assert list(turns([asked, answered], "x")) == [("assistant", json.dumps([call])), ("tool", "2")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, "prompt is 3, neither a text nor a list of messages"),
        ([3], "prompt holds 3, not a message"),
        ([{"role": "user"}], "content is missing"),
        ([{"content": "x"}], "role is missing"),
        ([{"role": "user", "content": 3}], "content is 3, not a text"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            "content has a part 'image_url', and only texts can be judged",
        ),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_reason(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        turns(value, "prompt")


def answered(*said: str, system: str = "") -> Turns:
    front = [("system", system)] if system else []
    return front + [(("user", "assistant")[place % 2], text) for place, text in enumerate(said)]


def test_turns_that_repeat_the_prompt_are_no_output() -> None:
    asked = [("", "Say hi.")]
    answers = [answered("Say hi. ", "hi"), answered("Say hi. ", "no")]
    assert apart(asked, answers) == ([("user", "Say hi. ")], [[("assistant", "hi")], [("assistant", "no")]])
    assert apart(asked, [answered("Say hi.", "hi"), [("assistant", "no")]]) == (
        asked,
        [[("assistant", "hi")], [("assistant", "no")]],
    )


def test_a_system_text_in_front_of_both_answers_belongs_to_the_prompt() -> None:
    answers = [answered("Say hi.", "hi", system="Be kind."), answered("Say hi.", "no", system="Be kind.")]
    prompt, rest = apart([("", "Say hi.")], answers)
    assert prompt == [("system", "Be kind."), ("user", "Say hi.")]
    assert rest == [[("assistant", "hi")], [("assistant", "no")]]


def test_later_turns_that_both_share_belong_to_the_prompt_too() -> None:
    prompt, rest = apart([("", "1")], [answered("1", "2", "3", "4"), answered("1", "2", "3", "5")])
    assert prompt == answered("1", "2", "3")
    assert rest == [[("assistant", "4")], [("assistant", "5")]]


def test_an_answer_that_says_the_prompt_is_not_stripped() -> None:
    asked = [("", "hi")]
    assert apart(asked, [[("", "hi")], [("assistant", "hi")]]) == (
        asked,
        [[("", "hi")], [("assistant", "hi")]],
    )
    echo = [("assistant", "hi"), ("user", "what?")]
    assert apart(asked, [echo]) == (asked, [echo])


def test_system_and_history_stand_in_front_of_the_prompt() -> None:
    assert led("", [], [("", "x")]) == [("", "x")]
    earlier = history([["a", "b"]])
    assert led("Be kind.", earlier, [("", "x")]) == [("system", "Be kind."), *answered("a", "b", "x")]
    assert text_of(led("Be kind.", [], [("", "x")]), "prompt") == "System: Be kind.\n\nUser: x"
    with pytest.raises(ValueError, match="not a list of question and answer"):
        history("a")


def test_a_prompt_of_one_turn_of_the_user_is_flat() -> None:
    flat = ("Say hi.", "x", ())
    assert prompted([("", "Say hi.")], "x") == flat
    assert prompted(turns([{"role": "User", "content": "Say hi."}], "prompt"), "x") == flat
    assert prompted([("system", " "), ("user", "Say hi.")], "x") == flat


def test_a_prompt_of_several_turns_keeps_them() -> None:
    said = [("system", "Be kind."), ("user", "a"), ("assistant", ""), ("assistant", "b"), ("tool", "c")]
    assert prompted([*said, ("user", "d")], "e") == (
        "System: Be kind.\n\nUser: a\n\nAssistant: \n\nAssistant: b\n\nTool: c\n\nUser: d\n\ne",
        "",
        (*said, ("user", "d\n\ne")),
    )
    assert prompted(said).turns == tuple(said)
    assert prompted(said[:4]).turns == tuple(said[:4])
    assert prompted(said[:1]) == ("System: Be kind.", "", (("system", "Be kind."),))


@pytest.mark.parametrize(
    ("said", "input", "reason"),
    [
        ([], "", "prompt has no message"),
        ([("system", "")], "", "prompt has no message"),
        ([("user", "a"), ("user", " ")], "", "the last turn of the prompt is empty"),
        ([("user", "a"), ("narrator", "b")], "", "the role 'narrator', not system, user, assistant, tool"),
        ([("critic", "a")], "", "the role 'critic'"),
        ([("user", "a"), ("tool", "b")], "x", "ends with a turn of the tool"),
    ],
)
def test_a_prompt_that_asks_nothing_or_is_of_nobody_is_refused(said: Turns, input: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        prompted(said, input)
