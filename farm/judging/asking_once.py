"""One request that is about no pair: claimed before it is sent, and kept, so that nobody pays for it twice.

The reply is found again by the request, as a judge's is (asking.py). A claim of a run that is dead is free.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotators.clients.budget import Account
from annotators.clients.endpoint import Endpoint
from annotators.clients.limits import RateLimits
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.clients.request import Reply, Request
from annotators.clients.run import run_all
from annotators.prices import PriceTable
from db.errors import ConfigError, UnstorableRow
from db.ids import canonical_json
from db.ledger import Ledger
from db.queries import asking
from db.records import Claim, Completion
from farm.judging.completions import completion_of, unstorable
from farm.judging.provider import Provider
from farm.judging.questions import stored
from farm.judging.replies import Replies
from farm.judging.runs import Lease, LeftToOthers, new_run_name


@dataclass(frozen=True)
class Answered:
    """A reply, and what it took now: nothing where the ledger had it.

    claim_id: as of `farm trace completion:ID`. cost: US dollars; None where nothing was paid or the price is
    unknown.
    """

    claim_id: int
    text: str
    requests: int = 0
    tokens: int = 0
    cost: float | None = None


def ask_once(
    ledger: Ledger, request: Request, draw_key: str, provider: Provider, account: Account
) -> Answered:
    """The reply to a request. draw_key: who asks.

    Raises RunStopped where the provider or the budget ends it, and ConfigError where the reply is unusable or
    another run is asking the same.
    """
    with Lease(ledger, new_run_name()) as lease:
        found = _claimed(ledger, request, draw_key, lease)
        if isinstance(found, Completion):
            return Answered(found.claim_id, found.text)
        reply = _sent(ledger, request, found, provider, account=account, lease=lease)
    if not reply.ok:
        replies = Replies()
        replies.add(reply)
        replies.refuse_if_nothing_worked(request.endpoint, 0)
        said = f"{reply.failure} {reply.detail}".strip()
        raise ConfigError(f"{request.model} gave no usable reply: {said}", remedy="ask another model")
    return Answered(found, reply.text, requests=reply.attempts, tokens=reply.usage.total, cost=reply.cost)


def kept(ledger: Ledger, request: Request) -> bool:
    """Whether the ledger has a usable reply."""
    return stored(asking.answers(ledger, [request.key]).get(request.key)) is not None


def _claimed(ledger: Ledger, request: Request, draw_key: str, lease: Lease) -> Completion | int:
    """The stored reply, or the id of our claim. Waits until it is known whether another run lives."""
    left: LeftToOthers[str] = LeftToOthers()

    def take() -> Completion | int | None:
        with ledger.writing() as writer:
            left.others.look(writer.beats())
            before = asking.answers(ledger, [request.key]).get(request.key)
            if said := stored(before):
                return said
            unanswered = before and not before.latest and before.run != lease.run
            if before and unanswered and left.leave(before.run, [request.key]):
                return None
            [claim_id] = writer.claims(
                [
                    Claim(
                        request_key=request.key,
                        draw_key=draw_key,
                        run=lease.run,
                        request=canonical_json(request.body()),
                        questions=(),
                        attempt=before.attempts if before else 0,
                    )
                ]
            )
            if dead := left.others.ended:
                writer.end_leases(dead)
        return claim_id

    while (found := left.patiently(ledger, take)) is None:
        if not left.freed(ledger):
            remedy = "wait until it has ended, then run the same command again: nothing is asked twice"
            raise ConfigError(f"another run is asking {request.model} the same", remedy=remedy)
    return found


def _sent(
    ledger: Ledger, request: Request, claim_id: int, provider: Provider, *, account: Account, lease: Lease
) -> Reply:
    """Send a claimed request; its reply, which is written."""
    replies: list[Reply] = []

    async def before_send(asked: Request, attempt: int) -> None:
        await lease.confirm()

    def write(reply: Reply) -> None:
        ledger.write_patiently(lambda writer: writer.completions([completion_of(claim_id, reply)]))

    def deliver(asked: Request, reply: Reply) -> None:
        try:
            write(reply)
        except UnstorableRow as error:
            reply = unstorable(reply, str(error))
            write(reply)
        replies.append(reply)

    options = OnlineOptions(
        concurrency=1,
        rates=RateLimits(provider.requests_per_minute, provider.tokens_per_minute),
        without=frozenset(provider.without),
        cut_prompts=provider.cut_prompts,
    )
    endpoint, price = Endpoint.from_environment(provider.base_url), PriceTable.load(provider.prices).price
    client = OnlineClient(endpoint, options, price=price, account=account, before_send=before_send)
    run_all(client, iter([request]), deliver)
    [reply] = replies
    return reply
