"""The provider's Batch API as a transport: replies within a day, at half the price.

Requests are written to files, one for each model. The files are uploaded, and their batches are polled until
they end. Results carry a custom_id and come in any order. A process that dies loses nothing: the next one
gets the keys of the requests that were claimed and never answered, finds the batches of its run by their
metadata, and collects them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from openai.types import Batch

from annotators.clients.batch_api import BatchApi
from annotators.clients.batch_lines import custom_id, read_result, request_line
from annotators.clients.budget import Account, Charge
from annotators.clients.dialect import Dialect
from annotators.clients.endpoint import Endpoint
from annotators.clients.request import (
    BeforeSend,
    Commit,
    Deliver,
    Request,
    Requests,
    keep_nothing,
    next_request,
    send_unclaimed,
)
from annotators.clients.sending import Sending, failed
from annotators.clients.tally import Tally
from annotators.clients.wire import without_secrets
from annotators.prices import Price, no_price
from db.ids import content_hash

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_UNANSWERED = {"failed": "batch_failed", "expired": "batch_expired", "cancelled": "batch_cancelled"}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """run_id: names the run at the provider; a run that is continued has the same. The limits are the
    provider's.
    """

    run_id: str
    without: frozenset[str] = frozenset()  # fields (dialect.FIELDS) that are not sent
    poll_seconds: float = 30.0
    timeout: float = 600.0  # seconds for one call, beside the time that a large file takes
    max_requests: int = 50_000
    max_bytes: int = 200 * 10**6


@dataclass(slots=True, eq=False)
class _Part:
    """Requests that travel in one file, by key. lines: empty once the batch is created.

    adopted: an earlier process created the batch; it claimed and paid for the requests.
    """

    batch_id: str = ""
    adopted: bool = False
    asked: dict[str, Request] = field(default_factory=dict)
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    started: float = field(default_factory=time.perf_counter)

    def add(self, request: Request, line: bytes) -> None:
        """Put a request into the file."""
        self.asked[request.key] = request
        self.lines.append(line)
        self.size += len(line)


class BatchClient:
    """A Transport over the Batch API.

    price: of single requests. batch_factor: the share of it that a batch costs. open_claims: keys of requests
    that were claimed under this run_id and never answered. They may be under way at the provider, and are
    looked for there before they are asked again.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: BatchOptions,
        *,
        price: Callable[[str], Price | None] = no_price,
        batch_factor: float = 0.5,
        account: Account | None = None,
        before_send: BeforeSend = send_unclaimed,
        open_claims: Collection[str] = (),
    ) -> None:
        self.endpoint = endpoint
        self.options = options
        self.account = account or Account()
        self._price = price
        self._factor = batch_factor
        self._before_send = before_send
        self._open_claims = open_claims
        self._dialect = Dialect(endpoint.max_tokens_field, options.without)

    async def run(self, requests: Requests, deliver: Deliver, commit: Commit = keep_nothing) -> None:
        """See Transport.run. Memory holds the requests of the batches that are under way."""
        options = self.options
        waits = {"timeout": options.timeout, "longest_wait": 10 * options.poll_seconds}
        async with BatchApi.open(self.endpoint, options.run_id, **waits) as api:
            earlier = await self._adopt(api)
            while True:
                wave, left_over = await self._submit(api, requests, earlier)
                await self._collect(api, [part for part in wave if part.asked], deliver, commit)
                if not left_over:
                    return
                if not wave:  # the budget is used up, unless other clients of the run release some of it
                    worst = self._worst(left_over[0])
                    await self.account.reserve(worst)
                    self.account.settle(worst, Charge())
                requests, earlier = chain(left_over, requests), {}

    async def _adopt(self, api: BatchApi) -> dict[str, _Part]:
        """The batches of earlier processes, by the keys of the claims that they may answer."""
        if not self._open_claims:
            return {}
        batches = await api.ours()
        await api.clear_orphans({batch.input_file_id for batch in batches})
        found: dict[str, _Part] = {}
        for batch in reversed(batches):  # the newest batch last: it answers the claim that is open
            if batch.status == "failed":
                continue
            part = _Part(batch.id, adopted=True)
            async with api.lines(batch.input_file_id) as lines:
                for line in lines:
                    await asyncio.sleep(0)  # a signal is heard between two lines
                    key = custom_id(line)
                    if key is not None and key in self._open_claims:
                        found[key] = part
        if found:
            log.info("%d requests are under way since an earlier process", len(found))
        return found

    async def _submit(
        self, api: BatchApi, requests: Requests, earlier: Mapping[str, _Part]
    ) -> tuple[list[_Part], list[Request]]:
        """Send what the budget allows. Returns the parts under way, and the requests that have to wait for
        them.
        """
        parts: list[_Part] = []
        filling: dict[str, _Part] = {}  # by model: providers refuse a file of several
        placed: set[str] = set()
        waiting: list[Request] = []
        while request := await next_request(requests):
            if request.key in placed:
                waiting.append(request)  # a file may not ask the same thing twice
                continue
            placed.add(request.key)
            if part := earlier.get(request.key):
                part.asked[request.key] = request
                if part not in parts:
                    parts.append(part)
                continue
            worst = self._worst(request)
            if not self.account.fits(worst):
                waiting.append(request)
                break
            await self.account.reserve(worst)
            await self._before_send(request, 1)
            line = request_line(request, self._dialect)
            part = filling.setdefault(request.model, _Part())
            if part.lines and not self._takes(part, line):
                parts.append(await self._create(api, part))
                part = filling[request.model] = _Part()
            part.add(request, line)
        for part in filling.values():
            parts.append(await self._create(api, part))
        return parts, waiting

    def _takes(self, part: _Part, line: bytes) -> bool:
        options = self.options
        return len(part.lines) < options.max_requests and part.size + len(line) <= options.max_bytes

    async def _create(self, api: BatchApi, part: _Part) -> _Part:
        name = content_hash("batch input", list(part.asked))
        batch = await api.submit(f"{name}.jsonl", b"".join(part.lines))
        part.batch_id, part.lines = batch.id, []
        log.info("batch %s: %d requests", batch.id, len(part.asked))
        return part

    async def _collect(self, api: BatchApi, parts: list[_Part], deliver: Deliver, commit: Commit) -> None:
        """Poll until all batches have ended. Each is delivered as it ends."""
        while parts:
            under_way = []
            for part in parts:
                batch = await api.batch(part.batch_id)
                if batch.status in _ENDED:
                    await self._deliver(api, part, batch, deliver)
                    commit()
                else:
                    under_way.append(part)
            parts = under_way
            if parts:
                await asyncio.sleep(self.options.poll_seconds)

    async def _deliver(self, api: BatchApi, part: _Part, batch: Batch, deliver: Deliver) -> None:
        """Deliver each result of a batch that has ended, and a failure for each request without one."""
        strange = 0
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            async with api.lines(file_id) as lines:
                for line in lines:
                    await asyncio.sleep(0)  # a signal is heard between two lines
                    result = read_result(line)
                    request = part.asked.pop(result.custom_id, None) if result else None
                    if result is None or request is None:
                        strange += 1
                    else:
                        self._hand_over(part, request, result.sending(request), deliver)
        if strange and not part.adopted:
            log.warning("batch %s: %d lines that answer nothing we asked", batch.id, strange)
        errors = (batch.errors.data if batch.errors else None) or []
        detail = "; ".join(error.message or error.code or "" for error in errors)
        for request in part.asked.values():
            sending = failed(_UNANSWERED.get(batch.status, "batch_missing"), detail)
            self._hand_over(part, request, sending, deliver)

    def _hand_over(self, part: _Part, request: Request, sending: Sending, deliver: Deliver) -> None:
        worst = self._worst(request)
        tally = Tally(request, self._rate(request), worst)
        if lost := self._dialect.lost(request) if sending.failure is None else ():
            sending = replace(sending, warnings=(*sending.warnings, *lost))
        tally.book(without_secrets(sending, self.endpoint), time.perf_counter() - part.started)
        self.account.settle(Charge() if part.adopted else worst, tally.charge)
        deliver(request, tally.reply())

    def _rate(self, request: Request) -> Price | None:
        price = self._price(request.model)
        return None if price is None else price.scaled(self._factor)

    def _worst(self, request: Request) -> Charge:
        return self.account.worst_case(request, self._rate(request))
