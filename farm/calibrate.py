"""Fit an annotator to people: `farm annotators calibrate`.

Of a pool the weights and the label noise are fitted, of a cascade the thresholds, of a panel the error tables
of its members, of a judge on a scale the chance of each step. Nobody is asked anything.
"""

from __future__ import annotations

from typing import TypeAlias

from annotators.cascade import CascadeRule
from annotators.catalogue import SPEC_FILE
from annotators.composite import Composite
from annotators.panel import PanelRule
from annotators.pool import Pool
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger
from db.whole_files import refuse_other
from farm.annotate import loaded
from farm.calibration.pool import Calibration, calibrate_pool
from farm.calibration.strengths import StrengthCalibration, calibrate_strengths
from farm.calibration.tables import PanelCalibration, calibrate_panel
from farm.calibration.thresholds import CascadeCalibration, calibrate_cascade
from farm.judging.composites import named_members
from farm.judging.provider import Provider, Task
from farm.judging.transports import whom_of
from farm.judging.unasked import is_quiet, quiet_spec
from farm.options.calibrate import CalibrateTask as CalibrateTask

Calibrated: TypeAlias = Calibration | CascadeCalibration | PanelCalibration | StrengthCalibration


def calibrate(ledger: Ledger, task: CalibrateTask) -> Calibrated:
    """Fit a pool, a panel, a cascade or a judge on a scale, and write its new file.

    Raises ConfigError where the file exists, the annotator has no members, judgements are missing, or what
    was promised cannot be kept.
    """
    refuse_other(task.out)
    folder = task.out.parent.parent if task.out.name == SPEC_FILE else task.out.parent  # of a new folder
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(folder), remedy="make it first")
    provider = Provider(task.models, local=task.local)
    found = loaded(task.pool, Task(), provider)
    if isinstance(found, Composite):
        known = named_members(ledger, found, provider).annotator
        if isinstance(found.rule, CascadeRule):
            return calibrate_cascade(ledger, found, known, task)
        assert isinstance(found.rule, PanelRule)
        return calibrate_panel(ledger, found, known, task)
    if isinstance(found, AnnotatorSpec) and found.parser.name == "scale":
        return calibrate_strengths(ledger, found, _named(ledger, found, provider), task)
    if not isinstance(found, Pool):
        what = f"{found.name} is no pool, panel, cascade or judge on a scale"
        raise ConfigError(what, remedy="`farm annotators` lists them: crowd is one")
    return calibrate_pool(ledger, found, task)


def _named(ledger: Ledger, spec: AnnotatorSpec, provider: Provider) -> AnnotatorSpec:
    """The judge as the ledger names it."""
    if is_quiet(spec):
        return quiet_spec(ledger, spec, "")
    known = whom_of(spec, provider).annotator
    assert isinstance(known, AnnotatorSpec)
    return known
