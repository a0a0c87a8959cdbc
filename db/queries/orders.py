"""Swap and average: a pair that was judged in both orders counts once, as the mean of both.

What the first place alone wins for an output it loses for the other, so a position bias cancels; a judge that
follows the place says tie. Both orders or none: where one of the two has no verdict, the mean has none. What
was judged in one order only stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

BOTH = -1  # `swapped` of a mean: no one order


def averaged_over_orders(
    rows: pd.DataFrame, asked: Sequence[str], means: Sequence[str], sums: Sequence[str] = ()
) -> pd.DataFrame:
    """One row in place of the two that show the same `asked` in either order.

    rows: judgements with `swapped` (0, 1, -1 unknown), no two of the same `asked` and order. means: columns
    that become the mean of both, NaN where one is missing; sums: likewise. All else is of the one without
    a first of the means, if there is one, else of the one that showed output_a first.
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
