"""What a run starts from: the options of `farm train` beside the method's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from farm.judging.provider import Provider, Task
from farm.options.rounds import Rounds
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


JUDGING = Part(
    only=("replicates", "orders"),
    flags={"replicates": "--evaluate-replicates", "orders": "--evaluate-orders"},
    words={
        "replicates": "Independent judgements of each pair of an evaluation.",
        "orders": "Which output an evaluation shows first: random, both or stored.",
    },
)
EVALUATOR = Part(
    only=("models", "base_url", "max_cost", "max_requests", "local"),
    flags={
        "models": "--evaluate-judge-model",
        "base_url": "--evaluate-base-url",
        "max_cost": "--evaluate-max-cost",
        "max_requests": "--evaluate-max-requests",
        "local": "--evaluate-local",
    },
    words={
        "models": "The model that judges evaluations, or SLOT=MODEL; repeat it for several slots.",
        "base_url": "The server of the evaluations' judge; else that of --base-url.",
        "max_cost": "US dollars that the evaluations may cost, over the whole run.",
        "max_requests": "Requests for evaluations, over the whole run.",
        "local": "Run the evaluations' judge in this process.",
    },
    unshared=("models", "base_url", "max_cost"),
)


class Evaluating(Options):
    """Evaluations during training: a judge compares each checkpoint with a reference, on held-out prompts."""

    every: int | None = option(None, at_least=1, flag="--evaluate-every")
    """Steps between evaluations of a checkpoint by a judge. None: no such evaluations."""
    annotator: str | None = option(None, flag="--evaluate-annotator", names="catalogue")
    """Who judges the evaluations."""
    set_name: str | None = option(None, flag="--evaluate-set", names="set")
    """The instructions to answer, without those that are learnt from; else the held-out share."""
    against: str | None = option(None, flag="--evaluate-against", names="producer")
    """The reference: a producer of the ledger, a directory or a hub id; else --model as it begins."""
    limit: int | None = option(None, at_least=1, flag="--evaluate-limit")
    """Only the first so many instructions."""
    temperature: float = option(1.0, at_least=0, flag="--evaluate-temperature")
    """Temperature of the answers that are evaluated."""
    max_new_tokens: int = option(300, at_least=1, flag="--evaluate-max-new-tokens")
    """Tokens at most in an answer that is evaluated."""
    stop: bool = option(False, flag="--evaluate-stop")
    """Stop when a checkpoint is worse than the best one, by an interval that holds for all evaluations."""
    judging: Annotated[Task, JUDGING] = Task()
    """How often and in which orders evaluations are judged."""
    provider: Annotated[Provider, EVALUATOR] = Provider()
    """Where the evaluations' judge is asked, and what that may take."""

    def problems(self) -> list[str]:
        """Options that cannot stand together, one clause each."""
        said = (self.annotator, self.set_name, self.against, self.limit, self.stop or None)
        if self.every is None and any(each is not None for each in said):
            return ["evaluations lack their distance (give --evaluate-every)"]
        if self.every is not None and self.annotator is None:
            return ["evaluations need a judge (name one with --evaluate-annotator)"]
        return []


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
    """The reward, where the method wants one: a model, or a rule as package.module:function."""
    constraints: tuple[str, ...] = option((), flag="--constraint", metavar="[SET=]JUDGE[>=NUMBER]")
    """Who permits responses of crpg, codpo or crraft: a rule, a model and its least score, `by ANNOTATOR`."""
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
    rounds: Rounds = Rounds()
    """Rounds of drawing, judging and learning, for methods that learn from a snapshot."""
    evaluating: Annotated[Evaluating, Part()] = Evaluating()
    """Evaluations during training, which choose the best checkpoint."""
