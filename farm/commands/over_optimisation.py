"""`farm over-optimisation`."""

from __future__ import annotations

from pathlib import Path

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class CurveOptions(Options):
    """Which curves."""

    path: Path = option(argument=True, metavar="CSV")
    """curve, level, instruction, gold and kl."""
    share: bool = False
    """Gold is a preference: a win rate."""
    filters: bool = False
    """R^2 of pf_ppo's filters, from a row for each response: curve, instruction, proxy, gold."""


commands = app()


@commands.command("over-optimisation")
@flags
def over_optimisation(_: object, options: CurveOptions, output: CommandOutput) -> None:
    """Gold utility or win rate against sqrt(KL) for several reward models, and which of them has turned."""
    from farm.over_optimisation import curves, read_curves
    from farm.terminal.over_optimisation import curves_view, filters_view

    if options.filters:
        from farm.studies.filters import filters

        trusted = filters(read_curves(options.path))
        output.show(lambda: {"filters": [each.to_json() for each in trusted]}, lambda: filters_view(trusted))
        return
    found = curves(read_curves(options.path), share=options.share)
    output.show(lambda: {"curves": [each.to_json() for each in found]}, lambda: curves_view(found))
