"""The feedback of "Peering through preferences" (Bansal et al. 2023, arXiv 2308.15812): CSV without a header.

Rankings: instruction, input, response 1, response 2, and (a), (b) or equal. A judge was asked in both orders;
where it followed the place, equal stands too. Ratings: instruction, input, response, and 1 to 7; each is a
rating.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from db.interchange import fields
from db.interchange.asked import RowOrigin
from db.interchange.csv_rows import csv_rows_of
from db.interchange.places import placed_rows
from db.interchange.rows import Placed, ReadOptions
from db.records import AnnotatorKind

RANKED = ("instruction", "input", "response1", "response2", "feedback")
RATED = ("instruction", "input", "response", "feedback")
CODES = {"(a)": 1.0, "(b)": 0.0, "equal": 0.5}
LOWEST, HIGHEST = 1, 7
BLANK = ("", "nan")  # an empty input, as pandas writes it


def fits(row: fields.Fields) -> bool:
    """Whether the names of a table's columns are in truth its first row."""
    last = next(reversed(list(row)), "")
    is_score = last.isdigit() and LOWEST <= int(last) <= HIGHEST
    return (len(row) == len(RANKED) and last in CODES) or (len(row) == len(RATED) and is_score)


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream judged pairs, or ratings."""
    origin = RowOrigin("sparse_feedback", "gpt-3.5-turbo", AnnotatorKind.LLM)
    shape = tuple((name,) for name in RATED[:2])
    rows = csv_rows_of(path, ",", headers=(RANKED, RATED))
    return placed_rows(path, rows, options, shape=shape, origin=origin, fill=_fill, codes=CODES)


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    input = None if row["input"] in BLANK else row["input"]
    places: dict[str, Any] = {"prompt": row["instruction"], "input": input}
    if "response1" in row:
        yield places | {
            "output_1": row["response1"],
            "output_2": row["response2"],
            "verdict": row["feedback"],
        }
        return
    score = fields.number_of(row["feedback"])
    if score is None:
        raise ValueError(f"the rating is {fields.shown(row['feedback'])}, not {LOWEST} to {HIGHEST}")
    label = (score - LOWEST) / (HIGHEST - LOWEST)
    yield places | {"output": row["response"], "label": label, "raw": score}
