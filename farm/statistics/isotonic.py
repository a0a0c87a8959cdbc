"""Means that do not fall: isotonic regression of ordered groups (Barlow et al. 1972)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

Floats = NDArray[np.float64]


def isotonic_means(means: Floats, weights: Floats) -> Floats:
    """The non-decreasing values nearest to the means of ordered groups, in weighted squares: (k,).

    weights (k,): above 0, such as the sizes of the groups. Neighbours that are in the wrong order are pooled.
    """
    fitted: Floats = np.asarray(isotonic_regression(means, weights=weights).x, float)
    return fitted
