"""Responses that a server draws for a run: what it is asked, and which weights it holds while it draws.

The server is a seam: `farm.runs.rollout_server` speaks HTTP to one. A request holds token ids, and so
does the answer. Nothing is decoded and encoded again, so the policy learns from the tokens that were drawn.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from safetensors import SafetensorError

from db.errors import ConfigError, Paused
from db.ids import content_hash
from farm.config import Decoding, TrainConfig
from farm.models.generation import Drawn, Start, room_for
from farm.models.policy import Policy
from farm.training.batches import Rollout
from farm.training.clock import spent
from farm.training.processes import Processes

APART_AT_FIRST = 0.2  # nats between server and policy, a mean over tokens, when both hold the same weights
APART_LATER = 1.0  # nats, when the server's weights may be older


class RolloutRequest(NamedTuple):
    """n responses to one prompt."""

    prompt: list[int]  # token ids
    n: int
    room: int  # tokens of a response at most
    temperature: float
    seed: int  # of the n responses together
    ends: tuple[int, ...]  # tokens that end a response, each kept in it
    never: tuple[int, ...]  # tokens that are not drawn


class RolloutServer(Protocol):
    """A server that draws with the weights that it was last given.

    Raises ConfigError on a server that refuses or that answers something else, and Paused where it has not
    answered for as long as the run waits.
    """

    def draw(self, asks: Sequence[RolloutRequest]) -> list[list[Drawn]]:
        """The responses to each of the asks. Log-probabilities are the server's, at the temperature."""
        ...

    def push(self, folder: Path) -> None:
        """Let the server load the weights of a folder that transformers can load."""
        ...


class ServedDraws:
    """A run's draws by a server.

    folder: where weights are written for the server. every: rollouts that are drawn with the same weights.
    cap: the largest weight that a token or response gets in the correction (`farm.training.importance`).
    """

    def __init__(self, server: RolloutServer, folder: Path, *, every: int = 1, cap: float = 2.0) -> None:
        self.server, self.folder, self.every, self.cap = server, folder, every, cap
        self._held: int | None = None  # number of the rollout whose weights the server has
        self._checked = False

    @spent("pushing")
    def renew(self, number: int, policy: Policy, config: TrainConfig, processes: Processes) -> None:
        """Give the server the policy's weights before rollout `number`, if it is the turn for that.

        A run that goes on between two turns finds the weights of the last turn in the folder, if they are
        still there. Raises ConfigError where the weights cannot be written, and as `RolloutServer` does.
        """
        turn = number - number % self.every
        if self._held == turn:
            return
        target = self.folder / f"weights-{turn}"
        missing = processes.told_by_first(lambda: number == turn or not target.exists())
        with processes.together():
            if missing:
                self._write(target, policy, config, processes)
            if processes.rank == 0:
                self.server.push(target)
                for old in self.folder.glob("weights-*"):
                    if old != target:
                        shutil.rmtree(old, ignore_errors=True)
        self._held = turn

    def _write(self, target: Path, policy: Policy, config: TrainConfig, processes: Processes) -> None:
        """Write the weights under another name and rename them. Every process of a sharded run takes part."""
        if processes.rank:
            if config.distribute == "fsdp":
                policy.save(None)
            return
        partial = self.folder / f".partial-{target.name}"
        try:
            shutil.rmtree(partial, ignore_errors=True)
            policy.save(partial)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            what = f"the weights for the server could not be written: {' '.join(str(error).split())[:200]}"
            remedy = "free some space, or name another folder with --rollout-weights"
            raise ConfigError(what, where=str(self.folder), remedy=remedy) from None

    def refuse_strangers(self, rollout: Rollout, processes: Processes) -> None:
        """Stop where the server's log-probabilities are not those of the weights that it was given.

        The first rollout is drawn with the policy's own weights. So there the two differ by rounding alone.
        Raises ConfigError then, and Paused in a later rollout.
        """
        assert rollout.sampler_logps is not None
        gap = (rollout.logps - rollout.sampler_logps).abs().sum().double()
        total, tokens = processes.sum(gap.new_tensor([gap.item(), rollout.tokens.mask.sum().item()])).tolist()
        first, self._checked = not self._checked, True
        apart = total / max(tokens, 1)
        if apart <= (APART_AT_FIRST if first else APART_LATER):
            return
        what = f"the server's log-probabilities are {apart:.2f} nats a token away from the policy's"
        if first:
            remedy = (
                "serve the same model; vLLM needs --logprobs-mode processed_logprobs "
                "at another temperature than 1"
            )
            raise ConfigError(what, where="--rollout-url", remedy=remedy)
        remedy = "see whether the server takes the weights, push them more often, or lower learning_rate"
        raise Paused(what, where="--rollout-url", remedy=remedy)


def draws_of(
    server: RolloutServer,
    policy: Policy,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    *,
    seed: int,
    n: int,
) -> list[Drawn]:
    """n responses of the server to each prompt of token ids; those to one prompt stand together.

    Raises ConfigError if a prompt leaves no room for a response, and as `RolloutServer` does.
    """
    ends, never = tuple(sorted(policy.codec.ends)), tuple(policy.never_drawn)
    asks = [
        RolloutRequest(
            prompt,
            n=n,
            room=room_for(Start(prompt), policy, decoding),
            temperature=decoding.temperature,
            seed=prompt_seed(seed, prompt),
            ends=ends,
            never=never,
        )
        for prompt in prompts
    ]
    drawn = [one for each in server.draw(asks) for one in each]
    known = policy.model.get_input_embeddings().num_embeddings
    if any(token >= known for one in drawn for token in one.ids):
        what = f"the server drew a token beyond the {known} that the policy knows"
        raise ConfigError(what, where="--rollout-url", remedy="serve the model that is trained")
    return drawn


def prompt_seed(seed: int, prompt: Sequence[int]) -> int:
    """A seed of 60 bits for the responses to one prompt. Two prompts of a rollout share no noise.

    It is its own inverse: prompt_seed(prompt_seed(seed, prompt), prompt) is the seed.
    """
    return seed ^ int(content_hash("prompt seed", list(prompt))[:15], 16)
