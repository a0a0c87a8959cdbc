"""A vLLM or SGLang server that draws rollouts: token ids out, ids and log-probabilities back, new weights.

- vLLM draws by /v1/completions with `return_token_ids`. It loads weights by /collective_rpc with the method
  `reload_weights`, which it has in its development mode. /reset_prefix_cache forgets what older weights
  have read.
- SGLang draws by its own /generate, and loads weights by /update_weights_from_disk.

A server that does not answer is waited for. It is given the weights again when it is back, for it may have
been started anew. Then what was lost is asked again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from annotators.clients.endpoint import Endpoint
from annotators.clients.failures import ProviderDown, Remedy
from annotators.clients.posting import Poster
from annotators.clients.sending import MAX_BODY, Sending, one_line
from annotators.clients.transport import ForbiddenAddress
from annotators.clients.wire import WIRE_ERRORS, sending_of_error, sending_of_status
from db.errors import ConfigError
from farm.models.generation import Drawn
from farm.training.rollout_server import RolloutRequest

PAUSES = (0.2, 5.0)  # seconds between two tries to reach a server that is away: the first, and at most
ROUNDING = 1e-3  # nats that a log-probability may be above 0
log = logging.getLogger(__name__)


class ServerCall(NamedTuple):
    """One request: a path below the server's root, and its body."""

    path: str
    body: Mapping[str, Any]


class WrongShape(Exception):
    """An answer is not what it should be. The text says in what."""


class NoAnswer(Exception):
    """A request got no answer. The text says why."""


class ServerDialect(Protocol):
    """How one kind of server is spoken to."""

    def asking(self, ask: RolloutRequest) -> ServerCall:
        """The request for the responses."""
        ...

    def drawn(self, answer: Any, ask: RolloutRequest) -> list[Drawn]:
        """The responses of an answer, unchecked. Raises WrongShape, or what a missing key raises."""
        ...

    def loading(self, folder: str) -> list[ServerCall]:
        """The requests after which the server has the weights of a folder."""
        ...

    @property
    def no_such_path(self) -> str:
        """What to do about a server that has not the path of `loading`."""
        ...


@dataclass(frozen=True)
class VllmDialect:
    """vLLM. model: the name that it serves; empty: whatever it serves."""

    model: str = ""
    no_such_path = "start vLLM with VLLM_SERVER_DEV_MODE=1, which has the path"

    def asking(self, ask: RolloutRequest) -> ServerCall:
        """See ServerDialect. What a model's generation config would add is switched off."""
        body: dict[str, Any] = {
            "prompt": ask.prompt,
            "n": ask.n,
            "max_tokens": ask.room,
            "temperature": ask.temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": ask.seed,
            "stop_token_ids": list(ask.ends),
            "logprobs": 0,
            "return_token_ids": True,
        }
        if ask.never:
            body["logit_bias"] = {str(token): -100 for token in ask.never}
        return ServerCall("v1/completions", body | ({"model": self.model} if self.model else {}))

    def drawn(self, answer: Any, ask: RolloutRequest) -> list[Drawn]:
        """See ServerDialect."""
        choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        if any("token_ids" not in choice for choice in choices):
            raise WrongShape("there are no token_ids: it takes vLLM 0.10.2 or newer")
        if any(choice.get("prompt_token_ids", ask.prompt) != ask.prompt for choice in choices):
            raise WrongShape("the server read another prompt than it was sent")
        return [Drawn(each["token_ids"], each["logprobs"]["token_logprobs"], ended=False) for each in choices]

    def loading(self, folder: str) -> list[ServerCall]:
        """See ServerDialect."""
        reload = {"method": "reload_weights", "kwargs": {"weights_path": folder}}
        return [ServerCall("collective_rpc", reload), ServerCall("reset_prefix_cache", {})]


