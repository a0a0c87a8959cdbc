"""Any table, by a mapping of its columns to places: CSV, TSV, JSON, parquet, Arrow, Excel.

A place that a mapping names takes the value of a column; a.b is the field b within a. Columns that no place
takes are kept in meta. What a row fills decides what it is: a judged pair, a pair still to be judged, several
outputs with scores or ranks, an answer that is good or bad, a battle without texts, or an instruction. Where
each row has one output with a score or a rank, the rows of one prompt and annotator are compared in pairs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from db.errors import ConfigError, FormatError
from db.interchange import fields, verdicts
from db.interchange.asked import PLACES, RowOrigin, renamed
from db.interchange.degrees import degree_of
from db.interchange.files import file_rows
from db.interchange.places import entries_of
from db.interchange.rows import Numbered, Placed, ReadOptions, Refusal, TableMap

ENDING = ".map.json"
Group: TypeAlias = tuple[int, dict[str, Any], list[dict[str, Any]]]  # number, shared places, members
OWN = (
    "output",
    "model",
    "score",
    "rank",
    "aspect",
)  # places of a long table's rows, which differ within a group


def read(path: Path, options: ReadOptions) -> Iterator[Placed]:
    """Stream the table's entries. Raises FormatError without a mapping, or for a column that no row has."""
    mapping = options.table
    if mapping is None:
        raise FormatError(
            "a table needs a mapping of its columns", where=str(path), remedy="farm import auto"
        )
    origin = RowOrigin(fields.stem(path), fields.stem(path))
    rows = _filled(path, mapping)
    if "output" in mapping.columns and {"score", "rank"} & mapping.columns.keys():
        rows = _grouped(rows)
    return entries_of(path, rows, origin=origin, options=options, codes=mapping.codes)


def _filled(path: Path, mapping: TableMap) -> Iterator[Numbered | Refusal]:
    """The places that each row fills, with the row's number. Raises FormatError for a column of no row."""
    unseen = set(mapping.columns.values())
    names: dict[str, None] = {}
    taken = set(mapping.columns.values()) | {column.split(".")[0] for column in mapping.columns.values()}
    for each in file_rows(path):
        if isinstance(each, Refusal):
            yield each
            continue
        number, row = each
        unseen -= {column for column in unseen if _has(row, column)}
        if unseen:
            names |= dict.fromkeys(row)
        filled = {place: value_at(row, column) for place, column in mapping.columns.items()}
        beside = {"row": number, "meta": fields.others(row, *taken)}
        yield number, filled | _strength(filled.get("verdict"), mapping) | beside
    if unseen:
        found = ", ".join(list(names)[:12])
        raise FormatError(f"no row has the column {min(unseen)!r}, but {found}", where=str(path))


def _strength(verdict: object, mapping: TableMap) -> dict[str, Any]:
    """The places that say how much better, where the mapping knows it of this verdict."""
    degree = None if verdict is None else mapping.degrees.get(verdicts.plain(verdict))
    return {} if degree is None else degree._asdict()


