"""Student's quantile beside scipy's, which is another algorithm, and at values that have a formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from farm.statistics.student import MANY, student_quantile


@given(
    st.one_of(st.integers(1, 2 * MANY), st.floats(1, 1e7)),
    st.one_of(st.floats(0.5, 0.99999), st.floats(1e-5, 0.5)),
)
def test_it_is_that_of_scipy(freedom: float, p: float) -> None:
    assert student_quantile(freedom, p) == pytest.approx(float(stdtrit(freedom, p)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("freedom", [*range(1, 30), 49, 99, MANY - 1, MANY, MANY + 1, 10_000, 10**8])
def test_the_levels_of_the_audit_are_exact(freedom: int) -> None:
    for level in (0.9, 0.95, 0.99):
        found = student_quantile(freedom, (1 + level) / 2)
        assert found == pytest.approx(float(stdtrit(freedom, (1 + level) / 2)), rel=1e-11)


def test_one_and_two_degrees_of_freedom_have_a_formula() -> None:
    for p in (0.001, 0.3, 0.5, 0.975, 0.9999):
        assert student_quantile(1, p) == pytest.approx(math.tan(math.pi * (p - 0.5)), rel=1e-12, abs=1e-15)
        expected = (2 * p - 1) / math.sqrt(2 * p * (1 - p))
        assert student_quantile(2, p) == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("freedom", "p"), [(0.5, 0.9), (3, 0.0), (3, 1.0), (math.nan, 0.5), (3, math.nan)])
def test_outside_there_is_none(freedom: float, p: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        student_quantile(freedom, p)
