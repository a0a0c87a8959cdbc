"""The server of examples/rollout_server.py in a thread, with what tests do to it: it dies and comes back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from examples.rollout_server import PolicyServer
from farm.config import Decoding
from farm.models.generation import Drawn
from farm.runs.rollout_server import HttpRolloutServer, ServerDialect, VllmDialect
from farm.training.rollout_server import ServedDraws


class MortalServer(PolicyServer):
    """A server that breaks its connections off from its draw number `dies_at` on, as one that was killed."""

    def __init__(self, model: str, *, dies_at: int | None = None, **given: Any) -> None:
        super().__init__(model, **given)
        self.dies_at, self.came, self.door = dies_at, 0, threading.Lock()

    def draw(self, ids: list[int], n: int, seed: int, decoding: Decoding) -> list[Drawn]:
        with self.door:
            self.came += 1
        if self.dies_at is not None and self.came > self.dies_at:
            threading.Thread(target=self.die).start()
            raise ConnectionAbortedError
        return super().draw(ids, n, seed, decoding)

    def die(self) -> None:
        """Listen no more."""
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a connection that was broken off."""


S = TypeVar("S", bound=PolicyServer)


@contextmanager
def running(server: S) -> Iterator[S]:
    """The server at work in a thread, until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def serving(model: str, **given: Any) -> AbstractContextManager[MortalServer]:
    """A server of a model. given: as of PolicyServer and MortalServer."""
    return running(MortalServer(model, **given))


def served_by(
    server: PolicyServer, folder: Path, dialect: ServerDialect | None = None, **given: Any
) -> ServedDraws:
    """A run's draws by a server. given: as of ServedDraws."""
    client = HttpRolloutServer(server.url, dialect or VllmDialect(), wait=30.0)
    return ServedDraws(client, folder, **given)
