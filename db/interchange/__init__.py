"""The field's file formats: readers and writers of plain row records, and their registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from db.errors import FormatError
from db.interchange import alpaca_eval, alpaca_farm, hh_rlhf, instructions, pandalm, preferences, trl
from db.interchange.rows import PreferenceRow, ReadOptions, Refusal, Row

DATA = (".jsonl", ".json", ".parquet", ".csv", ".jsonl.gz", ".json.gz", ".txt")


@dataclass(frozen=True)
class Format:
    """A format: how to read it, and how to write it where that can be done."""

    name: str
    summary: str
    read: Callable[[Path, ReadOptions], Iterator[Row | Refusal]]
    write: Callable[[Iterable[PreferenceRow], Path], int] | None = None
    writes: tuple[str, ...] = (".jsonl", ".jsonl.gz", ".parquet")  # endings
    reads_folders: bool = False  # as one thing; else a folder stands for the files in it


_ALL = (
    Format("preferences", "our own rows: one judgement each", preferences.read, preferences.write),
    Format(
        "alpaca-farm",
        "AlpacaFarm's preferences and outputs",
        alpaca_farm.read,
        alpaca_farm.write,
        writes=(".json", ".json.gz"),
    ),
    Format(
        "alpaca-eval",
        "AlpacaEval's outputs, annotations, results folder",
        alpaca_eval.read,
        reads_folders=True,
    ),
    Format("pandalm", "PandaLM's test sets", pandalm.read),
    Format("hh-rlhf", "transcripts, chosen and rejected", hh_rlhf.read),
    Format("trl", "prompt, chosen, rejected", trl.read, trl.write),
    Format("trl-unpaired", "prompt, completion, label", trl.read_unpaired, trl.write_unpaired),
    Format("instructions", "instructions, with reference answers perhaps", instructions.read),
    Format("outputs", "models' answers to instructions", instructions.read_outputs),
)
FORMATS = MappingProxyType({each.name: each for each in _ALL})


def guess(row: Mapping[str, Any]) -> str | None:
    """The format whose fields an object has, for error texts."""
    marks = {
        "preferences": {"annotator_kind", "output_1", "item_id"},
        "pandalm": {"response1", "response2"},
        "alpaca-eval": {"generator_2", "output_1"},
        "alpaca-farm": {"output_1", "preference"},
        "trl-unpaired": {"prompt", "completion", "label"},
        "trl": {"prompt", "chosen", "rejected"},
        "hh-rlhf": {"chosen", "rejected"},
        "outputs": {"instruction", "output", "model"},
        "instructions": {"instruction"},
    }
    return next((name for name, fields in marks.items() if fields <= row.keys()), None)


def expand(paths: Iterable[Path], chosen: Format) -> Iterator[Path]:
    """The files to read: a folder stands for its data files, in the order of their names."""
    for path in paths:
        if not path.is_dir() or chosen.reads_folders:
            yield path
            continue
        files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(DATA))
        if not files:
            raise FormatError("the folder holds no data file", where=str(path), remedy=f"one of {DATA}")
        yield from files
