"""Bring the field's files into the ledger: `farm import`.

A file is read twice. The first time its shape is checked; if it is wrong, the ledger is not changed. The
second time its rows are written in batches, each of which becomes visible whole. A file that was imported in
part can be imported again: rows that are there already are known and stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path

from db.errors import ConfigError, did_you_mean
from db.ids import Json, canonical_json
from db.interchange import FORMATS, Format, expand
from db.interchange.fields import stem
from db.interchange.files import ReadingPlace, followed, sha256_of
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    ImportedPair,
    OutputOrigin,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
)
from db.ledger import Ledger
from db.names import LONGEST_NAME, alike
from db.queries.exports import HERE, MADE
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    Imported,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Rating,
    SourceFile,
    Turn,
)
from db.writer import ImportedJudgement, Writer
from farm.options.import_ import ImportOptions
from farm.progress import Progress
from farm.settings.checked import build

BATCH = 2_000  # rows in one transaction


@dataclass
class FileReport:
    """What became of one file: read = kept + known + refused."""

    path: str
    read: int = 0
    kept: int = 0  # new in the ledger
    known: int = 0  # in the ledger already
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, refusal: Refusal) -> None:
        """Count a refused row, and keep its place and reason."""
        self.refused += 1
        self.refusals.append(refusal)


@dataclass(frozen=True)
class ImportReport:
    """What became of all the files."""

    format: str
    files: tuple[FileReport, ...]
    notes: tuple[str, ...] = ()  # what the user should know

    @property
    def in_vain(self) -> bool:
        """Whether rows were refused and nothing new was kept."""
        return self.total("refused") > 0 and self.total("kept") == 0

    def total(self, count: str) -> int:
        """The sum over files. count: `read`, `kept`, `known` or `refused`."""
        return sum(getattr(report, count) for report in self.files)

    def to_json(self) -> Json:
        """The report as a JSON object."""
        counts = ("read", "kept", "known", "refused")
        return {
            "format": self.format,
            **{count: self.total(count) for count in counts},
            "notes": list(self.notes),
            "files": [
                {
                    "path": report.path,
                    **{count: int(getattr(report, count)) for count in counts},
                    "refusals": [
                        {"file": refusal.file, "row": refusal.row, "reason": refusal.reason}
                        for refusal in report.refusals
                    ],
                }
                for report in self.files
            ],
        }


def format_named(name: str) -> Format:
    """The format of this name. Raises ConfigError, which lists the names, on another one."""
    if name not in FORMATS:
        remedy = did_you_mean(name, FORMATS, f"one of {', '.join(sorted(FORMATS))}")
        raise ConfigError(f"there is no format {name!r}", remedy=remedy)
    return FORMATS[name]


def reading(options: ImportOptions) -> ReadOptions:
    """The options as the formats' readers take them."""
    return ReadOptions(
        source=options.source,
        annotator=options.annotator,
        annotator_kind=options.kind,
        set_name=options.set_name,
        use=options.use,
    )


def read_options(
    source: str | None, annotator: str | None, kind: str | None, set_name: str | None, use: str | None
) -> ReadOptions:
    """The same from texts. Raises ConfigError on an unknown kind or use."""
    given = {"source": source, "annotator": annotator, "kind": kind, "set_name": set_name, "use": use}
    return reading(build(ImportOptions, given))


def import_files(
    ledger: Ledger, format_name: str, paths: Sequence[Path], options: ReadOptions, progress: Progress
) -> ImportReport:
    """Bring files or folders of one format into the ledger. A second import changes nothing.

    All files are checked before the first is written. Raises ConfigError on an unknown format, and
    FormatError on a file of the wrong shape; the ledger is then as it was.
    """
    chosen = format_named(format_name)
    files = list(expand(paths, chosen))
    for path in files:
        for _ in chosen.read(path, options):
            pass
    reports = (_import_file(ledger, chosen, path, options=options, progress=progress) for path in files)
    done = tuple(reports)
    notes = (*_namesakes(chosen, files, options), *alike(card.name for card in ledger.annotators()))
    return ImportReport(chosen.name, done, notes)


def _namesakes(chosen: Format, files: Sequence[Path], options: ReadOptions) -> Iterator[str]:
    """A note for each name that several files give to their set or annotator."""
    named, flag = {"instructions": ("set", "--set"), "alpaca-farm": ("annotator", "--annotator")}.get(
        chosen.name, ("", "")
    )
    if not named or (options.set_name if named == "set" else options.annotator):
        return
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(stem(file), []).append(str(file))
    for name, paths in by_name.items():
        if len(paths) > 1:
            yield (
                f"{len(paths)} files are named {name!r}, and their rows that name no {named} went "
                f"into one {named}: {', '.join(paths)} (import them one by one with {flag})"
            )


