"""`farm label` as a process of its own, with the links that it prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread
from typing import Any

from tests.support.command_line import farm_arguments


class Labelling:
    """A running page. `link` waits for the next link of a person; `stop` gives what the command reports."""

    def __init__(self, ledger: str, *arguments: str) -> None:
        command = farm_arguments(ledger, "label", "--port", "0", "--json", *arguments)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        self._lines: Queue[str] = Queue()
        self._links: dict[str, list[str]] = {}
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._lines.put(line)

    def link(self, person: str) -> str:
        """The link of a person that was printed last and not given out yet."""
        while not self._links.get(person):
            line = self._lines.get(timeout=60)
            found = re.fullmatch(r"(.+): (http://\S+/\?token=\S+)\n", line)
            if found:
                self._links.setdefault(found[1], []).append(found[2])
        return self._links[person].pop(0)

    def stop(self) -> Any:
        """End it as a person would, with Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, self.process.returncode
        return json.loads(out)


@contextmanager
def labelling(ledger: object, *arguments: str) -> Iterator[Labelling]:
    """The page, ended at the end whatever happens."""
    running = Labelling(str(ledger), *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()
