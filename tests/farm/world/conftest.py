"""What the tests of the world share: the ledger's judgements as they stand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select

from db.ledger import Ledger
from db.tables import ANNOTATION, ANNOTATOR

Verdicts = dict[str, dict[int, list[float]]]


@pytest.fixture
def verdicts() -> Callable[[Ledger], Verdicts]:
    """Of a ledger: the preferences that were read, by annotator and pair."""

    def read(ledger: Ledger) -> Verdicts:
        row = ANNOTATION.c
        query = select(ANNOTATOR.c.name, row.pair_id, row.preference).join(
            ANNOTATOR, ANNOTATOR.c.id == row.annotator_id
        )
        found: Verdicts = {}
        for name, pair, preference in ledger.stream(query):
            if preference is not None:
                found.setdefault(name, {}).setdefault(pair, []).append(preference)
        return found

    return read
