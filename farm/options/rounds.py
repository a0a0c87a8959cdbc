"""Rounds of a run: what each draws, and who chooses its instructions."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from farm.settings.checked import Options
from farm.settings.fields import option


class Rounds(Options):
    """In each round the policy draws, the annotator judges, and the method learns from what was said."""

    count: int | None = option(None, at_least=1, flag="--rounds")
    """Rounds of drawing, judging and learning, for a method that learns from judged pairs."""
    prompts: int | None = option(None, at_least=1, flag="--round-prompts")
    """Instructions in a round; else all of --set."""
    draws: int = option(2, at_least=2, flag="--round-draws")
    """Outputs that are drawn to each instruction of a round; all of them meet."""
    temperature: float = option(1.0, at_least=0, flag="--round-temperature")
    """Temperature of these draws."""
    max_new_tokens: int = option(300, at_least=1, flag="--round-max-new-tokens")
    """Tokens at most in one of them."""
    creator: Literal["none", "choose", "eva"] = "none"
    """Whence the instructions: the next ones of --set; or eva's choice of the last, kept or rewritten."""
    share: float = option(0.25, above=0, at_most=1, flag="--creator-share")
    """Share of a round's instructions that the creator chooses."""
    informativeness: Literal["gap", "advantage", "uniform"] = option("gap", flag="--creator-informativeness")
    """What an instruction is chosen by: the best draw less the worst, or less the mean; or chance."""

    rewriter: str | None = option(None, flag="--creator-model")
    """The model that rewrites the chosen instructions, at a server; for --creator eva."""
    rewriter_url: str | None = option(None, flag="--creator-base-url")
    """The server of --creator-model; else that of --base-url."""
    rewriter_max_cost: float | None = option(None, at_least=0, flag="--creator-max-cost")
    """US dollars that the rewriting of a round may cost, in each process of the run."""

    def problems(self) -> list[str]:
        """Options that cannot stand together, one clause each."""
        found = []
        if self.count is None and replace(self, count=1) != Rounds(1):
            found.append("rounds lack their number (give --rounds)")
        if self.creator == "eva" and self.rewriter is None:
            found.append("eva rewrites instructions (name a --creator-model, or take --creator choose)")
        served = (self.rewriter, self.rewriter_url, self.rewriter_max_cost)
        if self.creator != "eva" and served != (None, None, None):
            found.append("nobody rewrites instructions (take --creator eva)")
        if self.creator == "none" and (self.share, self.informativeness) != (0.25, "gap"):
            found.append("nobody chooses instructions (name a --creator)")
        if self.creator == "choose" and self.prompts is None:
            found.append("all of --set leave nothing to choose (give --round-prompts)")
        return found