def _has(row: Mapping[str, Any], column: str) -> bool:
    return column in row or ("." in column and value_at(row, column) is not None)


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column; a.b is the field b of the object a, and a.0 the first of the list a."""
    if column in row or "." not in column:
        return row.get(column)
    value: Any = row
    for step in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _grouped(rows: Iterator[Numbered | Refusal]) -> Iterator[Numbered | Refusal]:
    """The rows of one prompt and annotator as one row with lists of outputs, models, scores and ranks."""
    groups: dict[str, Group] = {}
    for row in rows:
        if isinstance(row, Refusal):
            yield row
            continue
        number, filled = row
        shared = {name: value for name, value in filled.items() if name not in (*OWN, "row", "meta")}
        key = json.dumps(shared, sort_keys=True, default=str)
        groups.setdefault(key, (number, shared, []))[2].append(filled)
    for number, shared, members in groups.values():
        lists = {f"{name}s": [each[name] for each in members] for name in OWN if name in members[0]}
        yield number, shared | lists | {"meta": _beside([each.get("meta") or {} for each in members])}


def _beside(metas: list[dict[str, Any]]) -> dict[str, Any]:
    """What rows hold beside their places, as lists in the order of the rows."""
    names = dict.fromkeys(name for meta in metas for name in meta)
    return {name: [meta.get(name) for meta in metas] for name in names}


def rows_by_group(
    path: Path,
    options: ReadOptions,
    *,
    origin: RowOrigin,
    columns: Mapping[str, str],
    unpack: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Iterator[Placed]:
    """Stream the pairs of rows that have one output each, compared by score within a prompt.

    columns: place -> column of a row that `unpack` gives; a column model or subset is a place of its own.
    """
    taken: dict[str, str] = {"model": "model", "subset": "subset"} | dict(columns)

    def filled() -> Iterator[Numbered | Refusal]:
        for row in file_rows(path):
            if isinstance(row, Refusal):
                yield row
                continue
            try:
                yield row[0], renamed(unpack(row[1]), taken)
            except ValueError as error:
                yield Refusal(row[0], str(error))

    return entries_of(path, _grouped(filled()), origin=origin, options=options)


def mapping_of(maps: tuple[str, ...], verdict: str | None) -> TableMap:
    """The mapping that the texts PLACE=COLUMN and COLUMN:VALUE=MEANING,... say.

    Raises ConfigError for an unknown place, a place named twice, or a meaning that is none.
    """
    columns: dict[str, str] = {}
    for each in maps:
        place, equals, column = each.partition("=")
        if not equals or not column:
            raise ConfigError(
                f"--map has {each!r}", remedy="write --map PLACE=COLUMN, such as --map prompt=question"
            )
        if not is_place(place):
            raise ConfigError(f"--map names the place {place!r}", remedy=f"one of {', '.join(PLACES)}")
        if place in columns:
            raise ConfigError(f"--map fills {place!r} twice", remedy="fill each place once")
        columns[place] = column
    if verdict is None:
        return TableMap(columns)
    columns["verdict"], codes, degrees = verdicts.parsed(verdict)
    return TableMap(columns, codes, degrees)


def is_place(name: str) -> bool:
    """Whether this is the name of a place; the numbered ones go on beyond 2."""
    stem, _, number = name.rpartition("_")
    return name in PLACES or (number.isdigit() and int(number) > 2 and f"{stem}_1" in PLACES)


def arguments(mapping: TableMap) -> list[str]:
    """The options of a command line that say this mapping."""
    columns = dict(mapping.columns)
    verdict = columns.pop("verdict", None)
    told = [part for place, column in columns.items() for part in ("--map", f"{place}={column}")]
    return told + (
        ["--verdict", verdicts.spelled(verdict, mapping.codes, mapping.degrees)] if verdict else []
    )


def save(mapping: TableMap, name: str) -> Path:
    """Write the mapping to NAME.map.json and return its path. Raises ConfigError where the file is there."""
    path = Path(name if name.endswith(ENDING) else name + ENDING)
    told = {"columns": dict(mapping.columns), "codes": dict(mapping.codes)}
    text = json.dumps(told | ({"degrees": dict(mapping.degrees)} if mapping.degrees else {}), indent=2)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text + "\n")
    except FileExistsError:
        raise ConfigError("there is a file of this name", where=str(path), remedy="name a new file") from None
    except OSError as error:
        raise ConfigError(f"the mapping cannot be written: {error.strerror}", where=str(path)) from None
    return path


def load(name: str) -> TableMap:
    """The mapping that `save` wrote under this name. Raises ConfigError where there is none."""
    path = Path(name if name.endswith(ENDING) else name + ENDING)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        columns, codes = dict(told["columns"]), dict(told["codes"])
        steps = {value: (*each, codes[value]) for value, each in told.get("degrees", {}).items()}
        degrees = {value: degree_of(*each) for value, each in steps.items()}
    except OSError:
        raise ConfigError(
            "there is no such mapping", where=str(path), remedy="--save-map writes one"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            "this is no saved mapping", where=str(path), remedy="--save-map writes one"
        ) from None
    mapping = mapping_of(tuple(f"{place}={column}" for place, column in columns.items()), None)
    if not all(code in verdicts.MEANINGS.values() for code in codes.values()):
        raise ConfigError("this is no saved mapping", where=str(path), remedy="--save-map writes one")
    return TableMap(mapping.columns, codes, degrees)
