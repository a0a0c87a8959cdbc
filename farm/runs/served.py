"""The server that draws a run's rollouts, made from the options of `farm train`."""

from __future__ import annotations

from pathlib import Path

from db.errors import ConfigError
from db.ids import content_hash
from farm.config import Decoding, TrainConfig
from farm.options.train import RolloutOptions
from farm.runs.rollout_server import HttpRolloutServer, SglangDialect, VllmDialect
from farm.training.method import Trainer
from farm.training.rollout_method import draws_at_server
from farm.training.rollout_server import ServedDraws


def check_rollouts(name: str, method: Trainer, given: RolloutOptions, config: TrainConfig) -> None:
    """Raises ConfigError on a server that cannot draw for the method, or not as the options say."""
    if given.rollout_url is None:
        if given != RolloutOptions():
            what, remedy = "options of a server are given, and no server", "name it with --rollout-url"
            raise ConfigError(what, where="--rollout-url", remedy=remedy)
        return
    if not draws_at_server(method):
        what = f"a server cannot draw for {name}: nothing makes up for the age of its weights"
        remedy = "leave it out, or train grpo, rloo, ppo or a relative of theirs"
        raise ConfigError(what, where="--rollout-url", remedy=remedy)
    if isinstance(config, Decoding) and (config.top_p < 1 or config.top_k):
        what = "a server's log-probabilities are those of all tokens, and top_p or top_k leaves some out"
        raise ConfigError(what, where="--rollout-url", remedy="leave top_p and top_k at 1 and 0")


def served_draws(given: RolloutOptions, out: Path) -> ServedDraws | None:
    """The server that draws the rollouts; None where this process does.

    out: the folder of the run. Raises ConfigError on the server's address.
    """
    if given.rollout_url is None:
        return None
    dialect = VllmDialect(given.rollout_model) if given.rollout_server == "vllm" else SglangDialect()
    server = HttpRolloutServer(
        given.rollout_url, dialect, wait=given.rollout_wait, at_once=given.rollout_concurrency
    )
    folder, run = given.rollout_weights, content_hash("served", str(out.resolve()))[:12]
    folder = out / "served" if folder is None else folder / f"served-{run}"  # no other run writes there
    return ServedDraws(server, folder, every=given.rollout_every, cap=given.rollout_cap)
