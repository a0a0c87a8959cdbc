"""Rows of any values, in every format: entries, refusals, or one clear line; never another exception."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.errors import FarmError
from db.interchange import FORMATS, guess
from db.interchange.rows import Entry, ReadOptions, Refusal
from db.interchange.table_guess import CHOSEN, NAMES, guess_table

EXAMPLES = 3_000 if os.environ.get("FARM_FULL") else 12
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        key: st.sampled_from(["user", "assistant", "x", None, 3]) for key in ("role", "content", "from")
    },
)
LEAF = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text("ab01 \n\ud800\0", max_size=4)
VALUE = st.recursive(
    LEAF | MESSAGE | st.sampled_from(["a", "model_a", "A>B", "tie", '["x"]', "[{", "1", "0"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["messages", "a", "text"]), inner)
    ),
    max_leaves=6,
)
WORDS = sorted(
    {name for names in NAMES.values() for name in names} | {name for pair in CHOSEN for name in pair}
)
SIDED = [
    f"{stem}{end}"
    for stem in ("response", "model", "score", "rank", "output")
    for end in ("_a", "_b", "_1", "2")
]


def marked(name: str) -> list[str]:
    marks = FORMATS[name].marks
    several = marks if isinstance(marks, tuple) else (marks,)
    return sorted({mark for each in several for mark in each})


def ended(read: Callable[[], list[Entry | Refusal]]) -> tuple[list[Entry | Refusal], str]:
    """What was read, or the line that refused it."""
    try:
        return read(), ""
    except FarmError as error:
        return [], str(error)


@pytest.mark.parametrize("name", [name for name in FORMATS if marked(name)])
def test_any_values_in_the_fields_of_a_format_end_well(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "x.jsonl"

    @given(rows=st.lists(st.fixed_dictionaries(dict.fromkeys(marked(name), VALUE)), min_size=1, max_size=2))
    @settings(deadline=None, max_examples=EXAMPLES)
    def check(rows: list[dict[str, Any]]) -> None:
        path.write_text("\n".join(map(json.dumps, rows)))
        guess(rows[0])
        found, line = ended(lambda: list(FORMATS[name].read(path, ReadOptions())))
        assert found or line
        assert "\n" not in line

    check()


@given(
    rows=st.lists(
        st.dictionaries(st.sampled_from(WORDS + SIDED), VALUE, min_size=2, max_size=6), min_size=1, max_size=3
    )
)
@settings(deadline=None, max_examples=10 * EXAMPLES)
def test_any_values_in_any_table_end_well(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    _, line = ended(lambda: list(FORMATS["table"].read(path, ReadOptions(table=guess_table(path).mapping))))
    assert "\n" not in line
