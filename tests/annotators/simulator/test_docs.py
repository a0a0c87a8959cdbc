"""The pages name everything that can be named."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from annotators.clients import FAILURES, WARNINGS
from annotators.simulator import FAULTS, BatchPlan, FaultPlan, Judge, Leaning, SimulatorConfig
from annotators.simulator.replies import FORMS

DOCS = Path(__file__).parents[3] / "docs"


def named(page: str) -> set[str]:
    """What stands in back quotes on a page."""
    return set(re.findall(r"`([^`\n]+)`", (DOCS / page).read_text()))


def test_every_failure_and_warning_is_explained() -> None:
    assert named("providers.md") >= {*FAILURES, *WARNINGS}


def test_every_fault_form_and_option_of_the_simulator_is_explained() -> None:
    options = {each.name for kind in (SimulatorConfig, Judge, Leaning, BatchPlan) for each in fields(kind)}
    assert named("serve_simulator.md") >= {*FAULTS, *FORMS, *options}
    text = (DOCS / "serve_simulator.md").read_text()
    assert all(each.name in text for each in fields(FaultPlan))