@dataclass(frozen=True)
class SglangDialect:
    """SGLang. Its seed would be the same for all responses to a prompt, so none is sent."""

    no_such_path = "name the address at which SGLang itself listens, without a router before it"

    def asking(self, ask: RolloutRequest) -> ServerCall:
        """See ServerDialect."""
        sampling: dict[str, Any] = {
            "n": ask.n,
            "max_new_tokens": ask.room,
            "temperature": ask.temperature,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "stop_token_ids": list(ask.ends),
        }
        if ask.never:
            sampling["logit_bias"] = {str(token): -100 for token in ask.never}
        body = {"input_ids": ask.prompt, "sampling_params": sampling, "return_logprob": True}
        return ServerCall("generate", body)

    def drawn(self, answer: Any, ask: RolloutRequest) -> list[Drawn]:
        """See ServerDialect. A single response comes without a list."""
        found = answer if isinstance(answer, list) else [answer]
        rows = [each["meta_info"]["output_token_logprobs"] for each in found]
        return [Drawn([one[1] for one in row], [one[0] for one in row], ended=False) for row in rows]

    def loading(self, folder: str) -> list[ServerCall]:
        """See ServerDialect."""
        return [ServerCall("update_weights_from_disk", {"model_path": folder, "flush_cache": True})]


class HttpRolloutServer:
    """A server at an address, with the key that belongs to it (`annotators.clients.endpoint`).

    url: with or without /v1 at its end. wait: seconds without any answer after which the run stops; a
    request may take as long. at_once: requests in flight. Raises ConfigError on an address that is none.
    """

    def __init__(self, url: str, dialect: ServerDialect, *, wait: float = 300.0, at_once: int = 256) -> None:
        try:
            self._endpoint = Endpoint.from_environment(url.rstrip("/").removesuffix("/v1"))
        except ConfigError as error:
            error.where = (error.where or "").replace("--base-url", "--rollout-url")
            raise
        self._dialect, self._wait, self._at_once = dialect, wait, at_once
        self._answered = time.monotonic()
        self._folder: Path | None = None

    def draw(self, asks: Sequence[RolloutRequest]) -> list[list[Drawn]]:
        """See farm.training.rollout_server.RolloutServer."""
        found: dict[int, list[Drawn]] = {}
        self._answered = time.monotonic()
        while waiting := [place for place in range(len(asks)) if place not in found]:
            lost = asyncio.run(self._ask({place: asks[place] for place in waiting}, found))
            if lost:
                self._await(lost)
        return [found[place] for place in range(len(asks))]

    def push(self, folder: Path) -> None:
        """See farm.training.rollout_server.RolloutServer."""
        self._folder = folder.resolve()
        self._answered = time.monotonic()
        try:
            self._load()
        except NoAnswer as error:
            self._await(str(error))

    async def _ask(self, asks: Mapping[int, RolloutRequest], found: dict[int, list[Drawn]]) -> str | None:
        """Send all asks and put the responses where they belong. After one is lost no more are sent.

        Gives why it was lost; None where all were answered.
        """
        poster, places = Poster(self._endpoint, at_once=self._at_once, timeout=self._wait), iter(asks)
        lost: list[str] = []

        async def work() -> None:
            for place in places:
                if lost:
                    return
                ask = asks[place]
                call = self._dialect.asking(ask)
                try:
                    answer = await self._post(poster, call)
                except NoAnswer as error:
                    lost.append(str(error))
                    return
                found[place] = self._read(answer, ask, call)
                self._answered = time.monotonic()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._at_once, len(asks))):
                    group.create_task(work())
        except* ConfigError as errors:
            raise errors.exceptions[0] from None
        finally:
            await poster.close()
        return lost[0] if lost else None

    def _load(self) -> None:
        """Let the server load the folder. Raises NoAnswer where it does not answer."""
        assert self._folder is not None
        asyncio.run(self._send(self._dialect.loading(str(self._folder))))

    async def _send(self, calls: Sequence[ServerCall]) -> None:
        poster = Poster(self._endpoint, at_once=1, timeout=self._wait)
        try:
            for call in calls:
                answer = await self._post(poster, call)
                if isinstance(answer, dict) and answer.get("success") is False:
                    said = self._endpoint.hide(one_line(str(answer.get("message", ""))))
                    raise self._refused(call, f"the server did not load {self._folder}: {said}")
        finally:
            await poster.close()

    def _await(self, why: str) -> None:
        """Wait until the server has loaded the weights. Raises ProviderDown when it was away too long."""
        where, pause = self._endpoint.name, PAUSES[0]
        log.warning("%s does not answer (%s); it is waited for, %g seconds at most", where, why, self._wait)
        while time.monotonic() - self._answered < self._wait:
            time.sleep(min(pause, self._wait))
            pause = min(2 * pause, PAUSES[1])
            try:
                return self._load()
            except NoAnswer as error:
                why = str(error)
        what = f"the server has not answered for {self._wait:g} seconds: {why}"
        raise ProviderDown(what, where=where, remedy="start it again, then run the same command again")

    async def _post(self, poster: Poster, call: ServerCall) -> Any:
        """The answer as JSON; None for an empty body. Raises NoAnswer, and ConfigError on a refusal."""
        try:
            async with asyncio.timeout(self._wait):
                response = await poster.post(call.path, json.dumps(call.body).encode())
        except ForbiddenAddress as error:
            remedy = "give the server's own name or address"
            raise ConfigError(
                str(error), where=f"--rollout-url {self._endpoint.name}", remedy=remedy
            ) from None
        except WIRE_ERRORS as error:
            raise NoAnswer(sending_of_error(error, self._endpoint).detail) from None
        if response.status_code != 200:
            self._raise_status(call, sending_of_status(response, self._endpoint))
        if len(response.content) > MAX_BODY:
            remedy = "lower n or max_new_tokens: a request draws n responses"
            raise self._refused(call, "the answer is above 16 MiB", remedy)
        try:
            return json.loads(response.content) if response.content.strip() else None
        except (ValueError, RecursionError):
            raise NoAnswer("a body that is not JSON, or cut short") from None

    def _raise_status(self, call: ServerCall, failure: Sending) -> None:
        if failure.remedy is Remedy.RETRY:
            raise NoAnswer(failure.detail)
        remedy = {
            "key_refused": "set FARM_API_KEY to a key that this server accepts",
            "not_found": "check --rollout-url and --rollout-model"
            if call.path.startswith(("v1/", "generate"))
            else self._dialect.no_such_path,
        }.get(failure.failure or "", "check --rollout-server, and what the server logs")
        raise self._refused(call, failure.detail, remedy)

    def _refused(self, call: ServerCall, what: str, remedy: str = "see what the server logs") -> ConfigError:
        return ConfigError(what, where=f"{self._endpoint.name}/{call.path}", remedy=remedy)

    def _read(self, answer: Any, ask: RolloutRequest, call: ServerCall) -> list[Drawn]:
        """The checked responses of an answer. Raises ConfigError on anything else."""
        try:
            return [checked(each, ask) for each in counted(self._dialect.drawn(answer, ask), ask)]
        except WrongShape as error:
            what = str(error)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            what = "the answer is not that of such a server"
        raise self._refused(call, what, "check --rollout-server, and what the server logs")


