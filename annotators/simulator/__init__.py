"""A provider of judges that runs on this machine: real HTTP, known utilities, every fault on demand.

config          whom it plays, what goes wrong, and when
prompt_forms    what a judging prompt shows and how it wants its reply
judges          what each output is worth to a judge, and which it prefers
proposals       rules for a judge, from disagreements of people and that judge
replies         the wording of verdicts, plain and hard to read
faults          everything that can go wrong at a provider, by name
batches         the Files and Batch API
app             the API as a function from request to reply
http            a small HTTP server that can misbehave
server          the provider running: in a thread, a process, or as a command
"""

from annotators.simulator.app import Bill, SimulatorStats
from annotators.simulator.config import (
    BatchPlan,
    Casting,
    FaultPlan,
    Judge,
    Leaning,
    SimulatorConfig,
    Utility,
    request_key,
)
from annotators.simulator.faults import FAULTS, STORM
from annotators.simulator.prompt_forms import ChatMessage, Extractor, PromptComparison, ShownOutput
from annotators.simulator.server import Simulator, serve, simulator_process

__all__ = [
    "FAULTS",
    "STORM",
    "BatchPlan",
    "Bill",
    "Casting",
    "ChatMessage",
    "Extractor",
    "FaultPlan",
    "Judge",
    "Leaning",
    "PromptComparison",
    "ShownOutput",
    "Simulator",
    "SimulatorConfig",
    "SimulatorStats",
    "Utility",
    "request_key",
    "serve",
    "simulator_process",
]
