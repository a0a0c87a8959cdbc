"""Bring the field's files into the ledger: `farm import`.

All files are read to their ends before anything is written: if the shape of one is wrong, the ledger is not
changed. What was read is held in memory, up to HELD characters; a file beyond that is read again when its
turn comes. Rows are written in batches, each of which becomes visible whole. A file that was imported in part
can be imported again: rows that are there already are known and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from db.errors import ConfigError, did_you_mean
from db.ids import Json, canonical_json
from db.interchange import FORMATS, Format, expand, facts
from db.interchange.fields import stem
from db.interchange.made_here import HERE
from db.interchange.opening import sha256_of
from db.interchange.rows import (
    Entry,
    ImportedInstruction,
    ImportedOutput,
    ImportedPair,
    MadeOf,
    Placed,
    PreferenceRow,
    RatedOutput,
    ReadOptions,
    Refusal,
)
from db.ledger import Ledger
from db.names import LONGEST_NAME, alike
from db.records import (
    Pair,
    SourceFile,
)
from db.writer import ImportedJudgement, Writer
from farm.options.import_ import ImportOptions
from farm.progress import Progress
from farm.settings.checked import build

BATCH = 2_000  # rows in one transaction
HELD = 64 << 20  # characters


@dataclass
class FileReport:
    """What became of one file: read = kept + known + refused."""

    path: str
    read: int = 0
    kept: int = 0  # new in the ledger
    known: int = 0  # in the ledger already
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def end(self) -> Refusal | None:
        """The row beyond which the file was not read; None where it was read to its end."""
        return next((each for each in self.refusals if each.is_end), None)

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
    def is_failure(self) -> bool:
        """Whether rows were refused and nothing new was kept, or a file was not read to its end."""
        in_vain = self.total("refused") > 0 and self.total("kept") == 0
        return in_vain or any(report.end for report in self.files)

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
    room, held = HELD, []
    for path in files:
        rows, size = _read_whole(chosen.placed(path, options), room)
        room -= size if rows is not None else 0
        held.append(rows)
    reports = [FileReport(str(path)) for path in files]
    for path, rows, report in zip(files, held, reports, strict=True):
        origin = SourceFile(chosen.name, path.name, sha256_of(path))
        placed = chosen.placed(path, options) if rows is None else rows
        for batch in _batches(placed):
            with ledger.writing() as writer:
                _write(writer, origin, batch, report)
            report.read += len(batch)
            progress(path.name, report.read)
    cut = (f"{each.path} was read up to row {each.end.row} alone" for each in reports if each.end)
    notes = (*cut, *_namesakes(chosen, files, options), *alike(card.name for card in ledger.annotators()))
    return ImportReport(chosen.name, tuple(reports), notes)


def _read_whole(rows: Iterable[Placed], room: int) -> tuple[list[Placed] | None, int]:
    """Read rows to their end. Returns them, or None where they have over `room` characters, and how many."""
    held, size = [], 0
    for row in rows:
        size += _characters(row.entry)
        if size <= room:
            held.append(row)
        else:
            held.clear()
    return (held if size <= room else None), size


def _characters(entry: Entry | Refusal) -> int:
    """About how many characters an entry has, in its texts and in what it keeps beside them."""
    count = 0
    for name in entry._fields if isinstance(entry, PreferenceRow) else entry.__slots__:
        value = getattr(entry, name)
        if isinstance(value, str):
            count += len(value)
        elif isinstance(value, dict):
            count += len(str(value)) if value else 0
    return count


def _batches(rows: Iterable[Placed]) -> Iterator[list[Placed]]:
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        yield batch


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


def _write(
    writer: Writer,
    origin: SourceFile,
    batch: Sequence[Placed],
    report: FileReport,
) -> None:
    """Write one batch and count what became of its rows."""
    preferences: list[tuple[Placed, PreferenceRow]] = []
    ratings: list[RatedOutput] = []
    pairs: list[ImportedPair] = []
    outputs: list[ImportedOutput] = []
    instructions: list[ImportedInstruction] = []
    for place in batch:
        row = place.entry
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
    new = writer.new_facts(writer.memberships, [m for row in instructions if (m := facts.membership(row))])
    new += writer.new_facts(writer.outputs, [facts.output(row) for row in outputs])
    if ratings:
        [file_id] = writer.files([origin])
        new += writer.new_facts(
            lambda rows: writer.ratings(rows, file_id), [facts.rating(row) for row in ratings]
        )
    beside: list[ImportedOutput | RatedOutput] = [*outputs, *ratings]
    writer.memberships([membership for row in beside if (membership := facts.membership(row))])
    _write_preferences(writer, origin, preferences, report)
    new += writer.new_facts(writer.items, [facts.item(row, *facts.pair(row)) for row in pairs])
    report.kept += new
    report.known += len(outputs) + len(ratings) + len(instructions) + len(pairs) - new


def _write_preferences(
    writer: Writer, origin: SourceFile, rows: Sequence[tuple[Placed, PreferenceRow]], report: FileReport
) -> None:
    if not rows:
        return
    [file_id] = writer.files([origin])
    pairs = [facts.pair(row) for _, row in rows]
    pair_ids = writer.pairs([pair for pair, _ in pairs])
    item_ids = _item_ids(writer, [(row, *pair) for (_, row), pair in zip(rows, pairs, strict=True)])
    annotator_ids = _annotator_ids(writer, [row for _, row in rows])
    written = writer.judgements(
        [
            ImportedJudgement(
                facts.annotation(row, flipped, pair_id, annotator_id=annotator_id, item_id=item_id),
                facts.imported(row, file_id),
            )
            for (_, row), (_, flipped), pair_id, annotator_id, item_id in zip(
                rows, pairs, pair_ids, annotator_ids, item_ids, strict=True
            )
        ]
    )
    _write_parts(
        writer,
        [
            (number, pair_id, flipped, row.made.parts)
            for number, pair_id, (_, flipped), (_, row) in zip(
                written.ids, pair_ids, pairs, rows, strict=True
            )
            if number and row.made and row.made.parts
        ],
    )
    for conflict in written.conflicts:
        place = rows[conflict.place][0]
        report.refuse(Refusal(place.row, conflict.reason, place.file))
    report.kept += written.added
    report.known += written.known


def _write_parts(writer: Writer, wholes: Sequence[tuple[int, int, bool, tuple[MadeOf, ...]]]) -> None:
    """Point judgements to what they were made of. wholes: id, pair, whether the row is flipped, parts."""
    keys = {part.annotator for *_, parts in wholes for part in parts}
    stand_ins = {canonical_json(facts.stand_in(key)): key for key in keys}
    who: dict[str, list[int]] = {}
    for number, key, spec in writer.annotators_like(keys, stand_ins.keys()):
        who.setdefault(stand_ins.get(spec, key), []).append(number)
    found = {}
    for whole, pair_id, flipped, parts in wholes:
        found[whole] = [
            (
                pair_id,
                maker,
                None,
                part.replicate,
                facts.turned_order(part.order_swapped, flipped),
                part.attempt,
            )
            for part in parts
            for maker in who.get(part.annotator, ())
        ]
    writer.parts(found)


def _item_ids(writer: Writer, rows: Sequence[tuple[PreferenceRow, Pair, bool]]) -> list[int | None]:
    """The id of the item that each judgement came with; None of a judgement that the farm made.

    That one belongs to all items of its pair. The one that its row names is written too.
    """
    named = [
        None if row.made and (row.source, row.item_id) == (HERE, pair.key) else facts.item(row, pair, flipped)
        for row, pair, flipped in rows
    ]
    ids = iter(writer.items([item for item in named if item is not None]))
    given = [None if item is None else next(ids) for item in named]
    return [None if row.made else number for (row, *_), number in zip(rows, given, strict=True)]


def _annotator_ids(writer: Writer, rows: Sequence[PreferenceRow]) -> list[int]:
    """The annotator of each row. Where the ledger has the one that made a judgement, it is that one.

    It is written where a row has its spec, and nothing stands for it from an earlier file.
    """
    cards = [facts.annotator(row) for row in rows]
    keys = {card.key for card in cards} | {row.made.annotator for row in rows if row.made}
    known = writer.known_annotators(keys)
    own = [
        made
        for row, card in zip(rows, cards, strict=True)
        if (card.key, card.name, card.kind.value) not in known and (made := facts.own_annotator(row))
    ]
    known |= {
        (card.key, card.name, card.kind.value): number
        for card, number in zip(own, writer.annotators(own), strict=True)
    }
    ids: list[int | None] = []
    for row, card in zip(rows, cards, strict=True):
        who = row.annotator, row.annotator_kind.value
        first = known.get((card.key, *who))
        ids.append(known.get((row.made.annotator, *who)) if row.made and first is None else first)
    new = iter(writer.annotators([card for card, number in zip(cards, ids, strict=True) if number is None]))
    return [next(new) if number is None else number for number in ids]
