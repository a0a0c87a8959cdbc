"""Asking the simulated provider, for the tests of the client side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from annotators.clients import (
    Endpoint,
    Message,
    Reply,
    Request,
    RequestDecoding,
    RetryPolicy,
    Role,
    run_all,
)
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.simulator import FaultPlan, Judge, Simulator, SimulatorConfig

QUICK = RetryPolicy(first_wait=0.01, longest_wait=0.2)
ONCE = RetryPolicy(attempts=1)


def request(number: int = 0, model: str = "judge", **decoding: object) -> Request:
    """A question whose better output is the longer one, which stands first where the number is even."""
    texts = ("short", "a good deal longer")
    first, second = texts[::-1] if number % 2 == 0 else texts
    shown = "\n".join(
        f"<output_{label} 0a1b2c3d>\n{text}\n</output_{label} 0a1b2c3d>"
        for label, text in (("a", first), ("b", second))
    )
    settings = {"temperature": 0.0, "max_tokens": 20, **decoding}
    said = (Message(Role.USER, f"Question {number}\n{shown}"),)
    return Request(model, said, RequestDecoding(**settings))  # type: ignore[arg-type]


@contextmanager
def provider(*script: str, **config: object) -> Iterator[Simulator]:
    """A provider that prefers the longer output; every request meets the faults of the script in turn."""
    faults = FaultPlan(script=script)
    settings = {"judge": Judge(utility="length"), "faults": faults, **config}
    with Simulator(SimulatorConfig(**settings)) as simulator:  # type: ignore[arg-type]
        yield simulator


def keeping(kept: list[Reply]) -> Callable[[Request, Reply], None]:
    """Receives completions into a list."""
    return lambda request, completion: kept.append(completion)


def ask(simulator: Simulator, requests: Iterable[Request], **options: object) -> dict[Request, Reply]:
    """The completions of the requests, by request."""
    client_options = {
        key: options.pop(key) for key in ("concurrency", "timeout", "rates", "retry") if key in options
    }
    chosen = {"retry": QUICK, "timeout": 5.0, "concurrency": 20, **client_options}
    settings = OnlineOptions(**chosen)  # type: ignore[arg-type]
    endpoint = options.pop("endpoint", None) or Endpoint(simulator.base_url)
    client = OnlineClient(endpoint, settings, **options)  # type: ignore[arg-type]
    completions: dict[str, Reply] = {}
    asked = list(requests)
    run_all(client, asked, lambda request, completion: completions.__setitem__(request.key, completion))
    return {each: completions[each.key] for each in asked if each.key in completions}
