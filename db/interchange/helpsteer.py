"""NVIDIA's HelpSteer 2 and 3.

HelpSteer 3: context (messages), response1, response2, domain, and overall_preference from -3 (response1 is
much better) to 3 (response2). HelpSteer 2's preferences: prompt, response_1, response_2, preference_strength,
coded alike. HelpSteer 2's scores: prompt, response, helpfulness and others; the responses to one prompt are
compared by helpfulness, and by each of the five scores beside it: an aspect is won by the response that has
more of it. The distance from 0 is kept as steps from the tie, of three.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange.asked import RowOrigin, renamed
from db.interchange.fields import number_of
from db.interchange.files import readable_objects
from db.interchange.places import rows_by
from db.interchange.rows import Placed, ReadOptions
from db.interchange.table import rows_by_group

MARKS_3 = frozenset({"context", "response1", "response2", "overall_preference"})
MARKS_2 = frozenset({"prompt", "response_1", "response_2", "preference_strength"})
SCORED = frozenset({"prompt", "response", "helpfulness", "correctness"})
LEVELS = 3  # steps from the tie to the end of the scale
SCALE = range(-LEVELS, LEVELS + 1)
CODES = {"negative": 1.0, "0": 0.5, "positive": 0.0}
COLUMNS = {
    "prompt": "context", "output_1": "response1", "output_2": "response2", "verdict": "overall_preference",
    "subset": "domain",
}  # fmt: skip
COLUMNS_2 = {
    "prompt": "prompt", "output_1": "response_1", "output_2": "response_2", "verdict": "preference_strength",
}  # fmt: skip
COLUMNS_SCORED = {"prompt": "prompt", "output": "response", "score": "helpfulness", "aspect": "attributes"}
ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream HelpSteer 3's judged pairs."""
    shape = tuple((column,) for column in list(COLUMNS.values())[:4])
    origin = RowOrigin("helpsteer3", "helpsteer3")
    return rows_by(path, options, shape=shape, origin=origin, fill=_fill, codes=CODES)


def read_2(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream HelpSteer 2's judged pairs, or its responses compared by helpfulness."""
    origin = RowOrigin("helpsteer2", "helpsteer2")
    first = next(readable_objects(path), (0, {}))[1]
    if first.keys() >= SCORED:
        return rows_by_group(path, options, origin=origin, columns=COLUMNS_SCORED, unpack=_with_attributes)
    shape = tuple((column,) for column in COLUMNS_2.values())
    return rows_by(
        path,
        options,
        shape=shape,
        origin=origin,
        fill=_fill_2,
        codes=CODES,
    )


def _with_attributes(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"attributes": {name: row[name] for name in ATTRIBUTES if name in row}}


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS) | _steps(row["overall_preference"])


def _fill_2(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield renamed(row, COLUMNS_2) | _steps(row["preference_strength"])


def _steps(value: object) -> dict[str, Any]:
    """The places that say how much better; none where the value is not of the scale."""
    number = number_of(value)
    return {"steps": abs(number), "levels": LEVELS} if number is not None and number in SCALE else {}
