"""What language models were asked before, so that nothing is paid for twice.

A request is identified by its key. A claim is written before each sending, and a completion with its result.
A claim without a completion is still in flight, or was when its process ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Row, Select, select

from db.ledger import Ledger, PairFilter, filtered
from db.records import Claim, Completion, Question
from db.tables import CLAIM, CLAIM_SLOT, COMPLETION, OUTPUT, PAIR

LOOKUP = 5_000


@dataclass(frozen=True, slots=True)
class RequestStanding:
    """What is known of a request that was claimed before."""

    attempts: int  # number of claims so far
    run: str  # the process that made the latest claim
    latest: Completion | None  # result of the latest claim; None while it has none
    completion: Completion | None  # best result of all claims: a reply rather than a failure


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """A batch of questions that was claimed as one request."""

    questions: tuple[Question, ...]  # in the order in which the request shows them
    run: str  # the process that made the latest claim
    failed: bool  # whether the latest claim failed


def answers(ledger: Ledger, request_keys: Sequence[str]) -> dict[str, RequestStanding]:
    """By key, what is known of those requests that were claimed before."""
    found: dict[str, RequestStanding] = {}
    for i in range(0, len(request_keys), LOOKUP):
        query = (
            select(CLAIM, COMPLETION)
            .select_from(CLAIM.outerjoin(COMPLETION))
            .where(CLAIM.c.request_key.in_(request_keys[i : i + LOOKUP]))
            .order_by(CLAIM.c.attempt)
        )
        for row in ledger.stream(query):
            completion = _completion(row)
            before = found.get(row.request_key)
            best = before.completion if before else None
            if best is None or (best.failure is not None and completion is not None):
                best = completion
            found[row.request_key] = RequestStanding(row.attempt + 1, row.run, completion, best)
    return found


def by_instruction(ledger: Ledger, wanted: PairFilter) -> Iterator[list[int]]:
    """The ids of the pairs that are wanted, those of one instruction together."""
    query = (
        select(PAIR.c.id, OUTPUT.c.instruction_id)
        .join(OUTPUT, OUTPUT.c.id == PAIR.c.output_a_id)
        .order_by(PAIR.c.id)
    )
    found: dict[int, list[int]] = {}
    for number, instruction in ledger.stream(filtered(query, wanted)):
        found.setdefault(instruction, []).append(number)
    yield from found.values()


def batches(ledger: Ledger, draw_key: str, pair_ids: Sequence[int]) -> list[ClaimedBatch]:
    """The batches with this draw key that were claimed for any of these pairs, answered ones first.

    A batch is read or asked again as it was. Answered batches are listed too: another parser may read them,
    or another process may be about to write their judgements.
    """
    places: dict[str, dict[int, Question]] = {}
    latest: dict[str, Row[Any]] = {}
    answered: set[str] = set()
    for i in range(0, len(pair_ids), LOOKUP):
        for row in ledger.stream(_claims_of(draw_key, pair_ids[i : i + LOOKUP])):
            slots = places.setdefault(row.request_key, {})
            slots[row.slot] = Question(row.pair_id, row.replicate, bool(row.swapped))
            latest[row.request_key] = row
            if row.answered is not None and row.failure is None:
                answered.add(row.request_key)
    return [
        ClaimedBatch(
            tuple(slots[place] for place in sorted(slots)), latest[key].run, latest[key].failure is not None
        )
        for key, slots in sorted(places.items(), key=lambda batch: batch[0] not in answered)
    ]


def open_keys(ledger: Ledger, draw_keys: Sequence[str]) -> set[str]:
    """Keys of the requests with these draw keys that have a claim without a completion."""
    query = (
        select(CLAIM.c.request_key)
        .select_from(CLAIM.outerjoin(COMPLETION))
        .where(CLAIM.c.draw_key.in_(draw_keys), COMPLETION.c.claim_id.is_(None))
    )
    return {row.request_key for row in ledger.stream(query)}


def _claims_of(draw_key: str, pair_ids: Sequence[int]) -> Select[*tuple[object, ...]]:
    """A query for all slots of those claims with this draw key that show any of these pairs."""
    shown = select(CLAIM_SLOT.c.claim_id).where(CLAIM_SLOT.c.pair_id.in_(pair_ids))
    return (
        select(
            CLAIM.c.request_key,
            CLAIM.c.run,
            CLAIM_SLOT.c.slot,
            CLAIM_SLOT.c.pair_id,
            CLAIM_SLOT.c.replicate,
            CLAIM_SLOT.c.swapped,
            COMPLETION.c.claim_id.label("answered"),
            COMPLETION.c.failure,
        )
        .select_from(CLAIM.join(CLAIM_SLOT).outerjoin(COMPLETION, COMPLETION.c.claim_id == CLAIM.c.id))
        .where(CLAIM.c.draw_key == draw_key, CLAIM.c.id.in_(shown))
        .order_by(CLAIM.c.id, CLAIM_SLOT.c.slot)
    )


def claims(ledger: Ledger, claim_ids: Sequence[int]) -> dict[int, Claim]:
    """Claims with their slots, by id. A request that is about no pair has none."""
    query = (
        select(CLAIM, CLAIM_SLOT.c.slot, CLAIM_SLOT.c.pair_id, CLAIM_SLOT.c.replicate, CLAIM_SLOT.c.swapped)
        .select_from(CLAIM.outerjoin(CLAIM_SLOT))
        .where(CLAIM.c.id.in_(claim_ids))
        .order_by(CLAIM.c.id, CLAIM_SLOT.c.slot)
    )
    slots: dict[int, list[Question]] = {}
    rows = {}
    for row in ledger.stream(query):
        rows[row.id] = row
        slots.setdefault(row.id, [])
        if row.pair_id is not None:
            slots[row.id].append(Question(row.pair_id, row.replicate, bool(row.swapped)))
    return {
        i: Claim(
            request_key=row.request_key,
            draw_key=row.draw_key,
            run=row.run,
            request=row.request,
            questions=tuple(slots[i]),
            attempt=row.attempt,
            id=i,
        )
        for i, row in rows.items()
    }


def completions(ledger: Ledger, claim_ids: Sequence[int]) -> dict[int, Completion]:
    """Completions by the id of their claim; a claim without one is left out."""
    query = select(COMPLETION).where(COMPLETION.c.claim_id.in_(claim_ids))
    found = map(_completion, ledger.stream(query))
    return {each.claim_id: each for each in found if each is not None}


def _completion(row: object) -> Completion | None:
    if getattr(row, "claim_id", None) is None:
        return None
    return Completion(**{each.name: getattr(row, each.name) for each in fields(Completion)})
