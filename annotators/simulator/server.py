"""The simulated provider as a running server: in a thread, in a process of its own, or in this process."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TypeVar

from annotators.simulator.app import App, SimulatorStats
from annotators.simulator.config import SimulatorConfig
from annotators.simulator.http import Server
from db.errors import ConfigError

T = TypeVar("T")


class Simulator:
    """The provider on a free loopback port, in a thread of its own, for as long as the `with` lasts.

    with Simulator(SimulatorConfig(judge=Judge(utility="length"))) as simulator:
        Endpoint(simulator.base_url)
    """

    def __init__(self, config: SimulatorConfig | None = None, *, port: int = 0) -> None:
        self._app = App(config or SimulatorConfig())
        self._port = port
        self._ready = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._main, name="simulator", daemon=True)

    def __enter__(self) -> Simulator:
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise ConfigError(f"port {self._port} cannot be served: {self._failed.strerror}", where="port")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    @property
    def base_url(self) -> str:
        """The address for an Endpoint."""
        return f"http://127.0.0.1:{self._port}/v1"

    def stats(self) -> SimulatorStats:
        """The provider's books."""
        return self._ask(self._app.stats)

    def arrivals(self) -> list[float]:
        """When the last 100,000 chat requests came, in seconds of time.monotonic."""
        return self._ask(lambda: list(self._app.arrivals))

    def _ask(self, question: Callable[[], T]) -> T:
        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    def _main(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        server = Server(self._app)
        try:
            self._port = await server.listen("127.0.0.1", self._port)
        except OSError as error:
            self._failed = error
            return
        finally:
            self._ready.set()
        await self._done.wait()
        await server.close()


@contextmanager
def simulator_process(config: SimulatorConfig) -> Iterator[str]:
    """The provider in a process of its own, on a free loopback port. Yields its base URL.

    The process ends with the `with`, and with this process, however that ends. The configuration is pickled.
    """
    App(config)  # what is wrong with it is said here
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve_for, args=(config, theirs), name="simulator", daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve_for(config: SimulatorConfig, parent: Connection) -> None:
    """Serve until the other end of the pipe is closed. The parent handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Simulator(config) as simulator:
        parent.send(simulator.base_url)
        with suppress(EOFError):
            parent.recv()


def serve(
    host: str, port: int, config: SimulatorConfig, ready: Callable[[str], None] = lambda base_url: None
) -> None:
    """Serve until Ctrl-C, and return then.

    ready: called with the base URL once requests are accepted (port 0: any).
    """

    async def main() -> None:
        server = Server(App(config))
        bound = await server.listen(host, port)
        ready(f"http://{f'[{host}]' if ':' in host else host}:{bound}/v1")
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(main())
    except OSError as error:
        raise ConfigError(
            f"{host}:{port} cannot be served: {error.strerror}", where="--port", remedy="choose another port"
        ) from error
