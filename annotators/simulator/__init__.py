"""A provider of judges that runs on this machine: real HTTP, known utilities, every fault on demand."""

from annotators.simulator.app import Bill, Stats
from annotators.simulator.config import (
    BatchPlan,
    Casting,
    FaultPlan,
    Judge,
    SimulatorConfig,
    Utility,
    request_key,
)
from annotators.simulator.faults import FAULTS, STORM
from annotators.simulator.reading import Extractor, Question, Said, Shown
from annotators.simulator.server import Simulator, serve, simulator_process

__all__ = [
    "FAULTS",
    "STORM",
    "BatchPlan",
    "Bill",
    "Casting",
    "Extractor",
    "FaultPlan",
    "Judge",
    "Question",
    "Said",
    "Shown",
    "Simulator",
    "SimulatorConfig",
    "Stats",
    "Utility",
    "request_key",
    "serve",
    "simulator_process",
]
