"""Measures how fast requests are answered by a simulated provider in a process of its own.

    python benchmarks/clients.py [--quick]

It compares the online client with bare loops over one shared openai SDK client, asynchronous and threaded.
All have the same prompts and the same number of requests in flight. Latency is the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import openai

from annotators.clients import Endpoint, Message, Request, RequestDecoding, Role, run_all
from annotators.clients.online import OnlineClient, OnlineOptions
from annotators.simulator import Judge, SimulatorConfig, serve

RULES = "You compare two answers to an instruction and say which one follows it better. " * 20
ANSWER = "The answer goes on for a while, as answers do, and says something about the number. " * 8


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one run."""

    latency: float  # seconds
    in_flight: int  # requests at the same time
    client: str
    requests: int
    per_second: float  # replies
    cpu_ms: float  # processor time of the client's process per reply
    ideal: float | None  # replies per second that the latency allows; None without latency


def requests(count: int) -> Iterator[Request]:
    """Judging requests of about 3,000 characters, all different."""
    for number in range(count):
        pair = f"<output_a 0a1b2c3d>\n{ANSWER}{number}\n</output_a 0a1b2c3d>\n"
        pair += f"<output_b 0a1b2c3d>\n{ANSWER}\n</output_b 0a1b2c3d>"
        said = (Message(Role.SYSTEM, RULES), Message(Role.USER, f"Instruction {number}.\n{pair}"))
        yield Request("judge", said, RequestDecoding(temperature=0.0, max_tokens=20))


def _serve(ready: Connection, latency: float) -> None:
    serve("127.0.0.1", 0, SimulatorConfig(judge=Judge(utility="length"), latency=latency), ready.send)


@contextmanager
def server(latency: float) -> Iterator[str]:
    """Start a simulated provider in another process and give its base URL. latency: seconds."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, latency), daemon=True)
    process.start()
    try:
        yield str(here.recv())
    finally:
        process.terminate()
        process.join()


def ours(base_url: str, count: int, width: int) -> int:
    """The online client, as `farm annotate` uses it; returns the number of good replies."""
    answered = 0

    def count_one(request: Request, completion: object) -> None:
        nonlocal answered
        answered += bool(getattr(completion, "ok", False))

    client = OnlineClient(Endpoint(base_url), OnlineOptions(concurrency=width))
    run_all(client, requests(count), count_one)
    return answered


def bare_asynchronous(base_url: str, count: int, width: int) -> int:
    """A bare loop over one shared AsyncOpenAI client; returns the number of good replies."""
    answered = 0

    async def main() -> None:
        sdk = openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)
        todo = requests(count)

        async def work() -> None:
            nonlocal answered
            for request in todo:
                said: Any = [{"role": str(each.role), "content": each.content} for each in request.messages]
                reply = await sdk.chat.completions.create(
                    model="judge",
                    messages=said,
                    temperature=0,
                    max_tokens=20,
                )
                answered += bool(reply.choices[0].message.content)

        async with sdk:
            await asyncio.gather(*(work() for _ in range(width)))

    asyncio.run(main())
    return answered


def bare_threaded(base_url: str, count: int, width: int) -> int:
    """Bare threads over one shared OpenAI client; returns the number of good replies."""
    sdk = openai.OpenAI(api_key="none", base_url=base_url, max_retries=0)
    todo, lock, answers = requests(count), threading.Lock(), []

    def work() -> None:
        while True:
            with lock:
                request = next(todo, None)
            if request is None:
                return
            said: Any = [{"role": str(each.role), "content": each.content} for each in request.messages]
            reply = sdk.chat.completions.create(
                model="judge",
                messages=said,
                temperature=0,
                max_tokens=20,
            )
            answers.append(bool(reply.choices[0].message.content))

    threads = [threading.Thread(target=work) for _ in range(width)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sdk.close()
    return sum(answers)


CLIENTS: dict[str, Callable[[str, int, int], int]] = {
    "online client": ours,
    "bare AsyncOpenAI": bare_asynchronous,
    "bare OpenAI, threads": bare_threaded,
}


def measure(name: str, base_url: str, latency: float, count: int, width: int) -> Result:
    """Time one run. Exits with an error where a request got no good reply."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    answered = CLIENTS[name](base_url, count, width)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    if answered != count:
        raise SystemExit(f"{name}: {answered} of {count} requests were answered")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ideal = width / latency if latency else None
    return Result(latency, width, name, count, count / seconds, 1000 * cpu / count, ideal)


def main() -> None:
    """Measure every client at every latency, and print and write the results."""
    parser = argparse.ArgumentParser(description="The online client against bare loops over the SDK.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--json", type=Path, help="write the results here too")
    options = parser.parse_args()
    share = 10 if options.quick else 1
    results = []
    for latency, width, count in ((0.0, 20, 4000), (0.05, 50, 4000), (0.05, 100, 4000), (1.0, 200, 8000)):
        with server(latency) as base_url:
            for name in CLIENTS:
                result = measure(name, base_url, latency, count // share, width)
                results.append(result)
                ideal = f" = {result.per_second / result.ideal:.1%} of ideal" if result.ideal else ""
                print(
                    f"{latency * 1000:5.0f} ms  {width:3d} in flight  {name:21s}"
                    f"{result.per_second:7.0f}/s  {result.cpu_ms:.2f} ms CPU{ideal}",
                    flush=True,
                )
    if options.json:
        made = {
            "command": "python benchmarks/clients.py --json benchmarks/results/clients.json",
            "python": platform.python_version(),
            "openai": openai.__version__,
            "cores": os.cpu_count(),
            "results": [asdict(each) for each in results],
        }
        options.json.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
