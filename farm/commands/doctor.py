"""`farm doctor`."""

from __future__ import annotations

import typer

from farm.commands.common import CommandOutput, app, flags
from farm.settings.checked import Options


class DoctorOptions(Options):
    """What is looked at beside the environment and the ledger."""

    base_url: str | None = None
    """See whether a server of models answers here."""


commands = app()


@commands.command()
@flags
def doctor(context: typer.Context, options: DoctorOptions, output: CommandOutput) -> None:
    """What of the environment and the ledger works, with a remedy for each fault."""
    from farm.doctor import examine
    from farm.terminal.doctor import doctor_view

    findings = examine(context.obj.ledger, options.base_url)
    output.show(findings.to_json, lambda: doctor_view(findings))
    if not findings.healthy:
        raise typer.Exit(1)
