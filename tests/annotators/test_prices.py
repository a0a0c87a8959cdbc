"""Prices by exact name, overridden line by line; a wrong file is told in one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotators.prices import Price, PriceTable, Usage
from db.errors import ConfigError

PRICE = Price(input=3.0, output=15.0, cached_input=0.3)


def test_the_cost_of_tokens() -> None:
    # 800 fresh at $3, 200 cached at $0.30, 50 out at $15, each per million
    assert PRICE.cost(Usage(1000, 50, 200)) == pytest.approx((800 * 3 + 200 * 0.3 + 50 * 15) / 1e6)
    assert Price(3.0, 15.0).cost(Usage(1000, 0, 200)) == pytest.approx(0.003)
    assert PRICE.scaled(0.5).cost(Usage(1000, 50, 200)) == pytest.approx(PRICE.cost(Usage(1000, 50, 200)) / 2)


def test_the_table_knows_names_exactly_and_nothing_else() -> None:
    table = PriceTable.load()
    assert table.price("gpt-4o-mini") != table.price("gpt-4o") != table.price("gpt-4")
    assert table.price("gpt-4o-mini-of-mine") is None
    assert table.price("") is None
    assert table.batch_factor == 0.5
    for name, line in table.models.items():
        assert 0 < line.input <= line.output, name
        assert line.cached_input is None or 0 < line.cached_input < line.input, name


def test_a_file_of_the_users_overrides_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    lines = "  gpt-4o: {input: 1, output: 2}\n  mine: {input: 0, output: 0}\n"
    path.write_text(f"checked: '2030'\nmodels:\n{lines}")
    table = PriceTable.load(path)
    assert table.price("gpt-4o") == Price(1.0, 2.0, checked="2030")
    assert table.price("mine") == Price(0.0, 0.0, checked="2030")
    assert table.price("gpt-4") == PriceTable.load().price("gpt-4")
    assert (table.checked, table.batch_factor) == ("2030", 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models:\n  a: {input: 1}\n", "models.a.output: is required"),
        ("models:\n  a: {input: -1, output: 1}\n", "models.a.input"),
        ("models:\n  a: {input: 1, output: .nan}\n", "models"),
        ("models:\n  a: {input: 1, output: 2, cahced_input: 1}\n", "cahced_input"),
        ("models:\n  a: 3\n", "models.a: expected a mapping"),
        ("moduls: {}\n", "moduls: unknown key"),
        ("models: [", "not readable"),
    ],
)
def test_a_wrong_price_file_is_told_in_one_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        PriceTable.load(path)


def test_usage_adds_up() -> None:
    total = Usage(10, 2, 4) + Usage(5, 1)
    assert total == Usage(15, 3, 4)
    assert total.total == 18  # cached tokens are among those of the prompt
