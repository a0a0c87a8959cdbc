"""The provider's API: a function from HTTP request to HTTP reply, and its books, which all may read.

    POST /v1/chat/completions    judge            GET /v1/models    GET /stats
    /v1/files, /v1/batches       see batches.py

A reply depends on the content of the request, and on how often that request came before. What else is under
way does not change it.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from annotators.clients.budget import MESSAGE_TOKENS, REPLY_TOKENS
from annotators.clients.tokens import count_tokens, first_tokens
from annotators.simulator.batches import Batches
from annotators.simulator.config import Judge, Rewriter, SimulatorConfig, Utility, request_key, resolve
from annotators.simulator.faults import FAULTS, GOOD, Body, refuse
from annotators.simulator.http import HttpReply, HttpRequest
from annotators.simulator.judges import (
    TRICKS,
    Decision,
    aspects_of,
    decide,
    having_learnt,
    heeding,
    leanings_of,
    utility_of,
)
from annotators.simulator.prompt_forms import (
    ChatMessage,
    Extractor,
    find_disagreements,
    find_examples,
    find_rewriting,
    orders,
    standing,
)
from annotators.simulator.proposals import proposal
from annotators.simulator.replies import FORMS, JudgedPrompt, Wording, word
from db.errors import ConfigError

_FAULTS = {"", *FAULTS}
_FORMS = {"auto", *FORMS}


class Player(NamedTuple):
    """A judge with its utility function, those of single criteria, and those of rules that it heeds, learns
    from worked examples, or proposes; and what it makes of an instruction that it is to rewrite."""

    judge: Judge
    utility: Utility
    aspects: Mapping[str, Utility]
    heeds: Mapping[str, Utility]
    learns: Mapping[str, Utility]
    proposes: Mapping[str, Utility]
    rewrites: Rewriter | None

    @classmethod
    def of(cls, judge: Judge, where: str = "judge") -> Player:
        """The judge with its functions. Raises ConfigError where a name stands for none."""
        rules = [
            leanings_of(judge, each, f"{where}.{what}")
            for what, each in (
                ("heeds", judge.heeds),
                ("learns", judge.learns),
                ("proposes", judge.proposes),
            )
        ]
        named = judge.rewrites
        rewrites = resolve(named, f"{where}.rewrites") if isinstance(named, str) and named else named
        return cls(
            judge,
            utility_of(judge),
            aspects_of(judge),
            heeds=rules[0],
            learns=rules[1],
            proposes=rules[2],
            rewrites=rewrites or None,
        )


@dataclass(slots=True)
class Bill:
    """What one request has cost. hits: sendings that were looked at. billed: those that were charged for."""

    hits: int = 0
    billed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class SimulatorStats:
    """The provider's books.

    hits: all chat requests, with refused ones and lines of batches. requests: different requests. files,
    batches: what the Files and Batch APIs hold. faults: how many were served, by name. bills: by request_key
    of the body.
    """

    hits: int
    billed: int
    prompt_tokens: int
    completion_tokens: int
    requests: int
    files: int
    batches: int
    faults: Mapping[str, int]
    bills: Mapping[str, Bill]


class App:
    """The provider behind the HTTP server. Only one thread may use it at a time.

    Raises ConfigError where the configuration names what does not exist.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        _check(config)
        self.config = config
        self.hits = 0
        self.bills: dict[str, Bill] = {}
        self.faults: dict[str, int] = {}
        self.arrivals: deque[float] = deque(maxlen=100_000)  # of chat requests, seconds of a steady clock
        self._extract: Extractor = (
            resolve(config.extractor, "extractor") if isinstance(config.extractor, str) else config.extractor
        )
        casting = config.casting
        self._casting = resolve(casting, "casting") if isinstance(casting, str) else casting
        self._cast: dict[tuple[str, str], Player] = {}
        self._next_slot = -math.inf  # for requests_per_minute
        self._batches = Batches(config.batch, self._answer_line)

    def __call__(self, request: HttpRequest) -> HttpReply:
        if request.path == "/stats":
            return _json(asdict(self.stats()))
        chat = request.method == "POST" and request.path == "/v1/chat/completions"
        if chat:
            self.hits += 1
            self.arrivals.append(time.monotonic())
        if self.config.api_key and request.headers.get("authorization") != f"Bearer {self.config.api_key}":
            return refuse(401, "invalid_api_key", "Incorrect API key provided")
        reply = self._chat(request) if chat else self._models(request) or self._batches(request)
        reply = reply or refuse(404, "unknown_url", f"no such address: {request.path}")
        return replace(reply, delay=self.config.latency) if self.config.latency else reply

    def _models(self, request: HttpRequest) -> HttpReply | None:
        if request.path != "/v1/models" or request.method != "GET":
            return None
        names = self.config.models or tuple(self.config.judges) or ("simulated-judge",)
        return _json({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    def stats(self) -> SimulatorStats:
        """The books at this moment."""
        bills = self.bills.values()
        return SimulatorStats(
            hits=self.hits,
            billed=sum(bill.billed for bill in bills),
            prompt_tokens=sum(bill.prompt_tokens for bill in bills),
            completion_tokens=sum(bill.completion_tokens for bill in bills),
            requests=len(bills),
            files=self._batches.files_kept,
            batches=self._batches.batches_made,
            faults=dict(self.faults),
            bills={key: replace(bill) for key, bill in self.bills.items()},
        )

    def _chat(self, request: HttpRequest) -> HttpReply:
        try:
            body: object = json.loads(request.body)
        except (ValueError, RecursionError):
            return refuse(400, "invalid_json", "the body is not JSON")
        return self._refused_for_now() or self.answer(body)

    def _refused_for_now(self) -> HttpReply | None:
        """429 where requests_per_minute is passed; a second's worth may come at once."""
        if self.config.requests_per_minute is None:
            return None
        now = time.monotonic()
        if now < self._next_slot:
            wait = f"{self._next_slot - now:.3f}"
            return refuse(429, "rate_limit_exceeded", "Rate limit reached", {"retry-after": wait})
        self._next_slot = max(self._next_slot, now - 1.0) + 60.0 / self.config.requests_per_minute
        return None

    def _answer_line(self, body: object) -> HttpReply:
        """The reply to a line of a batch, which is a request like any other."""
        self.hits += 1
        return self.answer(body, in_a_file=True)

    def answer(self, body: object, *, in_a_file: bool = False) -> HttpReply:
        """The reply to a chat-completions body, its fault included, entered in the books."""
        if not isinstance(body, dict) or (problem := _invalid(body)):
            return refuse(400, "invalid_request", problem if isinstance(body, dict) else "not an object")
        if self.config.models and body["model"] not in self.config.models:
            return refuse(404, "model_not_found", f"The model {body['model']!r} does not exist")
        key = request_key(body)
        bill = self.bills.setdefault(key, Bill())
        bill.hits += 1
        completion = self._complete(body, key)
        name = self.config.faults.draw(key, bill.hits)
        if name:
            self.faults[name] = self.faults.get(name, 0) + 1
        fault = FAULTS[name] if name else GOOD
        if in_a_file:
            fault = fault.in_a_file()
        if fault.billed:
            bill.billed += 1
            bill.prompt_tokens += completion["usage"]["prompt_tokens"]
            bill.completion_tokens += completion["usage"]["completion_tokens"]
        return fault.reply(completion)

    def _complete(self, body: dict[str, Any], key: str) -> Body:
        """The chat completion of a valid body."""
        messages = [ChatMessage(each["role"], each["content"]) for each in body["messages"]]
        wording = self._judge(body, messages, key)
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or math.inf
        text, length, finish = wording.text, count_tokens(wording.text), "stop"
        if length > limit:
            text, length, finish = first_tokens(text, int(limit)), int(limit), "length"
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "finish_reason": finish,
            "logprobs": wording.logprobs(body.get("top_logprobs") or 0) if body.get("logprobs") else None,
        }
        return {
            "id": f"chatcmpl-{key}",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"] + self.config.snapshot,
            "choices": [choice],
            "usage": self._usage(messages, length),
        }

    def _usage(self, messages: Sequence[ChatMessage], length: int) -> dict[str, object]:
        prompt = sum(count_tokens(said.content) + MESSAGE_TOKENS for said in messages) + REPLY_TOKENS
        usage = {"prompt_tokens": prompt, "completion_tokens": length, "total_tokens": prompt + length}
        cached = {"cached_tokens": int(prompt * self.config.cached_share)}
        return {**usage, "prompt_tokens_details": cached} if self.config.cached_share else dict(usage)

    def _judge(self, body: dict[str, Any], messages: Sequence[ChatMessage], key: str) -> Wording:
        """The verdicts on what the prompt shows, worded as it asks."""
        player = self._player(body["model"], standing(messages))
        told = orders(messages)
        if player.proposes and (shown := find_disagreements(messages)):
            return Wording(text := proposal(player.proposes, shown, told), {text.split()[0]: 1.0})
        if player.rewrites and (material := find_rewriting(messages)):
            return Wording(text := player.rewrites(*material, key), {text.split()[0]: 1.0})
        judge, utility = player.judge, heeding(player.utility, player.heeds, told)
        utility = having_learnt(utility, player.learns, find_examples(messages)) if player.learns else utility
        temperature = 1.0 if body.get("temperature") is None else float(body["temperature"])
        questions = self._extract(messages)
        verdicts = [decide(judge, utility, each, temperature=temperature, key=key) for each in questions]

        def by_criterion(place: int, name: str) -> Decision:
            mine = player.aspects.get(name, utility)
            return decide(judge, mine, questions[place], temperature=temperature, key=f"{key} {name}")

        schema = _schema(body.get("response_format"))
        asked = JudgedPrompt(questions, verdicts, told, by_criterion, schema=schema)
        return word(asked, judge.form, judge.off_format, key)

    def _player(self, model: str, before: str) -> Player:
        """Who answers for this model. before: all that stands before the question in the prompt."""
        casting = None if model in self.config.judges else self._casting
        role = (model, before if casting else "")
        if role not in self._cast:
            judge = casting(*role) if casting else self.config.judge_of(model)
            self._cast[role] = Player.of(judge)
        return self._cast[role]


def _check(config: SimulatorConfig) -> None:
    """Raise ConfigError with all that is wrong with a configuration."""
    faults = config.faults
    problems = [f"unknown fault {name!r}" for name in (*faults.names, *faults.script) if name not in _FAULTS]
    problems += [] if 0 <= faults.rate <= 1 else [f"a rate of faults is from 0 to 1, not {faults.rate:g}"]
    for judge in (config.judge, *config.judges.values()):
        problems += [] if judge.form in _FORMS else [f"unknown form {judge.form!r}"]
        problems += [f"unknown trick {name!r}" for name in judge.fooled_by if name not in TRICKS]
        problems += [] if judge.noise >= 0 else [f"noise is 0 or more, not {judge.noise:g}"]
        Player.of(judge)
    if problems:
        remedy = "docs/serve_simulator.md lists faults, forms and tricks"
        raise ConfigError("; ".join(problems), where="simulator", remedy=remedy)


def _schema(response_format: object) -> Mapping[str, Any] | None:
    """The schema of structured outputs, where they are asked for."""
    named = response_format.get("json_schema") if isinstance(response_format, dict) else None
    schema = named.get("schema") if isinstance(named, dict) else None
    return schema if isinstance(schema, dict) else None


def _invalid(body: dict[str, Any]) -> str:
    """Why a chat-completions body is not acceptable; empty where it is."""
    if not isinstance(body.get("model"), str) or not body["model"]:
        return "model is missing"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages is missing"
    for each in messages:
        if not isinstance(each, dict) or not isinstance(each.get("content"), str) or "role" not in each:
            return "a message has a role and a text"
    if not isinstance(body.get("temperature"), int | float | None):
        return "temperature is a number"
    if body.get("stream"):
        return "this server does not stream"
    return ""


def _json(data: object) -> HttpReply:
    return HttpReply(200, json.dumps(data).encode())
