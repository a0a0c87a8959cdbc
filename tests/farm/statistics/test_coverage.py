"""Simulated studies: 95 % intervals hold the truth 95 % of the time. In full by `make prove`."""

from __future__ import annotations

import pytest

from tests.support.benchmark_scripts import benchmark

STUDIES = benchmark("coverage")


@pytest.mark.parametrize("name", [*STUDIES.ANALYTIC, *STUDIES.RESAMPLED])
def test_coverage_of_few_studies(name: str) -> None:
    # 300 (60) studies: 2.5 standard errors of a coverage of 95 % are 3.2 (7) points
    few = 300 if name in STUDIES.ANALYTIC else 60
    found = STUDIES.coverage((STUDIES.ANALYTIC | STUDIES.RESAMPLED)[name], few)
    assert found.share == pytest.approx(0.95, abs=0.04 if name in STUDIES.ANALYTIC else 0.07)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", [*STUDIES.ANALYTIC, *STUDIES.RESAMPLED])
def test_coverage_in_full(name: str) -> None:
    draws = 10_000 if name in STUDIES.ANALYTIC else 2_000
    found = STUDIES.coverage((STUDIES.ANALYTIC | STUDIES.RESAMPLED)[name], draws)
    assert 0.93 <= found.share <= 0.97
