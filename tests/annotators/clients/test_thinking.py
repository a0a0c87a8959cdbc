"""What a model thinks is cut off from what it answers, in every form in which servers give it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotators.clients.thinking import message_of, without_thinking

HARMONY = (
    "<|channel|>analysis<|message|>B first.<|end|><|start|>assistant<|channel|>final<|message|>A<|return|>"
)


@pytest.mark.parametrize(
    ("text", "thinking"),
    [
        ("<think>\nB first.\n</think>\n\nA", "B first."),
        ("B first.\n</think>\nA", "B first."),
        ("<think></think>\n\nA", ""),
        ("<thinking type='x'>B first.</thinking>A", "B first."),
        ("<Reasoning>\nB first.\n</Reasoning>\nA", "B first."),
        ("<seed:think>B first.</seed:think>A", "B first."),
        ("[THINK]B first.[/THINK]A", "B first."),
        ("◁think▷B first.◁/think▷A", "B first."),
        ("<unused94>thought\nB first.<unused95>A", "B first."),
        (
            "<|begin_of_thought|>B first.<|end_of_thought|><|begin_of_solution|>A<|end_of_solution|>",
            "B first.",
        ),
        ("<think>B first.</think>A\n</think>", "B first."),
        ("<think>B <think> first.</think>A", "B <think> first."),
        ("<think>```\nB first.</think>A", "```\nB first."),
        (HARMONY, "B first."),
        (HARMONY.removeprefix("<|channel|>analysis<|message|>"), "B first."),
        ("<|channel|>final <|constrain|>json<|message|>A", ""),
        ("analysisB first.assistantfinalA", "B first."),
        ("Here is my thought process:\nB first.\nHere is my response:\nA", "B first."),
    ],
)
def test_thinking_is_cut_off_from_the_answer(text: str, thinking: str) -> None:
    assert without_thinking(text) == (thinking, "A")


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nB is",
        "<think>\nB is\n</think>",
        "<|channel|>analysis<|message|>B is",
        "analysisB is",
        "B is</think>",
    ],
)
def test_thinking_that_ends_in_no_answer_leaves_none(text: str) -> None:
    found = without_thinking(text)
    assert found.answer == ""
    assert "B is".startswith(found.thinking) or found.thinking == "B is"


@pytest.mark.parametrize(
    "text",
    [
        "A",
        " A \n",
        "Put it between <think> and </think> tags.",
        "Use `<think>` and `</think>`.",
        'The tag "<think>" opens it.',
        "```html\n<think>\nx\n</think>\n```\nThat is all.",
        "The word <think> is odd.",
        "Analysis: A is better.",
        "An analysis of B.",
    ],
)
def test_a_mention_of_thinking_is_no_thinking(text: str) -> None:
    assert without_thinking(text) == ("", text)


@pytest.mark.parametrize(
    ("content", "message", "expected"),
    [
        ("A", {"reasoning_content": "B first."}, ("B first.", "A")),
        ("A", {"reasoning": "B first."}, ("B first.", "A")),
        ("A", {"reasoning": "B first.", "reasoning_details": [{"text": "B first."}]}, ("B first.", "A")),
        ("A", {"reasoning_details": [{"type": "reasoning.text", "text": "B first."}]}, ("B first.", "A")),
        (None, {"reasoning_content": "B first."}, ("B first.", "")),
        (None, {}, ("", "")),
        ([{"type": "thinking", "thinking": [{"text": "x"}]}, {"type": "text", "text": "A"}], {}, ("x", "A")),
        ([{"type": "text", "text": "out"}, "put"], {}, ("", "output")),
        ([{"text": "hm", "thought": True}, {"text": "A"}], {}, ("hm", "A")),
        ([{"type": "text", "text": "<think>hm</think>A"}], {}, ("hm", "A")),
        ({"type": "text", "text": "A"}, {}, ("", "A")),
        ([], {}, None),
        ([{"type": "image_url"}], {}, None),
        (5, {}, None),
    ],
)  # fmt: skip
def test_fields_and_parts_of_a_message(content: object, message: dict[str, object], expected: object) -> None:
    assert message_of(content, message) == expected


@given(st.lists(st.sampled_from(["<think>", "</think>", "A", "\n", "`", "```", HARMONY, " x "])).map("".join))
def test_an_answer_is_never_more_than_the_text(text: str) -> None:
    found = without_thinking(text)
    assert len(found.answer) <= len(text)
    assert found.thinking or found.answer.strip() in text or "think>" in text or "<|" in text


@pytest.mark.parametrize(
    "part", ["<think>", "</think>", "a <think>\n", "<|message|>a", "```\n", "<think a", "analysis "]
)
def test_reading_takes_time_linear_in_the_text(part: str) -> None:
    took = []
    for size in (5_000, 40_000):
        started = time.process_time()
        without_thinking(part * size)
        took.append(time.process_time() - started)
    assert took[1] < 8 * 5 * took[0] + 2  # quadratic takes minutes