def _import_file(
    ledger: Ledger, chosen: Format, path: Path, options: ReadOptions, progress: Progress
) -> FileReport:
    report = FileReport(str(path))
    origin = SourceFile(chosen.name, path.name, sha256_of(path))
    with followed() as place:
        rows = ((replace(place), row) for row in chosen.read(path, options))
        while batch := list(islice(rows, BATCH)):
            with ledger.writing() as writer:
                _write(writer, origin, batch, report)
            report.read += len(batch)
            progress(path.name, report.read)
    return report


def _write(
    writer: Writer,
    origin: SourceFile,
    batch: Sequence[tuple[ReadingPlace, Entry | Refusal]],
    report: FileReport,
) -> None:
    """Write one batch and count what became of its rows."""
    preferences: list[tuple[ReadingPlace, PreferenceRow]] = []
    ratings: list[RatedOutput] = []
    pairs: list[ImportedPair] = []
    outputs: list[ImportedOutput] = []
    instructions: list[ImportedInstruction] = []
    for place, row in batch:
        if isinstance(row, Refusal):
            report.refuse(replace(row, file=place.file))
        elif isinstance(row, PreferenceRow | RatedOutput) and len(row.annotator) > LONGEST_NAME:
            long = f"the annotator's name has {len(row.annotator):,} characters, and {LONGEST_NAME} at most"
            report.refuse(Refusal(place.row, long, place.file))
        elif isinstance(row, PreferenceRow):
            preferences.append((place, row))
        elif isinstance(row, RatedOutput):
            ratings.append(row)
        elif isinstance(row, ImportedPair):
            pairs.append(row)
        elif isinstance(row, ImportedOutput):
            outputs.append(row)
        else:
            instructions.append(row)
    # what else a row brings along comes after what it is, so that nothing new counts as there already
    new = writer.new_facts(writer.memberships, [m for row in instructions if (m := _membership(row))])
    new += writer.new_facts(writer.outputs, [_output(row) for row in outputs])
    if ratings:
        [file_id] = writer.files([origin])
        new += writer.new_facts(lambda rows: writer.ratings(rows, file_id), [_rating(row) for row in ratings])
    beside: list[ImportedOutput | RatedOutput] = [*outputs, *ratings]
    writer.memberships([membership for row in beside if (membership := _membership(row))])
    _write_preferences(writer, origin, preferences, report)
    new += writer.new_facts(writer.items, [_item(row, *_pair(row)) for row in pairs])
    report.kept += new
    report.known += len(outputs) + len(ratings) + len(instructions) + len(pairs) - new


def _write_preferences(
    writer: Writer, origin: SourceFile, rows: Sequence[tuple[ReadingPlace, PreferenceRow]], report: FileReport
) -> None:
    if not rows:
        return
    [file_id] = writer.files([origin])
    pairs = [_pair(row) for _, row in rows]
    pair_ids = writer.pairs([pair for pair, _ in pairs])
    item_ids = _item_ids(writer, [(row, *pair) for (_, row), pair in zip(rows, pairs, strict=True)])
    annotator_ids = _annotator_ids(writer, [row for _, row in rows])
    written = writer.judgements(
        [
            ImportedJudgement(
                _annotation(row, flipped, pair_id, annotator_id=annotator_id, item_id=item_id),
                _imported(row, file_id),
            )
            for (_, row), (_, flipped), pair_id, annotator_id, item_id in zip(
                rows, pairs, pair_ids, annotator_ids, item_ids, strict=True
            )
        ]
    )
    for conflict in written.conflicts:
        place = rows[conflict.place][0]
        report.refuse(Refusal(place.row, conflict.reason, place.file))
    report.kept += written.added
    report.known += written.known


@lru_cache(maxsize=4_096)
def _instruction(text: str, input: str, turns: tuple[Turn, ...]) -> Instruction:
    return Instruction.of_turns(turns) if turns else Instruction(text, input)


def _item_ids(writer: Writer, rows: Sequence[tuple[PreferenceRow, Pair, bool]]) -> list[int | None]:
    """The id of the item that each judgement came with; None of a judgement that the farm made.

    That one belongs to all items of its pair. The one that its row names is written too.
    """
    named = [
        None if row.made and (row.source, row.item_id) == (HERE, pair.key) else _item(row, pair, flipped)
        for row, pair, flipped in rows
    ]
    ids = iter(writer.items([item for item in named if item is not None]))
    given = [None if item is None else next(ids) for item in named]
    return [None if row.made else number for (row, *_), number in zip(rows, given, strict=True)]


