"""Facts into the ledger in bulk, each once, inside one transaction. Reached through `Ledger.writing()` alone.

A fact with a key is written unless the ledger has its key. row_writer.py writes the rows; judgement_rows.py
writes judgements, which have no key of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from operator import attrgetter
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, Table, delete, or_, select, update

from db.judgement_rows import (
    EXTRA_COLUMNS,
    Written,
    annotation_cells,
    beside_of,
    write_judgements,
    write_parts,
)
from db.records import (
    Annotation,
    AnnotatorCard,
    Claim,
    Completion,
    Imported,
    Instruction,
    Item,
    Membership,
    Output,
    Pair,
    Rating,
    Run,
    SourceFile,
    turns_to_json,
)
from db.row_writer import LOOKUP, Cells, RowWriter
from db.tables import (
    ANNOTATOR,
    CHECKPOINT,
    CLAIM,
    CLAIM_SLOT,
    COMPLETION,
    FILE,
    INSTRUCTION,
    ITEM,
    LEASE,
    MEMBERSHIP,
    METRIC,
    OUTPUT,
    OUTPUT_THINKING,
    PAIR,
    RATING,
    RUN,
    SNAPSHOT,
    SNAPSHOT_RATING,
    SNAPSHOT_ROW,
)

# The columns of each table in the order in which this module gives their values, beside `id` and `key`.
INSTRUCTION_COLUMNS = ("text", "input", "turns")
OUTPUT_COLUMNS = ("instruction_id", "text", "producer", "producer_kind", "decoding", "sample", "turns")
PAIR_COLUMNS = ("output_a_id", "output_b_id")
ANNOTATOR_COLUMNS = ("name", "kind", "spec")
ITEM_COLUMNS = ("source", "subset", "name", "pair_id", "flipped", "instruction_ref")
FILE_COLUMNS = ("format", "name", "sha256")
RATING_COLUMNS = (
    "output_id", "annotator_id", "file_id", "label", "source", "subset", "name", "raw", "meta",
)  # fmt: skip
MEMBERSHIP_COLUMNS = ("instruction_id", "set_name", "use", "category", "name", "meta")
CLAIM_COLUMNS = ("request_key", "attempt", "draw_key", "run", "request")
CLAIM_SLOT_COLUMNS = ("claim_id", "slot", "pair_id", "replicate", "swapped")
COMPLETION_COLUMNS = tuple(each.name for each in fields(Completion))
RUN_COLUMNS = tuple(each.name for each in fields(Run))
IMPORTED_CELLS = attrgetter(*EXTRA_COLUMNS)
COMPLETION_CELLS = attrgetter(*COMPLETION_COLUMNS)
RUN_CELLS = attrgetter(*RUN_COLUMNS)


class Keyed(Protocol):
    """A fact that is known by the hash of its content."""

    @property
    def key(self) -> str:
        """The hash."""
        ...


Fact = TypeVar("Fact", bound=Keyed)


class ImportedJudgement(NamedTuple):
    """An annotation and, where it was imported, what its row carried beside it."""

    annotation: Annotation
    imported: Imported | None = None


class Writer:
    """The open transaction. Methods of several facts return their ids in this ledger, in the same order."""

    def __init__(self, connection: Connection) -> None:
        self.rows = RowWriter(connection)

    def instructions(self, facts: Sequence[Instruction]) -> list[int]:
        """Write instructions."""
        return self._ids(
            INSTRUCTION,
            INSTRUCTION_COLUMNS,
            facts,
            lambda new: [(i.text, i.input, turns_to_json(i.turns)) for i in new],
        )

    def outputs(self, facts: Sequence[Output]) -> list[int]:
        """Write outputs, and their instructions."""

        def cells(new: Sequence[Output]) -> list[Cells]:
            instructions = self.instructions([output.instruction for output in new])
            drawn = ((o.producer, o.producer_kind.value, o.decoding, o.sample) for o in new)
            return [
                (parent, o.text, *how, turns_to_json(o.turns))
                for parent, o, how in zip(instructions, new, drawn, strict=True)
            ]

        return self._ids(OUTPUT, OUTPUT_COLUMNS, facts, cells)

    def thoughts(self, by_output: Mapping[int, str]) -> None:
        """Write what models thought before outputs, by the output's id. What is there stays."""
        rows = [(output_id, text) for output_id, text in by_output.items() if text]
        self.rows.insert(OUTPUT_THINKING, rows, ("output_id", "text"), " ON CONFLICT DO NOTHING")

    def pairs(self, facts: Sequence[Pair]) -> list[int]:
        """Write pairs, and their outputs."""

        def cells(new: Sequence[Pair]) -> list[Cells]:
            both = self.outputs([output for pair in new for output in (pair.output_a, pair.output_b)])
            return list(zip(both[::2], both[1::2], strict=True))

        return self._ids(PAIR, PAIR_COLUMNS, facts, cells)

    def annotators(self, facts: Sequence[AnnotatorCard]) -> list[int]:
        """Write annotators."""
        return self._ids(
            ANNOTATOR,
            ANNOTATOR_COLUMNS,
            facts,
            lambda new: [(a.name, a.kind.value, a.spec_json) for a in new],
        )

    def known_annotators(self, keys: Collection[str]) -> dict[tuple[str, str, str], int]:
        """The ids of those annotators that the ledger has, by key, name and kind."""
        columns = (ANNOTATOR.c.key, ANNOTATOR.c.name, ANNOTATOR.c.kind, ANNOTATOR.c.id)
        query = select(*columns).where(ANNOTATOR.c.key.in_(keys))
        return {(key, name, kind): number for key, name, kind, number in self.rows.connection.execute(query)}

    def annotators_like(self, keys: Collection[str], specs: Collection[str]) -> list[tuple[int, str, str]]:
        """The annotators that have one of these keys or specs (canonical JSON): id, key, spec."""
        columns = (ANNOTATOR.c.id, ANNOTATOR.c.key, ANNOTATOR.c.spec)
        query = select(*columns).where(or_(ANNOTATOR.c.key.in_(keys), ANNOTATOR.c.spec.in_(specs)))
        return [tuple(each) for each in self.rows.connection.execute(query)]

    def items(self, facts: Sequence[Item]) -> list[int]:
        """Write items of a source, and their pairs."""

        def cells(new: Sequence[Item]) -> list[Cells]:
            pairs = self.pairs([item.pair for item in new])
            return [
                (i.source, i.subset, i.name, pair, i.flipped, i.instruction_ref)
                for pair, i in zip(pairs, new, strict=True)
            ]

        return self._ids(ITEM, ITEM_COLUMNS, facts, cells)

    def files(self, facts: Sequence[SourceFile]) -> list[int]:
        """Write that files were imported."""
        return self._ids(FILE, FILE_COLUMNS, facts, lambda new: [(f.format, f.name, f.sha256) for f in new])

    def ratings(self, facts: Sequence[Rating], file_id: int) -> list[int]:
        """Write judgements of single outputs that came with a file, and their outputs and annotators."""

        def cells(new: Sequence[Rating]) -> list[Cells]:
            outputs = self.outputs([rating.output for rating in new])
            annotators = self.annotators([rating.annotator for rating in new])
            return [
                (output, annotator, file_id, r.label, r.source, r.subset, r.name, r.raw, r.meta)
                for output, annotator, r in zip(outputs, annotators, new, strict=True)
            ]

        return self._ids(RATING, RATING_COLUMNS, facts, cells)

    def memberships(self, facts: Sequence[Membership]) -> list[int]:
        """Write that instructions belong to sets, and the instructions."""

        def cells(new: Sequence[Membership]) -> list[Cells]:
            instructions = self.instructions([membership.instruction for membership in new])
            return [
                (parent, m.set_name, m.use and m.use.value, m.category, m.name, m.meta)
                for parent, m in zip(instructions, new, strict=True)
            ]

        return self._ids(MEMBERSHIP, MEMBERSHIP_COLUMNS, facts, cells)

    def new_facts(self, write: Callable[[Sequence[Fact]], list[int]], facts: Sequence[Fact]) -> int:
        """Write these facts by one of the methods above; returns how many were new, each counted once."""
        write(facts)
        return self.rows.newly_added  # what the facts are made of was written before them

    def annotations(self, facts: Iterable[Annotation], batch: int = 10_000) -> Written:
        """Write judgements made here. batch: how many are written by one statement."""
        stream, parts, offset = iter(facts), [], 0
        while some := list(islice(stream, batch)):
            parts.append(self._judgements([ImportedJudgement(fact) for fact in some], offset))
            offset += len(some)
        conflicts = tuple(conflict for part in parts for conflict in part.conflicts)
        ids = tuple(number for part in parts for number in part.ids)
        return Written(sum(part.added for part in parts), sum(part.known for part in parts), conflicts, ids)

    def judgements(self, facts: Sequence[ImportedJudgement]) -> Written:
        """Write imported judgements with what their rows carried."""
        return self._judgements(facts)

    def _judgements(self, facts: Sequence[ImportedJudgement], offset: int = 0) -> Written:
        """Write judgements. offset: is added to the places of conflicts."""
        extras = {i: IMPORTED_CELLS(fact.imported) for i, fact in enumerate(facts) if fact.imported}
        beside = {i: found for i, fact in enumerate(facts) if (found := beside_of(fact.annotation))}
        cells = [annotation_cells(fact.annotation) for fact in facts]
        return write_judgements(self.rows, cells, extras, beside=beside, offset=offset)

    def parts(self, wholes: Mapping[int, Sequence[Cells]]) -> None:
        """As `write_parts`."""
        write_parts(self.rows, wholes)

    def claims(self, facts: Sequence[Claim]) -> list[int | None]:
        """Write what is about to be asked; None for an attempt at a request that somebody has claimed."""
        taken = self._attempts({fact.request_key for fact in facts})
        ids: list[int | None] = []
        claims, slots = [], []
        for fact in facts:
            if (fact.request_key, fact.attempt) in taken:
                ids.append(None)
                continue
            taken.add((fact.request_key, fact.attempt))
            number = self.rows.take_ids(CLAIM, 1)
            ids.append(number)
            claims.append((number, fact.request_key, fact.attempt, fact.draw_key, fact.run, fact.request))
            slots += [
                (number, slot, question.pair_id, question.replicate, int(question.swapped))
                for slot, question in enumerate(fact.questions)
            ]
        self.rows.insert(CLAIM, claims, ("id", *CLAIM_COLUMNS))
        self.rows.insert(CLAIM_SLOT, slots, CLAIM_SLOT_COLUMNS)
        return ids

    def _attempts(self, request_keys: Iterable[str]) -> set[tuple[str, int]]:
        """Request key and number of every attempt that was claimed at these requests."""
        found: set[tuple[str, int]] = set()
        keys = list(request_keys)
        for i in range(0, len(keys), LOOKUP):
            query = select(CLAIM.c.request_key, CLAIM.c.attempt)
            query = query.where(CLAIM.c.request_key.in_(keys[i : i + LOOKUP]))
            found |= {(row.request_key, row.attempt) for row in self.rows.connection.execute(query)}
        return found

    def completions(self, facts: Sequence[Completion]) -> None:
        """Write what came of claims, each once. Raises UnstorableRow."""
        rows = [COMPLETION_CELLS(fact) for fact in facts]
        self.rows.insert(COMPLETION, rows, COMPLETION_COLUMNS, " ON CONFLICT DO NOTHING")

    def begin_lease(self, run: str) -> None:
        """Let a run count as alive."""
        self.rows.insert(LEASE, [(run, 0)], ("run", "beats"), " ON CONFLICT DO NOTHING")

    def renew_lease(self, run: str) -> bool:
        """Raise the counter of a run. False where it is gone: another run has taken over its claims."""
        raised = update(LEASE).where(LEASE.c.run == run).values(beats=LEASE.c.beats + 1)
        return self.rows.connection.execute(raised).rowcount > 0

    def end_leases(self, runs: Collection[str]) -> None:
        """Let these runs count as alive no more."""
        self.rows.connection.execute(delete(LEASE).where(LEASE.c.run.in_(runs)))

    def beats(self) -> dict[str, int]:
        """The counters of the runs that may be alive, by name."""
        return {row.run: row.beats for row in self.rows.connection.execute(select(LEASE))}

    def claim_like(self, claim: Cells, slots: Sequence[Cells], completion: Cells | None) -> int:
        """The id of our claim with this request and completion; a new attempt is written if need be.

        claim: request_key, draw_key, run and request. slots: the columns of claim_slot after claim_id.
        completion: the columns of completion after claim_id, None where there is no word of the claim.
        """
        query = select(CLAIM.c.id, CLAIM.c.attempt, COMPLETION).select_from(CLAIM.outerjoin(COMPLETION))
        attempt = 0
        for row in self.rows.connection.execute(query.where(CLAIM.c.request_key == claim[0])):
            if completion in (None, tuple(row[3:]) if row[2] is not None else None):
                return int(row.id)
            attempt = max(attempt, row.attempt + 1)
        number = self.rows.take_ids(CLAIM, 1)
        self.rows.insert(CLAIM, [(number, claim[0], attempt, *claim[1:])], ("id", *CLAIM_COLUMNS))
        self.rows.insert(CLAIM_SLOT, [(number, *slot) for slot in slots], CLAIM_SLOT_COLUMNS)
        if completion is not None:
            self.rows.insert(COMPLETION, [(number, *completion)], COMPLETION_COLUMNS)
        return number

    def snapshot(
        self,
        name: str,
        key: str,
        choice: str,
        annotation_ids: Sequence[int] = (),
        rating_ids: Sequence[int] = (),
    ) -> int:
        """Freeze these judgements or ratings under a name. Returns the snapshot's id."""
        number = self.rows.take_ids(SNAPSHOT, 1)
        self.rows.insert(SNAPSHOT, [(number, key, name, choice)], ("id", "key", "name", "choice"))
        members = [(number, annotation_id) for annotation_id in annotation_ids]
        self.rows.insert(SNAPSHOT_ROW, members, ("snapshot_id", "annotation_id"))
        rated = [(number, rating_id) for rating_id in rating_ids]
        self.rows.insert(SNAPSHOT_RATING, rated, ("snapshot_id", "rating_id"))
        return number

    def run(self, fact: Run) -> int:
        """Write that a training run begins. Returns its id."""
        number = self.rows.take_ids(RUN, 1)
        self.rows.insert(RUN, [(number, *RUN_CELLS(fact))], ("id", *RUN_COLUMNS))
        return number

    def metrics(self, run_id: int, step: int, values: Mapping[str, float]) -> None:
        """Write a run's metrics at a step. Those that are there stay: a step may be trained again."""
        rows = [(run_id, step, name, value) for name, value in values.items()]
        self.rows.insert(METRIC, rows, ("run_id", "step", "name", "value"), " ON CONFLICT DO NOTHING")

    def checkpoint(self, run_id: int, step: int, path: str) -> int:
        """Write that a run left a checkpoint in a folder. Returns its id."""
        number = self.rows.take_ids(CHECKPOINT, 1)
        self.rows.insert(CHECKPOINT, [(number, run_id, step, path)], ("id", "run_id", "step", "path"))
        return number

    def _ids(
        self,
        table: Table,
        columns: Sequence[str],
        facts: Sequence[Fact],
        cells: Callable[[Sequence[Fact]], Sequence[Cells]],
    ) -> list[int]:
        """The ids of facts with keys, in order. cells: gives the values of `columns` for the new facts."""
        keys = [fact.key for fact in facts]
        return self.rows.keyed(table, columns, keys, lambda new: cells([facts[i] for i in new]))
