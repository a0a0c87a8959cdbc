"""Rows with a reference in them, and the references of a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.records import Turn, TurnRole
from farm.models.hub import ModelError
from farm.models.referenced import reference_row
from farm.models.reward_cards import ReferencedCard
from farm.models.scorer import Scorer
from farm.models.tokens import Prompt


def test_prompt_and_reference_stand_before_prompt_and_response(scorer_dir: str) -> None:
    codec = Scorer.load(scorer_dir).codec
    row, text = reference_row(codec, Prompt("q"), "known", "new"), codec.tokenizer.decode
    asked = codec.template.text(Prompt("q"), codec.tokenizer)
    assert text(row.prompt) == f"{text(codec.begin)}{asked}known</s>{asked}"
    assert text(row.response) == "new</s>"


def test_the_card_holds_the_references_of_conversations_too(tmp_path: Path) -> None:
    turns = (
        Turn(TurnRole("user"), "hello"),
        Turn(TurnRole("assistant"), "hi"),
        Turn(TurnRole("user"), "so?"),
    )
    references = {Prompt("add", "1 2"): "3", Prompt("", turns=turns): "é", Prompt("add"): ""}
    text = ReferencedCard(references).text(tmp_path)
    assert ReferencedCard(dict(reversed(references.items()))).text(tmp_path) == text
    assert ReferencedCard.read(json.loads(text), tmp_path).references == references
    broken: list[dict[str, Any]] = [
        {},
        {"references": [{"output": "a"}]},
        {"references": [{"instruction": "a", "output": "b"}] * 2},
    ]
    for wrong in broken:
        with pytest.raises(ModelError, match="cannot be used"):
            ReferencedCard.read(wrong, tmp_path)
