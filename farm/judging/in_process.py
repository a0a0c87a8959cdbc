"""Judges whose weights run in this process: the transport, and the names of the models.

A model in this process is asked as a server is. Requests are claimed and completions are stored, but there is
no wire and no bill. The name of a model holds a hash of its files. So another model under the same path is
another judge.

A small model seldom begins its reply with a bare name. In this process it can be held to the names, because
all log-probabilities are here: an annotator whose reply is one token, and is read as a name, asks so in each
request, by the field with which vLLM is asked for the same. So an annotator that is held is another one than
at a server that takes no such field.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from annotators.clients.budget import Account, Charge
from annotators.clients.request import (
    Commit,
    Deliver,
    Reply,
    Request,
    RequestDecoding,
    Requests,
    keep_nothing,
    next_request,
)
from annotators.clients.sending import Sending
from annotators.clients.tally import Tally
from annotators.pool import Pool, specs_of
from annotators.prices import Price
from annotators.spec import AnnotatorSpec
from db.errors import ConfigError
from db.records import AnnotatorKind
from farm.models.identity import digest_of
from farm.models.sources import locate

ENDPOINT = "in process"  # what stands for the server's address
FREE = Price(0.0, 0.0)
ONE = Charge(requests=1)
DEFINING = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")  # the files of a model

HELD = "structured_outputs"
"""The extra field of a request that holds its reply to some texts: {"choice": [...]}."""

Answerer = Callable[[Sequence[Request]], Sequence[Sending]]
"""Replies to some requests, in their order."""


@dataclass(frozen=True)
class InProcess:
    """A Transport without a wire. Requests are answered in batches, in the order in which they come."""

    answer: Answerer
    batch: int
    account: Account

    async def run(self, requests: Requests, deliver: Deliver, commit: Commit = keep_nothing) -> None:
        """See annotators.clients.Transport."""
        waiting: list[Request] = []
        try:
            while request := await next_request(requests):
                if not self.account.fits(ONE):
                    self._answer(waiting, deliver)
                await self.account.reserve(ONE)
                waiting.append(request)
                if len(waiting) == self.batch:
                    self._answer(waiting, deliver)
                    commit()
                    await asyncio.sleep(0)  # where Ctrl-C ends the run
        finally:
            self._answer(waiting, deliver)

    def _answer(self, waiting: list[Request], deliver: Deliver) -> None:
        """Answer the requests that wait, and deliver the replies."""
        asked = list(waiting)
        waiting.clear()
        if not asked:
            return
        started = time.perf_counter()
        sendings = self.answer(asked)
        seconds = (time.perf_counter() - started) / len(asked)
        for request, sending in zip(asked, sendings, strict=True):
            tally = Tally(request, FREE, ONE)
            tally.book(sending, seconds)
            reply = tally.reply()
            self.account.settle(ONE, Charge(1, reply.usage.total, 0.0))
            deliver(request, reply)


@dataclass(frozen=True)
class NamedModels:
    """An annotator whose models have names by content. sources: name -> folder or hub id."""

    annotator: AnnotatorSpec | Pool
    sources: Mapping[str, str]  # name -> folder or hub id


def named_models(annotator: AnnotatorSpec | Pool) -> NamedModels:
    """The annotator with the names of its models in place of folders and hub ids, held to its outputs' names.

    Raises ConfigError where no model is named or it cannot be read, and ModelError where there is none.
    """
    names = {source: name_of(source) for source in {spec.model for spec in specs_of(annotator)}}
    sources = {name: source for source, name in names.items()}

    def named(spec: AnnotatorSpec) -> AnnotatorSpec:
        return replace(held(spec), model=names[spec.model])

    if isinstance(annotator, Pool):
        members = (replace(member, spec=named(member.spec)) for member in annotator.members)
        return NamedModels(replace(annotator, members=tuple(members)), sources)
    return NamedModels(named(annotator), sources)


def held(spec: AnnotatorSpec) -> AnnotatorSpec:
    """The annotator with its reply held to the names of its outputs, where that reply is one token.

    Of a reply that reasons, or that may be more than a name, nothing changes. The share of the probability
    that the names must have has no sense any more: it is 0, unless the annotator says another.
    """
    if spec.kind is not AnnotatorKind.LLM or spec.decoding.max_tokens != 1:
        return spec
    if spec.parser.name not in ("logprob", "verdict") or HELD in spec.decoding.extra:
        return spec
    decoding = replace(spec.decoding, extra={**spec.decoding.extra, HELD: {"choice": list(spec.outputs)}})
    parser = spec.parser
    if parser.name == "logprob":
        parser = replace(parser, options={"least": 0.0, **parser.options})
    return replace(spec, decoding=decoding, parser=parser)


def held_to(decoding: RequestDecoding) -> tuple[str, ...]:
    """The texts that a reply is held to; empty where it may be any."""
    asked = decoding.extra.get(HELD)
    choice = asked.get("choice") if isinstance(asked, Mapping) else None
    return tuple(map(str, choice)) if isinstance(choice, list) else ()


def outside(request: Request, reply: Reply) -> float | None:
    """The probability, in [0, 1], that a reply held to names would have been something else; None without."""
    if not held_to(request.decoding) or not reply.top_logprobs:
        return None
    return max(0.0, 1.0 - math.fsum(math.exp(each.logprob) for each in reply.top_logprobs[0]))


def name_of(source: str) -> str:
    """The name of a model: that of its folder or file and a hash of its files, or the hub id and its commit.

    An adapter's files are its own and those of its base.
    """
    if not source:
        raise ConfigError("no model is named", where="--model", remedy="give a folder of weights or a hub id")
    found = locate(source)
    if found.is_here:
        return f"{Path(source).resolve().name}@{digest_of(found.files(*DEFINING))[:12]}"
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(found.weights)
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        remedy = "give a folder of weights or a hub id"
        raise ConfigError(
            f"no model {source!r:.200} here or on the hub: {said}", where="--model", remedy=remedy
        ) from None
    commit = (getattr(config, "_commit_hash", None) or "unknown")[:12]
    own = f"{digest_of(found.files(*DEFINING))[:12]}+" if found.adapter else ""
    return f"{source}@{own}{commit}"
