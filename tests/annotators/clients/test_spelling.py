"""Log-probabilities count only where their tokens spell the answer's beginning."""

from __future__ import annotations

import pytest

from annotators.clients.spelling import answer_logprobs


def position(token: str, **more: object) -> dict[str, object]:
    return {"token": token, "logprob": -0.1, **more}


def drawn(tokens: list[str], answer: str, stop: tuple[str, ...] = ()) -> list[str]:
    """The tokens whose log-probabilities are the answer's."""
    found = answer_logprobs([position(each) for each in tokens], answer, stop)
    return [alternatives[0].token for alternatives in found]


@pytest.mark.parametrize(
    ("tokens", "answer", "kept"),
    [
        (["A"], "A", ["A"]),
        ([" A"], "A", [" A"]),
        (["A", " is", " better"], "A is better than B", ["A", " is", " better"]),
        (["\n", "A"], "\nA", ["A"]),
        (["<s>", "A", "</s>"], "A", ["A", "</s>"]),
        (["A", "<|im_end|>"], "A", ["A", "<|im_end|>"]),
        (["<think>", "B", " first", "</think>", "A"], "A", ["A"]),
        (["We", " take", " A", "?", "A", "<|return|>"], "A", ["A", "<|return|>"]),
        (["\ufffd", "\ufffd", "A"], "\u00e9A", ["\ufffd", "\ufffd", "A"]),
        (["\ufffd", "B"], "\u00e9A", []),
        (["\ufffd"], "\u00e9", ["\ufffd"]),
        (["▁Output", "▁A"], "Output A", ["▁Output", "▁A"]),
        (["A", " user", " asks"], "", []),
        (["A", " user", " asks"], "A", []),
        (["The", " first"], "A", []),
        (["BA"], "A", []),
        ([], "A", []),
    ],
)
def test_log_probabilities_of_other_tokens_do_not_count(
    tokens: list[str], answer: str, kept: list[str]
) -> None:
    assert drawn(tokens, answer) == kept


def test_a_stop_text_that_the_answer_lacks_is_no_difference() -> None:
    assert drawn(["A", "\n\nPair"], "A", ("\n\nPair 2",)) == ["A", "\n\nPair"]
    assert drawn(["A", " no"], "A", ("\n\nPair 2",)) == []


def test_bytes_say_more_than_the_token() -> None:
    one = position("\\xef\\xbc\\xa1", bytes=list("Ａ".encode()))
    assert answer_logprobs([one], "Ａ")
    assert not answer_logprobs([position("\\xef\\xbc\\xa1", bytes=[300])], "Ａ")
