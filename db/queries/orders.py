"""Swap and average: two judgements of one pair, one in each order, become their mean.

Position bias favours output_a in one order and output_b in the other, so it cancels in the mean. A judge that
follows the position alone gives a tie. Where one of the two judgements has no verdict, the mean has none.
A pair that was judged in one order only stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

BOTH = -1  # `swapped` of a mean, which has no order of its own


def averaged_over_orders(
    rows: pd.DataFrame, asked: Sequence[str], means: Sequence[str], sums: Sequence[str] = ()
) -> pd.DataFrame:
    """Put one row in place of the two rows that ask the same question in the two orders.

    rows: judgements with `swapped` (0, 1, or -1 where unknown), at most one per question and order.
    asked: the columns that identify a question. means, sums: columns that become the mean or the sum of both
    rows, NaN where one is missing. All other columns come from the row in which the first of `means` is
    missing, if there is one, else from the row that showed output_a first.
    """
    known = rows[rows["swapped"] >= 0]
    both = known[known.duplicated(list(asked), keep=False)]
    both = both.assign(told=both[means[0]].notna()).sort_values([*asked, "told", "swapped"])
    one, other = both.iloc[::2], both.iloc[1::2]
    merged = rows.drop(index=other.index).sort_index()
    merged.loc[one.index, "swapped"] = BOTH
    for name in (*means, *sums):
        total = one[name].to_numpy() + other[name].to_numpy()
        value = pd.Series(total / 2 if name in means else total, one.index)
        merged.loc[one.index, name] = value.astype(rows[name].dtype)
    return merged
