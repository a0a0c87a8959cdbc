"""An array read value by value says what json.loads says, wherever the text is cut."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import FormatError
from db.interchange import json_values
from db.interchange.json_values import array_values

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(text: str, longest: int = 10**9) -> list[Any]:
    """The values of the array, from pieces of at most `longest` characters."""
    source = io.StringIO(text)
    return list(array_values(lambda size: source.read(min(size, longest)), "x.json"))


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_a_cut_text_gives_the_same_values(
    values: list[Any], indent: int | None, ascii_only: bool, longest: int
) -> None:
    text = f" {json.dumps(values, indent=indent, ensure_ascii=ascii_only)}\n"
    assert read(text, longest) == values == json.loads(text)


def test_a_broken_text_is_refused_wherever_it_is_cut() -> None:
    """Each text with one character left out is an array for us exactly where it is one for Python."""
    whole = '[{"a": "\\u00e9\\n", "b": [1.5e3, -2, true, null]}, "x\\"y", [], {}, 12]'
    for place in range(len(whole)):
        text = whole[:place] + whole[place + 1 :]
        longest = random.Random(place).randint(1, 9)
        try:
            wanted = json.loads(text)
        except ValueError:
            wanted = None
        if isinstance(wanted, list):
            assert read(text, longest) == wanted
        elif text.startswith("["):
            with pytest.raises(FormatError, match=r"x\.json"):
                read(text, longest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1}, {"a": 1, "a": 2}]', r"x\.json:2: .*'a' stands twice"),
        ("[1, 1e999]", r"x\.json:2: .*1e999 is too large"),
        ("[1] 2", "Extra data"),
        ("[1, 2", "Expecting"),
        ("[1,]", r"x\.json:2: "),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_fault_names_its_row(text: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        read(text)


def test_nan_and_infinities_are_missing() -> None:
    assert read('[1, NaN, {"a": -Infinity}]') == [1, None, {"a": None}]


def test_a_value_is_of_a_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "LONGEST", 1000)
    with pytest.raises(FormatError, match=r"x\.json:2: a row of over 64 MB"):
        read(f'[1, "{"x" * 3_000_000}"]')
