"""The columns that the writers name are all columns of their tables, in order: a merge copies rows whole."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Table

from db import judgement_rows, tables, writer


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (tables.INSTRUCTION, ("id", "key", *writer.INSTRUCTION_COLUMNS)),
        (tables.OUTPUT, ("id", "key", *writer.OUTPUT_COLUMNS)),
        (tables.PAIR, ("id", "key", *writer.PAIR_COLUMNS)),
        (tables.ANNOTATOR, ("id", "key", *writer.ANNOTATOR_COLUMNS)),
        (tables.ITEM, ("id", "key", *writer.ITEM_COLUMNS)),
        (tables.FILE, ("id", "key", *writer.FILE_COLUMNS)),
        (tables.RATING, ("id", "key", *writer.RATING_COLUMNS)),
        (tables.MEMBERSHIP, ("id", "key", *writer.MEMBERSHIP_COLUMNS)),
        (tables.CLAIM, ("id", *writer.CLAIM_COLUMNS)),
        (tables.CLAIM_SLOT, writer.CLAIM_SLOT_COLUMNS),
        (tables.COMPLETION, writer.COMPLETION_COLUMNS),
        (tables.RUN, ("id", *writer.RUN_COLUMNS)),
        (tables.ANNOTATION, ("id", *judgement_rows.COLUMNS)),
        (tables.IMPORTED, ("annotation_id", *judgement_rows.EXTRA_COLUMNS)),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_every_column_is_written(table: Table, columns: Sequence[str]) -> None:
    assert tuple(columns) == tuple(table.columns.keys())
