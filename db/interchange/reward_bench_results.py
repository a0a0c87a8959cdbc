"""What models said of the items of RewardBench or RewardBench 2: files of `eval-set-scores`, one a model.

A file is one object of columns: id, subset, results, and the scores of both texts (RewardBench), or of all of
an item (RewardBench 2). Its own texts hold the prompt in the form of the model's chat template, so the set
itself must stand in the same folder or above it; id and subset join them. The annotator is the model. An
output of a higher score is preferred, equal scores are a tie, and without scores `results` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from db.errors import FormatError
from db.interchange import fields, reward_bench
from db.interchange.asked import RowOrigin
from db.interchange.files import objects, readable_objects
from db.interchange.opening import opened
from db.interchange.places import placed_rows
from db.interchange.rows import Numbered, Placed, ReadOptions
from db.records import AnnotatorKind

MARKS = (
    frozenset({"id", "subset", "results", "model", "text_chosen", "text_rejected"}),
    frozenset({"id", "subset", "results", "model", "scores", "num_correct"}),
)
CODES = {"1": 1.0, "0": 0.0, "0.5": 0.5}
COLUMNS = ("id", "subset", "results", "scores_chosen", "scores_rejected", "scores")
SET = ("prompt", "chosen", "rejected", "subset", "id")
BEGINNING = 1 << 16  # bytes of a file, in which its first row names its fields
ABOVE = 3  # folders in which the set may stand: that of the results, and those above it

Items: TypeAlias = Mapping[tuple[str, str], Sequence[fields.Fields]]
"""The rows of a set by subset and id; several where these do not tell them apart."""


def fits(row: fields.Fields) -> bool:
    """Whether an object holds columns."""
    return all(isinstance(row[name], list) for name in ("id", "subset", "results"))


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream the judgements of one model. Raises FormatError where the set is not to be found."""
    _, file = next(readable_objects(path))
    fields.require_shape(path, 1, file, [(name,) for name in ("id", "subset", "results", "model")])
    columns = {name: file[name] for name in COLUMNS if isinstance(file.get(name), list)}
    if len({len(column) for column in columns.values()}) != 1:
        raise FormatError("the columns are not lists of one length", where=str(path))
    beside = _set_of(path)
    items = _items(beside, beside.stat().st_mtime_ns)
    is_asked = str(file.get("model_type") or "").lower().startswith("generative")
    kind = AnnotatorKind.LLM if is_asked else AnnotatorKind.REWARD_MODEL
    origin = RowOrigin(_source(items, beside), str(file["model"]), kind)
    rows = _joined(columns, items)
    return placed_rows(path, rows, options, shape=(), origin=origin, fill=_fill, codes=CODES)


def _source(items: Items, path: Path) -> str:
    """The source as the set's own reader names it."""
    is_listed = any(reward_bench.holds_lists(row) for rows in items.values() for row in rows)
    return fields.stem(path) if is_listed else "rewardbench"


def _set_of(path: Path) -> Path:
    """The file of the set, in the folder of the results or above it."""
    for folder in path.absolute().parents[:ABOVE]:
        for other in sorted(each for each in folder.iterdir() if each.is_file() and each.name != path.name):
            if _begins_as_set(other):
                return other
    raise FormatError(
        "these results have no texts apart from their prompts",
        where=str(path),
        remedy=f"put the set itself ({', '.join(SET)}) into the same folder",
    )


def _begins_as_set(path: Path) -> bool:
    with suppress(FormatError):  # what cannot be read is not the set, such as the ledger itself
        if path.suffix != ".parquet":
            with opened(path) as stream:
                begin = stream.read(BEGINNING)
            return all(f'"{name}"'.encode() in begin for name in SET)
        return next(readable_objects(path))[1].keys() >= set(SET)
    return False


@lru_cache(maxsize=2)
def _items(path: Path, changed: int) -> Items:
    """The set's rows. changed: when the file was, so that another file of its name is read anew."""
    found: dict[tuple[str, str], list[fields.Fields]] = {}
    for _, row in objects(path):
        found.setdefault((str(row.get("subset")), str(row.get("id"))), []).append(row)
    return found


def _joined(columns: Mapping[str, Sequence[Any]], items: Items) -> Iterator[Numbered]:
    """Each result with the rows of the set that it may be about."""
    for number, cells in enumerate(zip(*columns.values(), strict=True), 1):
        row = dict(zip(columns, cells, strict=True))
        yield number, row | {"items": items.get((str(row["subset"]), str(row["id"])), ())}


def _fill(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if len(row["items"]) != 1:
        told = f"{len(row['items'])} items of the subset {row['subset']!r} and the id {row['id']!r}"
        raise ValueError(f"the set has {told}")
    places = reward_bench.places_of(row["items"][0])
    sides = [_listed(places.pop(name)) for name in ("chosen", "rejected")]
    models = [_listed(places.pop(f"model_{name}", None)) for name in ("chosen", "rejected")]
    scores = _listed(row.get("scores") or [row.get("scores_chosen"), row.get("scores_rejected")])
    if len(scores) != len(sides[0]) + len(sides[1]):
        raise ValueError(f"{len(scores)} scores are not those of {len(sides[0])} and {len(sides[1])} texts")
    for (i, better), (j, worse) in product(*map(enumerate, sides)):
        first, second = _number(scores[i]), _number(scores[len(sides[0]) + j])
        known = first is not None and second is not None
        yield places | {
            "output_1": better,
            "output_2": worse,
            "model_1": models[0][i] if i < len(models[0]) else None,
            "model_2": models[1][j] if j < len(models[1]) else None,
            "score_1": first,
            "score_2": second,
            "verdict": _verdict(first, second) if known else _number(row["results"]),
        }


def _verdict(first: float | None, second: float | None) -> float:
    assert first is not None
    assert second is not None
    return 0.5 if first == second else float(first > second)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _number(value: object) -> float | None:
    """A score; some models give it as a list of one."""
    return fields.number_of(value[0] if isinstance(value, list) and len(value) == 1 else value)
