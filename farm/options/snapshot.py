"""Which judgements are frozen: the options of `farm snapshot`."""

from __future__ import annotations

from farm.settings.checked import Options
from farm.settings.fields import option


class Choice(Options):
    """Which judgements are frozen. () and None mean all."""

    annotators: tuple[str, ...] = option((), flag="--annotator", names="kind judged")
    """Whose judgements: a name, or a kind such as human for everybody of it; repeat it."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    average_orders: bool = False
    """A pair judged in both orders counts once, as the mean of both."""
    aspect: str | None = option(None, names="aspect")
    """The verdicts on this criterion in place of the overall ones."""
    unpaired: bool = False
    """Freeze ratings of single outputs in place of judgements of pairs."""

    def problems(self) -> list[str]:
        """See the base class."""
        of_pairs = {"--average-orders": self.average_orders, "--aspect": self.aspect is not None}
        both = [flag for flag, given in of_pairs.items() if given and self.unpaired]
        return [f"--unpaired and {flag} exclude each other" for flag in both]
