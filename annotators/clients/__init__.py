"""The client side of judging: requests out, replies back, nothing paid for without a trace.

request        Request, what is asked; Reply, what came of it; the seams Client (one) and Transport (a stream)
failures       every way to fail by name and remedy, and the errors that stop a run
sending        one sending of a request: what it brought, by name
bodies         the body of a response of status 200 -> Sending; JSON, or the events of a stream
choices        a completion object -> Sending: the answer, the thinking, the end, the bill
thinking       what a model thinks, cut off from what it answers
spelling       log-probabilities of the tokens that spell the answer
statuses       failures that a server words itself, by name
retry          when to try again; Retry-After in every form
limits         the gate: number in flight, requests and tokens per minute, the pause after a 429
budget         what a run will cost, and the cap that it cannot pass
addresses      which addresses a provider may have, in whatever spelling
transport      checked addresses, our own credentials, bodies counted as they are unpacked
endpoint       where the server is and how we prove who we are
dialect        the fields that one server refuses, and what is sent to it
cut_prompts    whether the server read the whole prompt, by its own count
posting        bodies out, whole responses back, over several pools of connections
online         the online client: retries, limits and budget around each sending
batch          the provider's Batch API behind the same seam, at half the price
run            from synchronous code: lazy, bounded, clean on Ctrl-C
wire           an error of the wire -> a failed Sending
tally          the sendings of one request -> Reply
tokens         how many tokens a text is, without any model's own tokenizer
batch_api      the Files and Batch endpoints, with patience
batch_lines    the lines of the Batch API's files

OnlineClient loads httpx2, and BatchClient the openai SDK: import them from their modules.
"""

import warnings
from typing import TYPE_CHECKING

from annotators.clients.budget import Account, Budget, Charge, Estimate, estimate
from annotators.clients.endpoint import OPENAI_URL, Endpoint
from annotators.clients.failures import (
    FAILURES,
    BudgetExhausted,
    FieldRefused,
    KeyRefused,
    NotFound,
    ProviderDown,
    QuotaExhausted,
    Remedy,
    RunInterrupted,
    RunStopped,
)
from annotators.clients.limits import RateLimits
from annotators.clients.request import (
    BeforeSend,
    Client,
    Deliver,
    Message,
    Reply,
    Request,
    RequestDecoding,
    Role,
    TokenLogprob,
    Transport,
)
from annotators.clients.retry import RetryPolicy
from annotators.clients.run import run_all
from annotators.clients.sending import WARNINGS
from annotators.clients.tokens import count_tokens
from annotators.prices import Usage

__all__ = [
    "FAILURES",
    "OPENAI_URL",
    "WARNINGS",
    "Account",
    "BeforeSend",
    "Budget",
    "BudgetExhausted",
    "Charge",
    "Client",
    "Deliver",
    "Endpoint",
    "Estimate",
    "FieldRefused",
    "KeyRefused",
    "Message",
    "NotFound",
    "ProviderDown",
    "QuotaExhausted",
    "RateLimits",
    "Remedy",
    "Reply",
    "Request",
    "RequestDecoding",
    "RetryPolicy",
    "Role",
    "RunInterrupted",
    "RunStopped",
    "TokenLogprob",
    "Transport",
    "Usage",
    "count_tokens",
    "estimate",
    "run_all",
]

_RENAMED = {"Completion": Reply, "Decoding": RequestDecoding}  # old names, which go with 0.2.0

if not TYPE_CHECKING:  # else the type checker would take any name for one of this module

    def __getattr__(name: str) -> type:
        """A class by its old name, with a warning. Raises AttributeError for any other name."""
        if name not in _RENAMED:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        new = _RENAMED[name]
        warnings.warn(f"{__name__}.{name} is now {new.__name__}", DeprecationWarning, stacklevel=2)
        return new
