"""McNemar's exact test: by hand, and beside statsmodels and scipy."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar as theirs

from farm.statistics.mcnemar import mcnemar


def test_by_hand() -> None:
    """1 lost of 6 changed: 2 (1 + 6) / 64. An even split, and nobody changed."""
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) is None


@pytest.mark.parametrize(("lost", "gained"), [(0, 4), (2, 9), (10, 30), (400, 520)])
def test_as_statsmodels_and_scipy(lost: int, gained: int) -> None:
    found = mcnemar(lost, gained)
    assert found == pytest.approx(theirs([[50, lost], [gained, 20]], exact=True).pvalue)
    assert found == pytest.approx(binomtest(lost, lost + gained).pvalue)
