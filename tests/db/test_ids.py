"""Content identity and keyed draws: known hashes, canonical text, and draws that are uniform."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.ids import canonical_json, content_hash, keyed_index, keyed_uniform

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_scheme_is_the_one_that_ledgers_were_written_with() -> None:
    """SHA-256 over version, kind and canonical JSON: another scheme would double every fact."""
    text = 'preference-farm/1/thing\n{"a":"\u00e9","b":[1,null]}'
    assert (
        content_hash("thing", {"b": [1, None], "a": "\u00e9"})
        == hashlib.sha256(text.encode()).hexdigest()[:32]
    )


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_keys_plays_no_part(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(turned) == canonical_json(value)
    assert content_hash("x", turned) == content_hash("x", value)
    assert content_hash("x", value) != content_hash("y", value)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_what_is_no_json_has_no_identity(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        content_hash("x", value)


def test_lone_surrogates_have_one() -> None:
    assert content_hash("x", "\ud800") != content_hash("x", "\ud801")


def test_draws_are_uniform() -> None:
    """Of 20,000 draws, each tenth holds 2,000 give or take five standard errors (42)."""
    draws = [keyed_uniform("test", n) for n in range(20_000)]
    assert all(0 <= draw < 1 for draw in draws)
    counts = [sum(int(draw * 10) == tenth for draw in draws) for tenth in range(10)]
    assert all(abs(count - 2_000) < 5 * 42.5 for count in counts)


@given(st.integers(1, 50), st.text(max_size=5))
def test_an_index_is_the_draw_cut_into_equal_parts(size: int, key: str) -> None:
    index = keyed_index(size, "test", key)
    assert 0 <= index < size
    assert index == int(keyed_uniform("test", key) * size)


def test_an_index_into_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        keyed_index(0, "test")


def test_another_process_draws_the_same() -> None:
    code = "from db.ids import keyed_uniform; print(keyed_uniform('order', 'pair', 3))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(said) == keyed_uniform("order", "pair", 3)
