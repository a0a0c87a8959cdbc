"""The size and seed of the whole study: the options of `farm quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from farm.settings.checked import Options
from farm.settings.fields import option

ScaleName = Literal["tiny", "small", "paper"]
CROWD = "crowd-quiet"  # of the catalogue; it varies as people do without any flips


class QuickstartTask(Options):
    """The folder, size and seed of the study."""

    out: Path = Path("quickstart")
    """The folder of everything, the ledger included; again, the study goes on there."""
    scale: ScaleName = "small"
    """tiny: a minute, too little for conclusions; small: minutes; paper: AlpacaFarm's sizes, an hour."""
    seed: int = option(0, at_least=0)
    """Another seed is another world."""
    processes: int | None = option(None, at_least=1)
    """Processes side by side; else one a core."""
    simulators: str = option(CROWD, names="catalogue")
    """The annotator whose labels are learnt from: a name or a file."""
