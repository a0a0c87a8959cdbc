"""The strict reader: what it takes as it is, what it complains of, and where it says that it stands."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from annotators.strict_yaml import MAX_DEPTH, Reader, nearest, read_yaml
from db.errors import ConfigError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(codec="ascii", exclude_categories=["C"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcdef", min_size=1), PLAIN, max_size=4))
def test_plain_data_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"
    path.write_text(yaml.safe_dump(data))
    assert read_yaml(path) == data
    assert Reader(data).rest() == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1\nb: *x", "aliases are not read here"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice"),
        ("a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "deep"),
        ("a: !!python/name:os.system", "python/name"),
        ("a: [", "not readable"),
        ("a: " + "9" * 5000, "cannot be read as int"),
        ("a: 0x" + "f" * 5000, "a whole number of more than 100 digits"),
        ("a: 1" + ":59" * 3000, "a whole number of more than 100 digits"),
        ("? 0x" + "f" * 5000 + "\n: 1", "a whole number of more than 100 digits"),
        ("a: !!int ''", "'' cannot be read as int"),
        ("a: !!bool maybe", "'maybe' cannot be read as bool"),
        ("a: !!set {b}", "constructor"),
        ("a: !!binary aGk=", "constructor"),
        ('a: "\\ud83d\\ude00"', "character"),  # half of one
    ],
)
def test_what_could_surprise_is_not_read(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml") as raised:
        read_yaml(tmp_path / "x.yaml")
    assert message in str(raised.value)


def test_dates_and_merge_keys_are_texts(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("checked: 2026-01-31\n<<: {a: 1}\n=: 2\n")
    assert read_yaml(tmp_path / "x.yaml") == {"checked": "2026-01-31", "<<": {"a": 1}, "=": 2}


def test_every_fault_is_told_at_its_place_in_one_error() -> None:
    entry = Reader(
        {
            "name": 3,
            "colour": "gren",
            "share": 1.5,
            "rate": math.nan,
            "count": True,
            "loud": "yes",
            "words": ["a", ""],
            "inner": {"deep": [{"n": "x"}, 4]},
            "empty": None,
            "colur": "red",
        }
    )
    assert entry.text("name") == ""
    assert entry.choice("colour", Colour, Colour.RED) is Colour.RED
    assert entry.number("share", 0.25, 0, 1) == 0.25
    assert entry.number("rate", 0.25, 0, 1) == 0.25
    assert entry.integer("count", 7, 0) == 7
    assert entry.flag("loud", False) is False
    assert entry.texts("words", ("w",)) == ("w",)
    inner = entry.reader("inner")
    deep = inner.readers("deep")
    assert [each.integer("n", 1, 0) for each in deep] == [1, 1]
    assert entry.text("empty", "default") == "default"
    assert entry.text("missing") == ""
    with pytest.raises(ConfigError) as raised:
        entry.finish("x.yaml", "correct it")
    said = str(raised.value)
    assert said.startswith("x.yaml: ")
    for part in (
        "name: expected a text, not 3",
        "colour: 'gren' is none of its values",
        "green",
        "share: expected a number from 0 to 1, not 1.5",
        "rate: expected a number from 0 to 1, not nan",
        "count: expected a whole number from 0 to 2147483648, not True",
        "loud: expected true or false, not 'yes'",
        "words: expected texts",
        "inner.deep[0].n: expected a whole number",
        "inner.deep[1]: expected a mapping",
        "empty: has no value",
        "missing: is required",
        "colur: unknown key",
    ):
        assert part in said, part


def test_right_entries_leave_nothing_to_say() -> None:
    entry = Reader(
        {"name": "x", "colour": "green", "share": 1, "count": 2, "one": "alone", "free": {"a": [1]}}
    )
    assert (entry.text("name"), entry.choice("colour", Colour)) == ("x", Colour.GREEN)
    assert (entry.number("share", 0, 0, 1), entry.integer("count", 0, 0)) == (1.0, 2)
    assert (entry.texts("one"), entry.json("free")) == (("alone",), {"a": [1]})
    assert (entry.maybe_number("none", 0), entry.maybe_integer("none", 0)) == (None, None)
    assert "count" in entry
    entry.finish("x.yaml", "nothing")


def test_the_nearest_name_is_offered_or_all_that_there_are() -> None:
    assert nearest("gren", ["red", "green"]) == ", did you mean 'green'?"
    assert nearest("xyzzy", ["red", "green"]) == " (known: green, red)"
