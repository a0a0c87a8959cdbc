"""`farm serve-simulator`."""

from __future__ import annotations

from pathlib import Path

from farm.commands.common import app, flags
from farm.settings.checked import Options
from farm.settings.fields import option


class ServeOptions(Options):
    """Where the provider listens, and how it behaves."""

    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = option(8080, at_least=0, at_most=65535)
    """The port; 0 takes a free one."""
    config: Path | None = None
    """Judges, faults and latency (YAML)."""
    allow: tuple[str, ...] = option(())
    """A Python callable, module:function, that the file may name; repeat it for several."""


commands = app()


@commands.command("serve-simulator")
@flags
def serve_simulator(_: object, options: ServeOptions) -> None:
    """Play an OpenAI-compatible provider of judges on this machine, until Ctrl-C."""
    from farm.serve_simulator import serve_simulator as serve
    from farm.terminal.serve_simulator import say_where

    serve((options.host, options.port), options.config, options.allow, say_where)
