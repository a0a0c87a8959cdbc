"""Turns through chat templates of every habit: none is lost, and only the last form that fits is taken."""

from __future__ import annotations

from typing import Any

import pytest

from db.errors import ConfigError
from db.records import Turn, TurnRole
from farm.models.chat import chat_text, folded
from farm.models.codec import Codec, Template
from farm.models.tokens import Prompt
from tests.support.tiny_models import byte_tokenizer

SYSTEM, USER, ASSISTANT, TOOL = TurnRole
TALK = (
    Turn(SYSTEM, "Be brief."),
    Turn(USER, "1+1?"),
    Turn(ASSISTANT, '{"add": 1}'),
    Turn(TOOL, '{"sum": 2}'),
    Turn(USER, "And?"),
)
EACH = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}{% endfor %}"
REPLY = "{% if add_generation_prompt %}<assistant>{% endif %}"
IN_TURN = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)
ONLY = "{% for m in messages %}{% if m['role'] in ('user', 'assistant') %}<{{ m['role'] }}>{{ m['content'] }}"
AS_JSON = (
    "{% for m in messages %}<{{ m['role'] }}>"
    "{{ m['content'] | tojson if m['role'] == 'tool' else m['content'] }}"
)
END = "{% endfor %}"


def tokenizer(template: str) -> Any:
    made = byte_tokenizer(pad="<pad>", eos="</s>")
    made.chat_template = template
    return made


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (
            EACH + REPLY,
            '<system>Be brief.<user>1+1?<assistant>{"add": 1}<tool>{"sum": 2}<user>And?<assistant>',
        ),
        (
            AS_JSON + END + REPLY,
            '<system>Be brief.<user>1+1?<assistant>{"add": 1}<tool>"{\\"sum\\": 2}"<user>And?<assistant>',
        ),
        (
            IN_TURN + EACH + REPLY,
            '<user>Be brief.\n\n1+1?<assistant>{"add": 1}<user>Tool: {"sum": 2}\n\nAnd?<assistant>',
        ),
        (
            ONLY + "{% endif %}" + END + REPLY,
            '<user>Be brief.\n\n1+1?<assistant>{"add": 1}<user>Tool: {"sum": 2}\n\nAnd?<assistant>',
        ),
        (
            "{% set said = messages %}{% if messages[0]['role'] == 'system' %}"
            "<system>{{ messages[0]['content'] }}{% set said = messages[1:] %}{% endif %}"
            + (IN_TURN + EACH).replace("in messages", "in said")
            + REPLY,
            '<system>Be brief.<user>1+1?<assistant>{"add": 1}<user>Tool: {"sum": 2}\n\nAnd?<assistant>',
        ),
    ],
    ids=["takes all", "tools as JSON", "raises", "leaves out", "takes the system alone"],
)
def test_no_template_loses_a_turn(template: str, text: str) -> None:
    assert chat_text(TALK, tokenizer(template)) == text


def test_a_template_is_told_which_tool_answers_which_call() -> None:
    said = (Turn(USER, "1+1?"), Turn(ASSISTANT, "add"), Turn(TOOL, "2", "add", "c1"))
    named = EACH.replace("['role'] }}>", "['role'] }} {{ m['name'] }} {{ m['tool_call_id'] }}>")
    assert chat_text(said, tokenizer(named), reply=False) == "<user  >1+1?<assistant  >add<tool add c1>2"
    assert folded(said)[-1] == Turn(USER, "Tool (add, c1): 2")


def test_neighbours_of_one_role_are_two_messages_where_the_template_takes_them() -> None:
    said = (Turn(USER, "a"), Turn(ASSISTANT, "b"), Turn(ASSISTANT, "c"), Turn(SYSTEM, "d"))
    assert chat_text(said, tokenizer(EACH), reply=False) == "<user>a<assistant>b<assistant>c<system>d"
    assert chat_text(said, tokenizer(IN_TURN + EACH), reply=False) == "<user>a<assistant>b\n\nc<user>d"
    assert folded(said) == (Turn(USER, "a"), Turn(ASSISTANT, "b\n\nc"), Turn(USER, "d"))


def test_what_no_form_of_fits_is_one_line() -> None:
    said = (Turn(ASSISTANT, "Welcome."), Turn(USER, "a"))
    refused = r"refuses a conversation that begins 'Welcome\.': roles must alternate \(use --template plain\)"
    with pytest.raises(ConfigError, match=refused):
        chat_text(said, tokenizer(IN_TURN + EACH))


def test_a_template_that_wants_parts_of_a_content_is_no_empty_prompt() -> None:
    """Some templates of models for images leave out a content that is a text, without a word."""
    parts = "{% for m in messages %}{% for p in m['content'] %}{{ p['text'] }}{% endfor %}{% endfor %}|"
    with pytest.raises(ConfigError, match="refuses a question: it leaves out what was said"):
        chat_text((Turn(USER, "Hi."),), tokenizer(parts))


def test_a_conversation_is_its_turns_in_a_chat_and_its_transcript_in_a_plain_text() -> None:
    asked = Prompt("System: Be brief.\n\nUser: Hi.", turns=(Turn(SYSTEM, "Be brief."), Turn(USER, "Hi.")))
    made = tokenizer(EACH + REPLY)
    chat, plain = (Codec(made, Template(chat=each)) for each in (True, False))
    assert made.decode(chat.prompt_ids(asked)) == "<system>Be brief.<user>Hi.<assistant>"
    assert made.decode(plain.prompt_ids(asked)) == (
        "Instruction:\nSystem: Be brief.\n\nUser: Hi.\n\nResponse:\n"
    )
    row = chat.row(asked, "Yes.")
    assert made.decode(row.response) == "Yes.</s>"
