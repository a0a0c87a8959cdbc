"""Whose judgements rank the models: the options of `farm leaderboard`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option

LENGTH = ("length",)


class LeaderboardOptions(Options):
    """Whose judgements of which pairs count. difficulty, anchors: CSV files, see docs/leaderboard.md."""

    annotator: str = option(names="group judged")
    """Whose judgements rank the models: a name, or a group: human, gold."""
    reference: str | None = option(None, names="producer")
    """The model that all others meet; else the one that takes part in every pair."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    set_name: str | None = option(None, flag="--set", names="set")
    """The evaluation set, an instruction of which without a judgement counts as failed; else the smallest
    named set that holds all that was judged."""
    difficulty: Path | None = None
    """Instruction difficulties (CSV)."""
    anchors: Path | None = None
    """AlpacaEval's regularising rows (CSV)."""
    controls: tuple[str, ...] = option(LENGTH, flag="--control")
    """length, list_share, markdown, language, or none; repeat it. Else length."""
    draws: int = option(1000, at_least=0)
    """Bootstrap draws for the intervals."""
    seed: int = 0
    """Seed of the bootstrap."""
    average_orders: bool = False
    """A pair judged in both orders counts once, as the mean of both."""

    def problems(self) -> list[str]:
        """Controls that are unknown, one clause each."""
        if set(self.controls) <= {*LENGTH, "none"}:
            return []
        from farm.statistics.length_control import FEATURES

        unknown = [name for name in self.controls if name not in (*FEATURES, "none")]
        return [f"--control {name!r}, expected one of {', '.join(FEATURES)}" for name in unknown]

    @property
    def features(self) -> tuple[str, ...]:
        """The features that win rates are controlled for. `none` is removed."""
        return tuple(name for name in self.controls if name != "none")


class Board(Options):
    """What the command shows of it."""

    bradley_terry: bool = False
    """Rank all models in any pairs, by strength."""
    published: Path | None = None
    """Scores that others published (CSV)."""
    against: str | None = None
    """The published column to compare with."""
    controls: tuple[str, ...] = option((), flag="--control")
    """What was asked to be controlled for, if anything was."""
