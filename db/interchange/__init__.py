"""The field's file formats: a registry of readers and writers of plain row records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from db.errors import FormatError
from db.interchange import preferences
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal, Row


@dataclass(frozen=True)
class Format:
    name: str
    summary: str
    read: Callable[[Path, ReadOptions], Iterator[Row | Refusal]]
    write: Callable[[Iterable[PreferenceRow], Path], int] | None = None
    suffixes: tuple[str, ...] = (".jsonl", ".jsonl.gz", ".parquet")


FORMATS = {"preferences": Format("preferences", "our own rows", preferences.read, preferences.write)}


def expand(paths: Iterable[Path], chosen: Format) -> Iterator[Path]:
    yield from paths


def sniff(path: Path) -> str | None:
    return None
