"""Which model meets which reference: the options of `farm evaluate`."""

from __future__ import annotations

from typing import Annotated

from farm.judging.provider import Task
from farm.options.leaderboard import LeaderboardOptions
from farm.options.sample import SampleTask
from farm.settings.checked import Options
from farm.settings.fields import Part, option

SAMPLING = Part(
    only=("set_name", "producer", "n", "limit", "decoding", "loading", "seed"),
    without=("top_k",),
    words={
        "set_name": "The evaluation set.",
        "limit": "Only the first so many instructions of the set.",
        "producer": "What to call the model; else its own name.",
        "seed": "Seed of sampling and bootstrap.",
    },
)


class EvaluateTask(Options):
    """The model, its reference, its judge and their options. board: annotator and reference come later."""

    model: str = option(argument=True, names="producer")
    """A producer of the ledger, a directory or a hub id."""
    against: str = option(names="producer")
    """The reference: likewise."""
    annotator: str = option(names="catalogue")
    """Who judges: a name of the catalogue."""
    sampling: Annotated[SampleTask, SAMPLING] = option()
    """How outputs are drawn, to which set."""
    judging: Annotated[Task, Part(only=("replicates", "orders", "utility"))] = Task()
    """How often and in which orders pairs are judged, and by which utility."""
    board: Annotated[
        LeaderboardOptions,
        Part(only=("annotator", "average_orders", "controls", "difficulty", "draws", "seed")),
    ] = LeaderboardOptions("")
    """Controls, difficulty, draws and seed of the statistics."""

    def problems(self) -> list[str]:
        """Options that cannot stand together."""
        if self.sampling.limit is None or self.board.difficulty is None:
            return []
        return ["difficulties are those of the whole set (leave --limit or --difficulty out)"]


class ModelServer(Options):
    """Where the evaluated model runs."""

    sample_base_url: str | None = None
    """The server that runs the model."""
