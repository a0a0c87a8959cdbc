"""Fit an annotator to people: `farm annotators calibrate`.

Of a pool the weights and the label noise are fitted, of a cascade the thresholds, of a panel the error tables
of its members. Nobody is asked anything.
"""

from __future__ import annotations

from typing import TypeAlias

from annotators.cascade import CascadeRule
from annotators.composite import Composite
from annotators.panel import PanelRule
from annotators.pool import Pool
from db.errors import ConfigError
from db.ledger import Ledger
from db.whole_files import refuse_other
from farm.annotate import loaded
from farm.calibration.pool import Calibration, calibrate_pool
from farm.calibration.tables import PanelCalibration, calibrate_panel
from farm.calibration.thresholds import CascadeCalibration, calibrate_cascade
from farm.judging.composites import named_members
from farm.judging.provider import Provider, Task
from farm.options.calibrate import CalibrateTask as CalibrateTask

Calibrated: TypeAlias = Calibration | CascadeCalibration | PanelCalibration


def calibrate(ledger: Ledger, task: CalibrateTask) -> Calibrated:
    """Fit a pool, a panel or a cascade, and write its new file.

    Raises ConfigError where the file exists, the annotator has no members, judgements are missing, or what
    was promised cannot be kept.
    """
    refuse_other(task.out)
    if not task.out.parent.is_dir():
        raise ConfigError("there is no such folder", where=str(task.out.parent), remedy="make it first")
    provider = Provider(task.models, local=task.local)
    found = loaded(task.pool, Task(), provider)
    if isinstance(found, Composite):
        known = named_members(ledger, found, provider).annotator
        if isinstance(found.rule, CascadeRule):
            return calibrate_cascade(ledger, found, known, task)
        assert isinstance(found.rule, PanelRule)
        return calibrate_panel(ledger, found, known, task)
    if not isinstance(found, Pool):
        what = f"{found.name} is no pool, panel or cascade"
        raise ConfigError(what, remedy="`farm annotators` lists them: crowd is one")
    return calibrate_pool(ledger, found, task)
