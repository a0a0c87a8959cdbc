"""Simulated studies: 95 % intervals hold the truth 95 % of the time. In full by `make prove`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "coverage.py"
    spec = importlib.util.spec_from_file_location("coverage_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


STUDIES = _benchmark()


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
