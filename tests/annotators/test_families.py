"""Which models are of one family: by how their names begin, however they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotators.families import Families
from annotators.prices import PriceTable

SHIPPED = PriceTable.load().families


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4.1-mini-2025-04-14", "openai"),
        ("GPT 4 Turbo", "openai"),
        ("text_davinci_003", "openai"),
        ("claude-opus-5-5", "anthropic"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
        ("llama2-70b", "llama"),
        ("openai/gpt-oss-20b", "openai"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("sft", ""),
        ("", ""),
        ("my-gpt-2", ""),
    ],
)
def test_a_name_tells_its_family(model: str, family: str) -> None:
    assert SHIPPED.of(model) == family


def test_the_longest_beginning_decides() -> None:
    families = Families({"a": ("zeta",), "b": ("zeta-mine",)})
    assert [families.of(name) for name in ("zeta-1", "zeta-mine-1")] == ["a", "b"]


def test_a_table_of_ones_own_adds_families_and_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("families: {llama: [llama, my-sft], house: home}\n")
    own = PriceTable.load(tmp_path / "prices.yaml").families
    assert [own.of(name) for name in ("my-sft/step-3", "vicuna-7b", "home-made", "gpt-4")] == [
        "llama", "", "house", "openai",
    ]  # fmt: skip
