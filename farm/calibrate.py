"""Make an annotator judge as people do: `farm annotators calibrate`, `align` and `imitate`.

`calibrate` fits what stands in an annotator's file: of a pool the weights and the label noise, of a cascade
the thresholds, of a panel the error tables of its members, of a judge on a scale the chance of each step.
Nobody is asked anything. `align` searches for rules that a judge's prompt lacks. `imitate` makes a judge for
each person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from annotators.cascade import CascadeRule
from annotators.catalogue import SPEC_FILE, ModelSlots, default_slots
from annotators.clients.budget import Estimate
from annotators.composite import AnyAnnotator, Composite
from annotators.panel import PanelRule
from annotators.pool import Pool
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.ledger import Ledger
from db.whole_files import refuse_other
from farm.aligning.foreseen import foreseen
from farm.aligning.imitate import Imitation, foreseen_imitation, imitate_people
from farm.aligning.report import Alignment
from farm.aligning.run import Load, Search
from farm.annotate import loaded
from farm.calibration.pool import Calibration, calibrate_pool
from farm.calibration.strengths import StrengthCalibration, calibrate_strengths
from farm.calibration.tables import PanelCalibration, calibrate_panel
from farm.calibration.thresholds import CascadeCalibration, calibrate_cascade
from farm.judging.composites import named_members
from farm.judging.provider import Provider, Task
from farm.judging.transports import whom_of
from farm.judging.unasked import is_quiet, quiet_spec
from farm.options.align import AlignTask as AlignTask
from farm.options.calibrate import CalibrateTask as CalibrateTask
from farm.options.imitate import ImitateTask as ImitateTask
from farm.progress import Progress

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
        if not isinstance(found.rule, PanelRule):
            what = f"{found.name} has nothing to fit: it asks one judge until its side is clear"
            raise ConfigError(what, remedy="calibrate its member, if that is a pool or a judge on a scale")
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


def align(ledger: Ledger, task: AlignTask, provider: Provider, progress: Progress) -> Alignment:
    """Search for rules with which people agree more with a judge, and write them as annotators.

    Raises ConfigError where it cannot begin or there is nothing to learn from. Raises RunStopped where the
    provider or the budget ends the run early; the same call goes on from there.
    """
    proposer = _model(task.proposer, provider)
    search = Search(ledger, task, _loading(provider), proposer=proposer, provider=provider, progress=progress)
    return search.run()


def plan_alignment(ledger: Ledger, task: AlignTask, provider: Provider) -> Mapping[str, Estimate]:
    """What `align` would ask at most, by whom it asks. Nothing is asked and nothing is written."""
    proposer = _model(task.proposer, provider)
    return foreseen(ledger, task, _loading(provider), proposer=proposer, provider=provider)


def imitate(ledger: Ledger, task: ImitateTask, provider: Provider, progress: Progress) -> Imitation:
    """Make a judge for each person, and compare them on judgements that were held out.

    Raises ConfigError where it cannot begin. Raises RunStopped where the provider or the budget ends the run
    early; the same call goes on from there.
    """
    return imitate_people(ledger, task, _loading(provider), provider=provider, progress=progress)


def plan_imitation(ledger: Ledger, task: ImitateTask, provider: Provider) -> Mapping[str, Estimate]:
    """What `imitate` would ask, by whom it asks. Nothing is asked and nothing is written."""
    return foreseen_imitation(ledger, task, _loading(provider), provider)


def _loading(provider: Provider) -> Load:
    def load(name: str) -> AnyAnnotator:
        return loaded(name, Task(), provider)

    return load


def _model(name: str, provider: Provider) -> str:
    """The model that fills a slot, or the model of this name."""
    given = ModelSlots.of(provider.models)
    usual = default_slots()
    return given.slots.get(name) or given.every or usual[name] if name in usual else name
