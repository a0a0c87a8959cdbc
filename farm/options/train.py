"""What a run starts from: the options of `farm train` beside the method's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from farm.judging.provider import Provider, Task
from farm.settings.checked import Options
from farm.settings.fields import Part, option

ASKED = Part(
    without=("batch", "poll_seconds", "weights"),
    flags={"models": "--judge-model"},
    words={
        "models": "The model that judges, or SLOT=MODEL; repeat it for several slots.",
        "max_cost": "US dollars that judgements may cost, over the whole run.",
        "max_requests": "Requests for judgements, over the whole run.",
        "local": "Run --judge-model DIR (a causal language model) in this process.",
        "rows": "Rows in one forward pass of a judge in this process.",
    },
)


class RolloutOptions(Options):
    """Where the rollouts of a run are drawn, where not in its own process."""

    rollout_url: str | None = None
    """A vLLM or SGLang server of the model that is trained; it draws the rollouts."""
    rollout_server: Literal["vllm", "sglang"] = "vllm"
    """What serves there."""
    rollout_model: str = ""
    """The name by which vLLM serves the model; else whatever it serves."""
    rollout_weights: Path | None = None
    """A folder for the policy's weights, which the server reads too; else one in --out."""
    rollout_every: int = option(1, at_least=1)
    """RolloutOptions that are drawn with the same weights, before the server gets new ones."""
    rollout_cap: float = option(2.0, at_least=1)
    """The largest importance weight of what was drawn with other weights than the policy's."""
    rollout_wait: float = option(300.0, above=0)
    """Seconds without an answer from the server after which the run stops at a checkpoint."""
    rollout_concurrency: int = option(256, at_least=1)
    """Prompts in flight at the server."""


class TrainTask(Options):
    """The model and data of a run. Models are directories or hub ids."""

    model: str
    """The model to start from: a directory or a hub id."""
    folder: Path = option(flag="--out")
    """The folder of the run; again, it goes on there."""
    snapshot: str | None = option(None, names="snapshot")
    """The judged pairs to learn from."""
    set_name: str | None = option(None, flag="--set", names="set")
    """The instructions to learn from."""
    demonstrations: str | None = option(None, names="set")
    """A set whose demonstrations are imitated too, where the method can."""
    reference: str | None = None
    """The reference model, if not --model."""
    reward: str | None = None
    """The reward model, where the method wants one."""
    token_reward: str | None = None
    """The policy whose log-ratio to the reference rates each token, where the method wants one."""
    teacher: str | None = None
    """The policy to learn from, where the method wants one."""
    annotator: str | None = option(None, names="catalogue")
    """Who judges fresh responses, or whose prompt the model learns to answer: as the method wants."""
    held_out: float = 0.05
    """Share of the instructions kept for evaluation."""
    max_judgements: int | None = option(None, at_least=1)
    """Judgements of fresh responses at most, over the whole run."""
    memory: float | None = option(None, above=0)
    """GB of memory that the run may take; else what is free. A run that takes more is not begun."""
    judging: Annotated[Task, Part(only=("replicates", "orders", "utility"))] = Task()
    """How often and in which orders fresh pairs are judged, and by which utility."""
    provider: Annotated[Provider, ASKED] = Provider()
    """Where judges are asked, and what that may take."""
    rollouts: RolloutOptions = RolloutOptions()
    """Where rollouts are drawn."""
