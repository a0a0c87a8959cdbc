"""Where language models are asked, what of, and what that may take."""

from __future__ import annotations

from pathlib import Path

from annotators.draws import Orders
from db.records import PairFilter
from farm.config import Attention, Precision
from farm.settings.checked import Options
from farm.settings.fields import option


class Task(Options):
    """What is asked of an annotator: which pairs, how often, in which orders. None: as its spec says."""

    pairs: PairFilter = PairFilter()
    """The pairs to judge."""
    replicates: int = option(1, at_least=1, at_most=10_000)
    """Independent judgements of each pair."""
    orders: Orders | None = None
    """Which output is shown first: random, both or stored."""
    seed: int | None = None
    """The seed of every keyed draw."""
    utility: str = ""
    """For the oracle: a Python callable, package.module:function."""


class Weights(Options):
    """How a judge in this process is loaded."""

    dtype: Precision | None = None
    """Precision of the weights; a judge's is else bfloat16 on a GPU and float32 elsewhere."""
    device: str = "auto"
    """Where the model runs: cpu, cuda, cuda:1, or auto for a GPU where there is one."""
    attention: Attention = "sdpa"
    """Attention implementation of transformers."""


class Provider(Options):
    """Where language models are asked, and what that may take."""

    models: tuple[str, ...] = option((), flag="--model", project="model")
    """The model to ask, or SLOT=MODEL; repeat it for several slots."""
    base_url: str | None = option(None, project="base_url", variable="OPENAI_BASE_URL", unless="local")
    """An OpenAI-compatible server; else OPENAI_BASE_URL, or OpenAI's."""
    concurrency: int = option(100, at_least=1, project="concurrency")
    """Requests in flight."""
    requests_per_minute: float | None = option(None, flag="--rpm")
    """Requests per minute, at most."""
    tokens_per_minute: float | None = option(None, flag="--tpm")
    """Tokens per minute, at most."""
    max_cost: float | None = option(None, at_least=0, project="max_cost")
    """US dollars, at most."""
    max_requests: int | None = option(None, at_least=1)
    """Requests, at most."""
    without: tuple[str, ...] = ()
    """A field that is never sent: temperature, top_p, seed, stop, logprobs, response_format, system..."""
    thinking: int = option(0, at_least=0)
    """Tokens for thinking, on top of the longest reply."""
    effort: str = ""
    """How hard a reasoning model thinks; sent as reasoning_effort."""
    cut_prompts: bool = False
    """Take replies to prompts that the server cut."""
    prices: Path | None = option(None, project="prices")
    """A price table of your own (YAML)."""
    batch: bool = False
    """Ask through the provider's Batch API: slower, half the price."""
    poll_seconds: float = option(30.0, at_least=0.01)
    """Seconds between two looks at a batch."""
    local: bool = False
    """Run --model DIR (a causal language model) in this process."""
    rows: int = option(8, at_least=1)
    """Rows in one forward pass of a model in this process."""
    weights: Weights = Weights()
    """How a model in this process is loaded."""
