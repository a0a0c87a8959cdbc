"""Conversations in every spelling become the same turns, and an answer never holds its prompt."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from db.ids import content_hash
from db.interchange.turns import (
    Said,
    Turns,
    apart,
    history,
    led,
    messages,
    prompted,
    text_of,
    turns,
    turns_of,
)
from db.records import Instruction, Turn, TurnRole, transcript, turns_from_json, turns_to_json

user, bot, system, tool, plain = (partial(Said, role) for role in ("user", "assistant", "system", "tool", ""))
HELLO = [user("Say hi."), bot("hi")]


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
    assert list(turns(value, "prompt")) == [plain(value)]


def test_calls_of_tools_are_the_text_of_a_message_without_another() -> None:
    call = {"id": "1", "function": {"name": "add", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    answered = {"role": "tool", "content": "2", "name": "add", "tool_call_id": "1"}
    said = [bot(json.dumps([call])), tool("2", "add", "1")]
    assert list(turns([asked, answered], "x")) == said
    assert list(turns([answered | {"name": None}], "x")) == [tool("2", "", "1")]
    assert list(turns([{"role": "user", "content": "hi", "name": "Bo"}], "x")) == [user("hi")]
    assert messages(said) == [{"role": "assistant", "content": json.dumps([call])}, answered]


def test_only_a_tool_with_a_name_gives_a_conversation_another_id() -> None:
    """The first key was made before turns had names."""
    said = (Turn(TurnRole.USER, "1+1?"), Turn(TurnRole.TOOL, "2"))
    assert Instruction.of_turns(said).key == content_hash("conversation", [["user", "1+1?"], ["tool", "2"]])
    named = [(said[0], each) for each in (said[1]._replace(name="x"), said[1]._replace(call_id="x"))]
    assert len({Instruction.of_turns(each).key for each in (said, *named)}) == 3
    assert transcript(named[0]) == "User: 1+1?\n\nTool (x): 2"
    assert turns_from_json(turns_to_json(named[1])) == named[1]


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


def answered(*said: str, rule: str = "") -> Turns:
    front = [system(rule)] if rule else []
    return front + [Said(("user", "assistant")[place % 2], text) for place, text in enumerate(said)]


def kept(said: Turns) -> tuple[Turn, ...]:
    return tuple(Turn(TurnRole(role), *rest) for role, *rest in said)


def test_turns_that_repeat_the_prompt_are_no_output() -> None:
    asked = [plain("Say hi.")]
    answers = [answered("Say hi. ", "hi"), answered("Say hi. ", "no")]
    assert apart(asked, answers) == (
        [user("Say hi. ")],
        [[bot("hi")], [bot("no")]],
    )
    assert apart(asked, [answered("Say hi.", "hi"), [bot("no")]]) == (
        asked,
        [[bot("hi")], [bot("no")]],
    )


def test_a_system_text_in_front_of_both_answers_belongs_to_the_prompt() -> None:
    answers = [answered("Say hi.", "hi", rule="Be kind."), answered("Say hi.", "no", rule="Be kind.")]
    prompt, rest = apart([plain("Say hi.")], answers)
    assert prompt == [system("Be kind."), user("Say hi.")]
    assert rest == [[bot("hi")], [bot("no")]]


def test_later_turns_that_both_share_belong_to_the_prompt_too() -> None:
    prompt, rest = apart([plain("1")], [answered("1", "2", "3", "4"), answered("1", "2", "3", "5")])
    assert prompt == answered("1", "2", "3")
    assert rest == [[bot("4")], [bot("5")]]


def test_an_answer_that_says_the_prompt_is_not_stripped() -> None:
    asked = [plain("hi")]
    assert apart(asked, [[plain("hi")], [bot("hi")]]) == (
        asked,
        [[plain("hi")], [bot("hi")]],
    )
    echo = [bot("hi"), user("what?")]
    assert apart(asked, [echo]) == (asked, [echo])


def test_system_and_history_stand_in_front_of_the_prompt() -> None:
    assert led("", [], [plain("x")]) == [plain("x")]
    earlier = history([["a", "b"]])
    assert led("Be kind.", earlier, [plain("x")]) == [system("Be kind."), *answered("a", "b", "x")]
    assert text_of(led("Be kind.", [], [plain("x")]), "prompt") == "System: Be kind.\n\nUser: x"
    with pytest.raises(ValueError, match="not a list of question and answer"):
        history("a")


def test_a_prompt_of_one_turn_of_the_user_is_flat() -> None:
    flat = ("Say hi.", "x", ())
    assert prompted([plain("Say hi.")], "x") == flat
    assert prompted(turns([{"role": "User", "content": "Say hi."}], "prompt"), "x") == flat
    assert prompted([system(" "), user("Say hi.")], "x") == flat


def test_a_prompt_of_several_turns_keeps_them() -> None:
    said = [
        system("Be kind."),
        user("a"),
        bot(""),
        bot("b"),
        tool("c"),
    ]
    assert prompted([*said, user("d")], "e") == (
        "System: Be kind.\n\nUser: a\n\nAssistant: \n\nAssistant: b\n\nTool: c\n\nUser: d\n\ne",
        "",
        kept([*said, user("d\n\ne")]),
    )
    assert prompted(said).turns == kept(said)
    assert prompted(said[:4]).turns == kept(said[:4])
    assert prompted(said[:1]) == ("System: Be kind.", "", kept(said[:1]))


@pytest.mark.parametrize(
    ("said", "input", "reason"),
    [
        ([], "", "prompt has no message"),
        ([system("")], "", "prompt has no message"),
        ([user("a"), user(" ")], "", "the last turn of the prompt is empty"),
        (
            [user("a"), Said("narrator", "b")],
            "",
            "the role 'narrator', not system, user, assistant, tool",
        ),
        ([Said("critic", "a")], "", "the role 'critic'"),
        ([user("a"), tool("b")], "x", "ends with a turn of the tool"),
    ],
)
def test_a_prompt_that_asks_nothing_or_is_of_nobody_is_refused(said: Turns, input: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        prompted(said, input)


def test_an_output_of_several_turns_is_their_transcript_and_keeps_them() -> None:
    said = [bot("a"), tool("b", "add", "1"), bot("c")]
    assert text_of(said, "x") == "Assistant: a\n\nTool (add, 1): b\n\nAssistant: c"
    assert turns_of(said) == kept(said)
    assert turns_of(said[:1]) == ()
    assert turns_of([*said, Said("narrator", "d")]) == ()
    assert text_of([*said[:1], Said("narrator", "d")], "x") == "Assistant: a\n\nNarrator: d"
