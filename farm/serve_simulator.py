"""Serve simulated judges by the OpenAI protocol on this machine: `farm serve-simulator`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from annotators.simulator import SimulatorConfig, serve
from annotators.strict_yaml import read_yaml
from db.errors import ConfigError


def serve_simulator(
    address: tuple[str, int], config: Path | None, allowed: Collection[str], ready: Callable[[str], None]
) -> None:
    """Serve at (host, port) until Ctrl-C.

    allowed: the callables that the configuration may name. ready: called with the base URL. Raises
    ConfigError on a wrong configuration.
    """
    settings = read_yaml(config) if config else {}
    if not isinstance(settings, dict):
        raise ConfigError(
            "a configuration maps names to values", where=str(config), remedy="docs/serve_simulator.md"
        )
    serve(*address, SimulatorConfig.from_mapping(settings, allowed), ready)
