"""Draw outputs from a model at an OpenAI-compatible server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from annotators.clients.budget import Account, Budget
from annotators.clients.endpoint import Endpoint
from annotators.clients.limits import RateLimits
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.clients.request import BeforeSend, Message, Reply, Request, RequestDecoding, Role
from annotators.clients.run import run_all
from annotators.prices import PriceTable
from db.ids import Json, canonical_json
from farm.config import Decoding, ModelConfig
from farm.judging.provider import Provider
from farm.judging.replies import Replies
from farm.models.chat import without_tool
from farm.models.tokens import Prompt
from farm.producers.answers import Answer, Wanted, WantedDraw
from farm.producers.claims import SampleClaims
from farm.producers.outputs import Outputs

if TYPE_CHECKING:
    from farm.models.codec import Codec

CLAIMED = 64  # draws that are claimed together; replies have to wait meanwhile
CUT = "length"  # the failure of a reply that was cut at max_new_tokens; it is an output all the same
ONLY_THINKING = "only_thinking"  # the name of a reply that thought and gave no answer
NEEDED = frozenset({"temperature", "top_p", "extra"})  # without them it is another model's output


class ServedModel:
    """A model at an OpenAI-compatible server.

    max_words: a limit that a system message asks the model to keep. tokenizer: a checkpoint whose tokenizer
    and template make the prompts. They are sent as token ids, the same that training and `LocalModel` use.
    Without it the server's own chat template makes the prompts.
    """

    def __init__(
        self,
        model: str,
        decoding: Decoding,
        seed: int,
        provider: Provider,
        max_words: int | None = None,
        tokenizer: str | None = None,
    ) -> None:
        self._model, self._provider, self._max_words = model, provider, max_words
        self._settings, self._seed = decoding, seed
        self._codec = _codec(tokenizer) if tokenizer is not None else None
        self._endpoint = Endpoint.from_environment(provider.base_url)
        self.failures: Counter[str] = Counter()
        self.refusals: dict[str, str] = {}
        self._replies = Replies()
        self._written = 0
        identity: dict[str, Json] = {
            "model": model,
            "endpoint": self._endpoint.name,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_new_tokens": decoding.max_new_tokens,
            "max_words": max_words,
            "seed": seed,
        }
        if decoding.top_k:
            identity["top_k"] = decoding.top_k
        chosen: dict[str, Json] = {
            "thinking": provider.thinking,
            "effort": provider.effort,
            "without": sorted(provider.without),
        }
        identity |= {name: value for name, value in chosen.items() if value}
        if self._codec is not None:
            identity["tokenizer"] = self._codec.fingerprint()
        self.decoding = canonical_json(identity)

    @property
    def cost(self) -> float | None:
        """What was paid, in US dollars. None where nothing was paid for, or a price is unknown."""
        return self._replies.cost

    def draw(self, wanted: Sequence[Wanted], outputs: Outputs) -> int:
        """Ask for all that is wanted and that no other run asks for.

        Each reply is written before the next is asked for, because it is paid for. It answers all draws with
        its prompt that came until then.
        """
        claims = SampleClaims(outputs)
        in_flight: dict[Request, list[WantedDraw]] = {}
        batch: list[Answer] = []

        def claimed(draws: Iterable[WantedDraw]) -> Iterator[Request | None]:
            draws = iter(draws)
            while some := list(islice(draws, CLAIMED)):
                fresh: dict[Request, list[WantedDraw]] = {}
                for draw in some:
                    request = self._request(draw)
                    asked = in_flight if request in in_flight else fresh
                    asked.setdefault(request, []).append(draw)
                in_flight.update(taken := claims.take(fresh))
                yield from taken
                yield None

        def deliver(request: Request, reply: Reply) -> None:
            failure, draws = _no_output(reply), in_flight.pop(request)
            self._replies.add(replace(reply, failure=failure))
            if failure:
                self.failures[failure] += len(draws)
                return
            self._written += len(draws)
            batch.extend(Answer(*draw, reply.text, reply.thinking) for draw in draws)

        def commit() -> None:
            if batch:
                outputs.write(batch)
                batch.clear()

        client = self._client(claims.before_send)
        with claims:
            try:
                while wanted:
                    draws = (WantedDraw(each.instruction, k) for each in wanted for k in each.draws)
                    run_all(client, claimed(draws), deliver, commit)
                    wanted = claims.freed()
            finally:
                self.refusals = client.refusals
                commit()
        self._replies.refuse_if_nothing_worked(self._endpoint.name, self._written + claims.elsewhere)
        return claims.elsewhere

    def _client(self, before_send: BeforeSend) -> OnlineClient:
        given = self._provider
        rates = RateLimits(given.requests_per_minute, given.tokens_per_minute)
        options = OnlineOptions(
            concurrency=given.concurrency,
            rates=rates,
            without=frozenset(given.without),
            required=NEEDED - set(given.without),
            cut_prompts=given.cut_prompts,
        )
        account = Account(Budget(given.max_cost, given.max_requests))
        price = PriceTable.load(given.prices).price
        return OnlineClient(self._endpoint, options, price=price, account=account, before_send=before_send)

    def _request(self, draw: WantedDraw) -> Request:
        decoding = RequestDecoding(
            temperature=self._settings.temperature,
            top_p=self._settings.top_p,
            max_tokens=self._settings.max_new_tokens,
            seed=self._seed,
            extra={"top_k": self._settings.top_k} if self._settings.top_k else {},
        ).with_thinking(self._provider.thinking, self._provider.effort)
        if self._codec is not None:
            ids = tuple(self._codec.prompt_ids(Prompt.of(draw.instruction)))
            return Request(
                model=self._model,
                messages=(),
                decoding=decoding,
                replicate=draw.number,
                endpoint=self._endpoint.name,
                prompt=ids,
            )
        messages = [
            Message(Role(turn.role), turn.content) for turn in map(without_tool, draw.instruction.messages)
        ]
        if self._max_words is not None:
            cap = f"Keep every answer to {self._max_words} words at most."
            before = f"{messages.pop(0).content}\n\n" if messages[0].role is Role.SYSTEM else ""
            messages.insert(0, Message(Role.SYSTEM, before + cap))
        return Request(
            model=self._model,
            messages=tuple(messages),
            decoding=decoding,
            replicate=draw.number,
            endpoint=self._endpoint.name,
        )


def _no_output(reply: Reply) -> str | None:
    """Why a reply is no output; None where it is one. A reply that was cut is one, if it has a text."""
    if reply.failure not in (None, CUT):
        return reply.failure
    if reply.text.strip():
        return None
    return ONLY_THINKING if reply.thinking else reply.failure or "empty_text"


def _codec(source: str) -> Codec:
    from farm.models.loading import load_codec  # loads torch, which most users of a server do not need

    return load_codec(source, ModelConfig())
