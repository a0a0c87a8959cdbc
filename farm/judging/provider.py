"""Where language models are asked, what of, and what that may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from annotators.draws import Orders
from db.errors import ConfigError
from db.ledger import PairFilter


@dataclass(frozen=True)
class Task:
    """What is asked of an annotator: which pairs, how often, in which orders. None: as its spec says."""

    pairs: PairFilter = field(default_factory=PairFilter)
    replicates: int = 1
    orders: Orders | None = None
    seed: int | None = None
    utility: str = ""  # of the oracle: package.module:function


@dataclass(frozen=True)
class Provider:
    """Where language models are asked, and what that may take. models: as catalogue.Models.of has them."""

    models: tuple[str, ...] = ()
    base_url: str | None = None  # None: OPENAI_BASE_URL, or OpenAI's
    concurrency: int = 100
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_cost: float | None = None  # US dollars
    max_requests: int | None = None
    prices: Path | None = None
    batch: bool = False  # through the provider's Batch API
    poll_seconds: float = 30.0
    local: bool = False  # models is folders or hub ids, run in this process
    rows: int = 8  # in one forward pass of a model in this process


def orders_named(name: str | None) -> Orders | None:
    """random, both or stored; raises ConfigError on another name."""
    if name is None:
        return None
    try:
        return Orders(name)
    except ValueError:
        raise ConfigError(f"--orders is {name!r}", remedy=f"one of {', '.join(Orders)}") from None
