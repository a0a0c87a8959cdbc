"""Running a stream of requests from ordinary, synchronous code, and ending it cleanly.

Requests are taken as they can be sent, so memory does not grow with their number. After Ctrl-C, SIGTERM or
SIGHUP (a terminal that closed) nothing more is sent. Requests in flight have a few seconds to finish. Those
that do not are delivered as the failure `interrupted`. So every request that was sent is accounted for.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from annotators.clients.failures import RunInterrupted, RunStopped
from annotators.clients.request import (
    Client,
    Commit,
    Deliver,
    Reply,
    Request,
    Requests,
    Transport,
    keep_nothing,
    next_request,
)

ENDS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
GRACE = 3.0  # seconds that requests in flight have after Ctrl-C


class Interrupted(asyncio.CancelledError):
    """A request was cancelled after it had been sent. reply: what is known of it."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class StoppableClient(Client, Protocol):
    """A client that can be told to send nothing more."""

    def stop(self, reason: RunStopped) -> None:
        """Send nothing more, for this reason."""
        ...


def run_all(
    transport: Transport, requests: Iterable[Request | None], deliver: Deliver, commit: Commit = keep_nothing
) -> None:
    """Send all requests and deliver each reply once, on this thread, as it comes.

    Raises RunStopped where the run must end early, KeyboardInterrupt after Ctrl-C, and whatever `deliver` and
    `commit` raise. In each case the requests in flight have been dealt with before.
    """

    async def main() -> None:
        task = asyncio.current_task()
        in_main_thread = threading.current_thread() is threading.main_thread()
        ends = [each for each in ENDS if signal.getsignal(each) is signal.SIG_DFL]  # nohup ignores SIGHUP
        if task and in_main_thread:
            with contextlib.suppress(NotImplementedError):  # Windows handles no signals here
                for each in ends:
                    asyncio.get_running_loop().add_signal_handler(each, task.cancel)
        await transport.run(iter(requests), deliver, commit)

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class _SharedRequests:
    """Requests that several workers take. ended: there are no more for them.

    One worker takes at a time, so that the event loop has its turn after each None. Those that wait for it go
    on at once: one by one, each would come to commit its reply alone.
    """

    def __init__(self, requests: Requests) -> None:
        self.ended = False
        self._requests = requests
        self._free = asyncio.Event()
        self._free.set()

    async def take(self) -> Request | None:
        """The next request; None at the end."""
        while not self._free.is_set():
            await self._free.wait()
        self._free.clear()
        try:
            return await next_request(self._left())
        finally:
            self._free.set()

    def _left(self) -> Iterator[Request | None]:
        while not self.ended:
            try:
                yield next(self._requests)
            except StopIteration:
                return


async def run_each(
    client: StoppableClient, requests: Requests, deliver: Deliver, commit: Commit, *, width: int
) -> None:
    """Keep `width` requests under way at the client until there are no more.

    There are never more than `width` requests that were sent and not committed. The first error ends the run:
    nothing more is taken, what is in flight finishes and is delivered, and the error is raised. A cancelled
    run ends within GRACE seconds.
    """

    shared = _SharedRequests(requests)

    async def work() -> None:
        try:
            while request := await shared.take():
                try:
                    reply = await client.complete(request)
                except Interrupted as interrupted:
                    deliver(request, interrupted.reply)
                    raise
                deliver(request, reply)
                await asyncio.sleep(0)  # what came at the same time is delivered first
                commit()  # and committed together
        except BaseException:
            shared.ended = True  # at once: others that waited for this commit must not send more
            raise

    workers = [asyncio.create_task(work()) for _ in range(width)]
    try:
        _, running = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        if running:
            client.stop(RunInterrupted("the run stopped on an error"))
            await asyncio.wait(running)
    except asyncio.CancelledError:
        shared.ended = True
        client.stop(RunInterrupted("the run was interrupted"))
        await asyncio.wait(workers, timeout=GRACE)
        raise
    finally:
        for worker in workers:
            worker.cancel()
        results = await asyncio.gather(*workers, return_exceptions=True)
    errors = [each for each in results if isinstance(each, Exception)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, RunInterrupted))
