"""Of several attempts at a judgement the latest counts."""

from __future__ import annotations

import pandas as pd

ASKED = ["pair_id", "annotator", "item_id", "replicate", "swapped"]
"""How frames name the columns `db.tables.ANSWERED`: what a judgement answers."""


def latest_attempts(rows: pd.DataFrame) -> pd.DataFrame:
    """The last row of each judgement. rows: with the columns ASKED, later attempts further below."""
    return rows.drop_duplicates(ASKED, keep="last")