def _annotator_ids(writer: Writer, rows: Sequence[PreferenceRow]) -> list[int]:
    """The annotator of each row. Where the ledger has the one that made a judgement, it is that one."""
    cards = [_annotator(row) for row in rows]
    keys = {card.key for card in cards} | {row.made.annotator for row in rows if row.made}
    known = writer.known_annotators(keys)
    ids: list[int | None] = []
    for row, card in zip(rows, cards, strict=True):
        who = row.annotator, row.annotator_kind.value
        first = known.get((card.key, *who))
        ids.append(known.get((row.made.annotator, *who)) if row.made and first is None else first)
    new = iter(writer.annotators([card for card, number in zip(cards, ids, strict=True) if number is None]))
    return [next(new) if number is None else number for number in ids]


@lru_cache(maxsize=4_096)
def _answer(instruction: Instruction, text: str, producer: str, drawn: OutputOrigin) -> Output:
    return Output(instruction, text, producer, *drawn)


@lru_cache(maxsize=4_096)
def _pair_of(output_1: Output, output_2: Output) -> tuple[Pair, bool]:
    return Pair.of(output_1, output_2)


def _pair(row: PreferenceRow | ImportedPair) -> tuple[Pair, bool]:
    """The row's pair in canonical order, and whether its output_1 is the pair's output_b."""
    instruction = _instruction(row.instruction, row.input, row.turns)
    made = row.made if isinstance(row, PreferenceRow) else None
    first, second = made.drawn if made else (OutputOrigin(), OutputOrigin())
    return _pair_of(
        _answer(instruction, row.output_1, row.output_1_model or "", first),
        _answer(instruction, row.output_2, row.output_2_model or "", second),
    )


def _item(row: PreferenceRow | ImportedPair, pair: Pair, flipped: bool) -> Item:
    name = pair.key if row.item_id is None else row.item_id
    return Item(
        source=row.source,
        name=name,
        pair=pair,
        flipped=flipped,
        subset=row.subset,
        instruction_ref=row.instruction_id,
    )


def _annotator(row: PreferenceRow | RatedOutput) -> AnnotatorCard:
    made: dict[str, Json] = {MADE: row.made.annotator} if isinstance(row, PreferenceRow) and row.made else {}
    return AnnotatorCard(row.annotator, row.annotator_kind, {"imported": True, **made})


def _annotation(
    row: PreferenceRow, flipped: bool, pair_id: int, annotator_id: int, item_id: int | None
) -> Annotation:
    given = (row.preference, row.made.label if row.made else row.preference)
    preference, label = (each if each is None or not flipped else 1 - each for each in given)
    status = AnnotationStatus.UNREADABLE if preference is None else AnnotationStatus.OK
    return Annotation(
        pair_id=pair_id,
        annotator_id=annotator_id,
        preference=preference,
        label=label,
        swapped=None if row.order_swapped is None else row.order_swapped != flipped,
        status=row.made.status if row.made else status,
        reason=row.reason,
        replicate=row.replicate,
        attempt=row.made.attempt if row.made else 0,
        item_id=item_id,
    )


def _imported(row: PreferenceRow, file_id: int) -> Imported:
    return Imported(
        file_id=file_id,
        preference_raw=None if row.preference_raw is None else json.dumps(row.preference_raw),
        scores=None if row.scores is None else json.dumps(list(row.scores)),
        raw_completion=row.raw_completion,
        price=row.price,
        seconds=row.seconds,
        meta=canonical_json(row.meta) if row.meta else None,
    )


def _rating(row: RatedOutput) -> Rating:
    output = Output(_instruction(row.instruction, row.input, row.turns), row.output, row.model or "")
    return Rating(
        output,
        _annotator(row),
        label=row.label,
        source=row.source,
        subset=row.subset,
        name=row.name,
        raw=None if row.raw is None else json.dumps(row.raw),
        meta=canonical_json(row.meta) if row.meta else None,
    )


def _output(row: ImportedOutput) -> Output:
    return Output(_instruction(row.instruction, row.input, row.turns), row.output, row.model, row.kind)


def _membership(row: ImportedOutput | RatedOutput | ImportedInstruction) -> Membership | None:
    """The row's place in its set; None where it names no set."""
    if row.set_name is None:
        return None
    instruction = _instruction(row.instruction, row.input, row.turns)
    if not isinstance(row, ImportedInstruction):
        return Membership(instruction, row.set_name, name=row.name)
    meta = canonical_json(row.meta) if row.meta else None
    return Membership(
        instruction=instruction,
        set_name=row.set_name,
        use=row.use,
        category=row.category,
        name=row.name,
        meta=meta,
    )