def counted(found: list[Drawn], ask: RolloutRequest) -> list[Drawn]:
    """The responses, if they are as many as were asked for. Raises WrongShape."""
    if len(found) != ask.n:
        raise WrongShape(f"{len(found)} responses came, and {ask.n} were asked for")
    return found


def checked(one: Drawn, ask: RolloutRequest) -> Drawn:
    """A response whose last token says if it ended. Raises WrongShape on one that nothing can learn from."""
    ids, logps = one.ids, one.logps
    if not ids or not all(type(token) is int and token >= 0 for token in ids):
        raise WrongShape("a response has no token ids")
    if len(logps) != len(ids):
        raise WrongShape(f"a response of {len(ids)} tokens has {len(logps)} log-probabilities")
    if not all(isinstance(logp, int | float) and math.isfinite(logp) and logp <= ROUNDING for logp in logps):
        raise WrongShape("a log-probability is no finite number of 0 or less")
    if len(ids) > ask.room:
        raise WrongShape(f"a response has {len(ids)} tokens, and at most {ask.room} were asked for")
    if early := [token for token in ids[:-1] if token in ask.ends]:
        raise WrongShape(f"the server goes on after token {early[0]}, which ends a response")
    ended = ids[-1] in ask.ends
    if not ended and len(ids) < ask.room:
        raise WrongShape(f"the server ended a response with token {ids[-1]}, which ends none of the policy's")
    return Drawn(list(ids), [float(logp) for logp in logps], ended)
