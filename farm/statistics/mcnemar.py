"""McNemar's test: did a share change between two measurements of the same items.

Only the items that changed tell. Where nothing but chance changes them, each is as likely to have been gained
as lost, so the number of losses is binomial with one half (McNemar 1947). The p-value is the exact two-sided
one: twice the chance of a split at least as uneven, at most 1.
"""

from __future__ import annotations


def mcnemar(lost: int, gained: int) -> float | None:
    """The exact p-value of so many items lost and gained; None where none changed, since nothing is told."""
    from scipy.stats import binom  # it takes long to load, and most audits do not need it

    changed = lost + gained
    return min(1.0, 2 * float(binom.cdf(min(lost, gained), changed, 0.5))) if changed else None
