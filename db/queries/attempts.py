"""Of several attempts at a judgement the latest counts."""

from __future__ import annotations

import numpy as np
import pandas as pd

ASKED = ["pair_id", "annotator", "item_id", "replicate", "swapped"]
"""How frames name the columns `db.tables.ANSWERED`: what a judgement answers."""
KINDS = {
    "pair_id": "int32",
    "annotator": "int32",
    "item_id": "int32",
    "replicate": "int64",
    "swapped": "int8",
    "attempt": "int32",
}
"""The columns `db.tables.JUDGEMENT`, and the narrowest types that hold them."""


def latest_attempts(rows: pd.DataFrame) -> pd.DataFrame:
    """The last row of each judgement. rows: with the columns ASKED, later attempts further below."""
    return rows.drop_duplicates(ASKED, keep="last")


def latest_of_sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """The same of rows in the order of `db.tables.JUDGEMENT`, with a column `attempt`: needs no look-up."""
    if not rows["attempt"].any():
        return rows
    last = np.ones(len(rows), bool)
    last[:-1] = False
    for name in ASKED:
        column = rows[name].to_numpy()
        last[:-1] |= column[1:] != column[:-1]
    return rows[last]
