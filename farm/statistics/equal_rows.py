"""Rows of a regression that have the same features, as one row with their weight and their wins.

The log-loss of rows with one prediction hangs on two sums alone: of their weights, and of their weights
times their labels. So votes of several people on one pair, and pairs with the same difference in length, are
one row of a fit, whatever weights the rows have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class EqualRows:
    """The different rows of a design. features: (u, d). place: (n,), which of them each row is."""

    features: Floats
    place: Ints

    @classmethod
    def of(cls, design: Floats) -> EqualRows:
        """The different rows of a design (n, d), in the order in which they come."""
        place = np.zeros(len(design), np.int64)
        for column in design.T:
            codes, values = pd.factorize(column)
            place = pd.factorize(place * len(values) + codes)[0]
        first = np.full(int(place.max(initial=-1)) + 1, len(place))
        np.minimum.at(first, place, np.arange(len(place)))
        return cls(design[first], place.astype(np.intp))

    def sums(self, values: Floats) -> Floats:
        """The sum of the values (n,) over the rows that are equal: (u,)."""
        return np.asarray(np.bincount(self.place, values, minlength=len(self.features)), float)

    def by_cluster(self, values: Floats, clusters: Ints) -> sparse.csr_array:
        """The same sum for each cluster: (u, clusters). clusters (n,): of each row, from 0.

        Its product with the weights of the clusters, (clusters, b), is the sum of weighted values, (u, b).
        """
        shape = (len(self.features), int(clusters.max(initial=-1)) + 1)
        return sparse.csr_array((values, (self.place, clusters)), shape)
