"""Who judges in the browser: the options of `farm label`."""

from __future__ import annotations

from pathlib import Path

from farm.settings.checked import Options
from farm.settings.fields import option

MOST_CATCH = 0.5  # catch items for each pair
SCALES = (3, 5, 7)
MOST_ASPECTS = 12
LONGEST_ASPECT = 80  # characters


class LabelTask(Options):
    """Who judges what, and where the page is served."""

    annotators: tuple[str, ...] = option(flag="--annotator", names="judged")
    """Who judges; repeat it for several people at once."""
    source: str | None = option(None, names="source")
    """Only what was imported from this source."""
    subset: str | None = option(None, names="subset")
    """Only this subset of it."""
    limit: int | None = option(None, at_least=1)
    """At most so many pairs for each person."""
    doubt: str | None = option(None, names="judged")
    """Begin with what this annotator doubts; else at random."""
    contested: str | None = option(None, names="judged")
    """Only what this panel or cascade left open."""
    catch: float = 0.1
    """Catch items for each pair: identical outputs and repeats. 0: none."""
    scale: int = 3
    """3: which is better; 5 or 7 points: also how much better."""
    aspects: tuple[str, ...] = option((), flag="--aspect", names="aspect")
    """Also ask which output is better at this; repeat it for each criterion."""
    guideline: Path | None = None
    """A text that people judge by, in place of ours."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = option(8765, at_least=0, at_most=65535)
    """The port; 0 takes a free one."""

    def problems(self) -> list[str]:
        """A share outside [0, MOST_CATCH], a scale that there is not, and criteria that cannot be shown."""
        found = []
        if not 0 <= self.catch <= MOST_CATCH:
            found.append(f"--catch is {self.catch:g}, expected a share between 0 and {MOST_CATCH:g}")
        if self.scale not in SCALES:
            found.append(f"--scale is {self.scale}, expected 3, 5 or 7 points")
        for name in self.aspects:
            if not (name.strip() and name.isprintable() and len(name) <= LONGEST_ASPECT):
                found.append(f"--aspect {name!r:.100} is no name of up to {LONGEST_ASPECT} characters")
        if len({name.strip().casefold() for name in self.aspects}) < len(self.aspects):
            found.append("--aspect names one criterion twice")
        if len(self.aspects) > MOST_ASPECTS:
            found.append(f"--aspect is given {len(self.aspects)} times, and {MOST_ASPECTS} is the most")
        return found
