"""Which outputs are drawn: the options of `farm sample`."""

from __future__ import annotations

from typing import Annotated

from farm.config import Decoding, ModelConfig
from farm.settings.checked import Options
from farm.settings.fields import Part, option

LOADING = Part(only=("dtype", "device", "attention", "template"))


class SampleTask(Options):
    """What is drawn: n outputs to each instruction of a set, under a producer's name."""

    set_name: str = option(flag="--set", names="set")
    """The instructions to answer."""
    producer: str = ""
    """Whose outputs these are; else the model's name."""
    n: int = option(1, at_least=1)
    """Outputs to each instruction."""
    limit: int | None = option(None, at_least=1)
    """At most this many instructions."""
    decoding: Decoding = Decoding()
    """How tokens are drawn."""
    loading: Annotated[ModelConfig, LOADING] = ModelConfig()
    """How a model that runs here is loaded."""
    seed: int = option(0, at_least=0)
    """Seed of every draw."""
    best_of: int | None = option(None, at_least=1)
    """Keep the best of so many responses, by --reward."""
    reward: str | None = None
    """The reward model that chooses it: a directory or a hub id."""
    max_words: int | None = option(None, at_least=1)
    """The length that a served model is asked to keep to, in words."""
    tokenizer: str | None = None
    """Ask a served model in token ids, as this checkpoint's tokenizer and template make them."""

    def problems(self) -> list[str]:
        """Options that cannot stand together, one clause each."""
        found = []
        if (self.best_of is None) != (self.reward is None):
            found.append("best-of-n needs both --best-of and --reward (give both or neither)")
        if self.best_of is not None and self.n != 1:
            found.append("best-of-n gives one output to an instruction (leave --n at 1)")
        if self.tokenizer is not None and self.max_words is not None:
            what = "a prompt of token ids has no room for --max-words (leave --tokenizer or --max-words out)"
            found.append(what)
        return found
