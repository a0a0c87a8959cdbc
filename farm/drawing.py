"""Where outputs come from: a model run in this process, or one at an OpenAI-compatible server.

Both say by `decoding` all that can change an output of theirs, and hand their answers over as they come, in
batches that are written whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

from db.ids import Json, canonical_json
from db.records import Instruction
from farm.config import Decoding, ModelConfig

if TYPE_CHECKING:
    from annotators.clients.online import OnlineClient
    from annotators.clients.request import Completion, Request
    from farm.annotate import Provider
    from farm.codec import Codec
    from farm.methods.method import RewardFn

AT_A_TIME = 512  # responses drawn together
CUT = "length"  # a reply that was cut at max_new_tokens is an output all the same
FLUSH = 16  # replies of a server in one transaction: they are paid for


class Wanted(NamedTuple):
    """An instruction with the numbers of the draws that it lacks."""

    instruction: Instruction
    draws: tuple[int, ...]


class Answer(NamedTuple):
    """The text of one draw."""

    instruction: Instruction
    draw: int
    text: str


Write = Callable[[list[Answer]], None]


class Drawing(Protocol):
    """A model with its settings."""

    decoding: str  # canonical JSON of all that can change an output
    failures: Counter[str]  # names of what came in place of a text

    @property
    def cost(self) -> float | None:
        """US dollars; None: nothing was paid for, or a price is unknown."""
        ...

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        """Every draw that is wanted; one that failed is counted and not written."""
        ...


class LocalModel:
    """A model run here. An output is a function of (weights, instruction, decoding, seed, draw) alone."""

    cost: float | None = None

    def __init__(
        self, model: str, decoding: Decoding, seed: int, n: int, best_of: int | None, reward: str | None
    ) -> None:
        from farm.policies import Policy
        from farm.reference import fingerprint

        config = ModelConfig()
        self._policy = Policy.load(model, config)
        self._settings, self._seed, self._n = decoding, seed, n
        self._best_of, self._reward_source = best_of, reward
        self.failures: Counter[str] = Counter()
        identity: dict[str, Json] = {
            **asdict(decoding),
            "seed": seed,
            "weights": fingerprint(model, config, lambda: self._policy),
        }
        if reward is not None:
            scorer = self._scorer
            identity |= {"best_of": best_of, "reward": fingerprint(reward, config, lambda: scorer)}
        self.decoding = canonical_json(identity)

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        size = max(1, AT_A_TIME // (self._best_of or self._n))
        for at in range(0, len(wanted), size):
            part = wanted[at : at + size]
            texts = self._texts([each.instruction for each in part])
            answers = [(each, texts[i]) for i, each in enumerate(part)]
            write([Answer(each.instruction, k, drawn[k]) for each, drawn in answers for k in each.draws])

    def _texts(self, instructions: Sequence[Instruction]) -> list[list[str]]:
        """Every draw for each instruction."""
        from farm.methods.best_of_n import BestOfNConfig, best_of_n
        from farm.methods.method import Prompt
        from farm.rollout import draw

        prompts = [Prompt(each.text, each.input) for each in instructions]
        if self._best_of is not None:
            config = BestOfNConfig(n=self._best_of, **asdict(self._settings))
            return [[text] for text in best_of_n(self._policy, self._reward, prompts, config, self._seed)]
        texts = draw(self._policy, prompts, self._settings, seed=self._seed, n=self._n).texts
        return [texts[at : at + self._n] for at in range(0, len(texts), self._n)]

    @cached_property
    def _scorer(self):  # type: ignore[no-untyped-def]
        from farm.scorers import Scorer

        return Scorer.load(str(self._reward_source), ModelConfig())

    @cached_property
    def _reward(self) -> RewardFn:
        from farm.scorers import ScorerReward

        return ScorerReward(self._scorer)


class ServedModel:
    """A model behind an OpenAI-compatible server. max_words: asked of it in a system message.

    tokenizer: a checkpoint whose tokenizer and template make the prompts, which are then sent as token ids,
    those that training and a model run here would read; else the server's chat template makes them.
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
        from annotators.clients.endpoint import Endpoint

        self._model, self._provider, self._max_words = model, provider, max_words
        self._settings, self._seed = decoding, seed
        self._codec = _codec(tokenizer) if tokenizer is not None else None
        self._endpoint = Endpoint.from_environment(provider.base_url)
        self.failures: Counter[str] = Counter()
        self._costs: list[float | None] = []
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
        if self._codec is not None:
            identity["tokenizer"] = self._codec.fingerprint()
        self.decoding = canonical_json(identity)

    @property
    def cost(self) -> float | None:
        known = [cost for cost in self._costs if cost is not None]
        return sum(known) if known and len(known) == len(self._costs) else None

    def draw(self, wanted: Sequence[Wanted], write: Write) -> None:
        from annotators.clients.run import run_all

        questions = [(each.instruction, k) for each in wanted for k in each.draws]
        asked = {self._request(*question): question for question in questions}
        batch: list[Answer] = []

        def deliver(request: Request, completion: Completion) -> None:
            self._costs.append(completion.cost)
            if completion.failure not in (None, CUT):
                self.failures[completion.failure] += 1
                return
            batch.append(Answer(*asked[request], completion.text))
            if len(batch) >= FLUSH:
                write(batch[:])
                batch.clear()

        try:
            run_all(self._client(), asked, deliver)
        finally:
            if batch:
                write(batch)

    def _client(self) -> OnlineClient:
        from annotators.clients.budget import Account, Budget
        from annotators.clients.limits import RateLimits
        from annotators.clients.online import OnlineClient, OnlineOptions
        from annotators.prices import PriceTable

        given = self._provider
        rates = RateLimits(given.requests_per_minute, given.tokens_per_minute)
        options = OnlineOptions(concurrency=given.concurrency, rates=rates)
        account = Account(Budget(given.max_cost, given.max_requests))
        return OnlineClient(
            self._endpoint, options, price=PriceTable.load(given.prices).price, account=account
        )

    def _request(self, instruction: Instruction, draw: int) -> Request:
        from annotators.clients import request as api
        from farm.methods.method import Prompt

        decoding = api.Decoding(
            temperature=self._settings.temperature,
            top_p=self._settings.top_p,
            max_tokens=self._settings.max_new_tokens,
            seed=self._seed,
            extra={"top_k": self._settings.top_k} if self._settings.top_k else {},
        )
        if self._codec is not None:
            ids = tuple(self._codec.prompt_ids(Prompt(instruction.text, instruction.input)))
            return api.Request(self._model, (), decoding, draw, self._endpoint.name, prompt=ids)
        said = "\n\n".join(part for part in (instruction.text, instruction.input) if part)
        messages = [api.Message(api.Role.USER, said)]
        if self._max_words is not None:
            cap = f"Keep every answer to {self._max_words} words at most."
            messages.insert(0, api.Message(api.Role.SYSTEM, cap))
        return api.Request(self._model, tuple(messages), decoding, draw, self._endpoint.name)


def _codec(source: str) -> Codec:
    from farm.loading import load_codec

    return load_codec(source, ModelConfig())
