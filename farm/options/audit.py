"""Which annotators are measured, against whom: the options of `farm audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from farm.settings.checked import Options
from farm.settings.fields import option

BenchmarkName: TypeAlias = Literal[
    "reward-bench", "reward-bench-2", "rm-bench", "judge-bench", "llmbar", "ppe"
]


class AuditOptions(Options):
    """What to audit. None and () mean all."""

    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    annotators: tuple[str, ...] = option((), flag="--annotator", names="judged")
    """Only these annotators; repeat it."""
    reference: str | None = option(None, names="group judged")
    """human, gold, or the name of an annotator; else people, or else a gold standard."""
    nulls: Literal["wrong", "drop"] = "wrong"
    """An unreadable verdict counts as wrong in accuracy, or is left out: drop."""
    draws: int = option(1000, at_least=0)
    """No effect: the bounds need no draws any more. It goes in the next version."""
    seed: int = 0
    """No effect: nothing is drawn any more. It goes in the next version."""
    benchmark: BenchmarkName | None = None
    """Also what this benchmark's own rule makes of each annotator that judged it."""
    by: tuple[Literal["source", "subset", "tries"], ...] = ()
    """Slice by source, subset or tries; repeat it."""
    labels: bool = False
    """The labels, after label noise, in place of the judgements."""
    average_orders: bool = False
    """A pair judged in both orders counts once, as the mean of both."""
    aspect: str | None = option(None, names="aspect")
    """The verdicts on this criterion in place of the overall ones."""
    traits: bool = False
    """Also what each annotator rewards: length, lists, markdown, hedges and others."""
    families: bool = False
    """Also whether judges prefer outputs of models of their own family more than others do."""
    family: tuple[str, ...] = ()
    """The family of an annotator, a model or a producer, NAME=FAMILY (none: of none); repeat it."""
    taught: tuple[str, ...] = ()
    """The family whose judgements or outputs a model learnt from, NAME=FAMILY; repeat it."""
    prices: Path | None = option(None, project="prices")
    """A price table of your own (YAML), for its families."""
    drift: bool = False
    """Also whether a judge changed when another model began to answer under its model's name."""
    pairs: bool = False
    """Also what is odd about the pairs: cycles, near-duplicate outputs, one-word differences."""

    require: tuple[str, ...] = ()
    """A rule that has to hold, such as "agreement.low >= 0.6", or the command ends with 1; repeat it."""
    require_file: Path | None = None
    """A file of such rules, a line each."""
    disagreements: int = option(0, at_least=0)
    """Also the pairs on which people and judges differ most, so many."""

    def problems(self) -> list[str]:
        """See the base class."""
        both = self.labels and self.aspect is not None
        found = ["--labels and --aspect exclude each other: a criterion has no label noise"] if both else []
        apart = (self.labels, self.aspect is not None, self.average_orders, self.subset is not None)
        if self.benchmark and any(apart):
            found += ["--benchmark goes without --labels, --aspect, --average-orders and --subset"]
        for flag, words in (("--family", self.family), ("--taught", self.taught)):
            wrong = [word for word in words if not all(word.rpartition("=")[::2])]
            found += [f"{flag} takes NAME=FAMILY and not {word!r}" for word in wrong]
            found += [f"{flag} goes with --families"] if words and not self.families else []
        return found


class CsvFile(Options):
    """Where the rows are written too."""

    csv: Path | None = None
    """Also write the rows to this CSV file."""
