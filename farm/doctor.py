"""Check the environment and the ledger, with a remedy for each fault: `farm doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from db.engine import Address
from db.errors import FarmError, LedgerNotFound
from db.ids import Json
from db.ledger import Ledger
from db.names import alike

if TYPE_CHECKING:
    import httpx2

    from annotators.clients.endpoint import Endpoint

FREE_BYTES = 1 << 30
OLDEST_PYTHON = (3, 11)
ANSWER_SECONDS = 10.0
MODELS = 5  # of a server, shown
# Two connections that write and checkpoint at once could corrupt the file (fixed in 3.51.3).
WAL_RESET_FAULT = ((3, 7, 0), (3, 51, 2))


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. level: ok, warning (it works, with a risk) or fault."""

    name: str
    level: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Findings:
    """Everything that was checked, in order."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is no fault. Warnings are allowed."""
        return all(finding.level != "fault" for finding in self.findings)

    def to_json(self) -> Json:
        """The findings as a JSON object."""
        return {"healthy": self.healthy, "findings": [asdict(finding) for finding in self.findings]}


def examine(ledger: str, base_url: str | None = None) -> Findings:
    """Check Python, SQLite, the packages, torch, the disk and the ledger.

    base_url: a server of models to check too. A FarmError is never raised; it becomes a finding.
    """
    checks: tuple[Callable[[str], Iterator[Finding]], ...] = (
        _python,
        _sqlite,
        _packages,
        _torch,
        _disk,
        _ledger,
    )
    found = [finding for check in checks for finding in check(ledger)]
    return Findings((*found, *(_endpoint(base_url) if base_url else ())))


def _python(_: str) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield Finding("python", "fault", version, "use Python 3.11 or newer")
    else:
        yield Finding("python", "ok", version)


def _sqlite(_: str) -> Iterator[Finding]:
    first, last = WAL_RESET_FAULT
    if first <= sqlite3.sqlite_version_info <= last:
        yield Finding(
            "sqlite",
            "warning",
            f"{sqlite3.sqlite_version} has the WAL-reset fault: two processes that write at the same moment "
            "can, very rarely, corrupt a ledger",
            "let one process write at a time, keep a `farm backup`, or use SQLite 3.51.3 or newer",
        )
    else:
        yield Finding("sqlite", "ok", sqlite3.sqlite_version)


def _packages(_: str) -> Iterator[Finding]:
    for name in ("sqlalchemy", "pandas", "transformers", "openai"):
        try:
            yield Finding(name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "fault", "not installed", f"pip install {name}")


def _torch(_: str) -> Iterator[Finding]:
    """Import torch and ask it: a build that does not fit fails at import or does not see the GPU."""
    try:
        import torch
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        yield Finding("torch", "fault", f"cannot be loaded: {reason}", "install the build for this machine")
        return
    yield Finding("torch", "ok", torch.__version__)
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            yield Finding("gpu", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GiB")
    elif Path("/dev/nvidia0").exists():
        remedy = "install the build of torch for CUDA, or a driver that is new enough for it"
        yield Finding("gpu", "warning", "there is one that torch cannot use", remedy)
    else:
        yield Finding("gpu", "ok", "none: small models train on the processor")


def _endpoint(base_url: str) -> Iterator[Finding]:
    """Whether a server answers and accepts our key. It is asked for its models; nothing is judged."""
    import asyncio

    import httpx2

    from annotators.clients.endpoint import Endpoint

    try:
        endpoint = Endpoint.from_environment(base_url)
        response = asyncio.run(_models_page(endpoint))
    except FarmError as error:
        yield Finding("endpoint", "fault", f"{error.where}: {error.what}", error.remedy)
        return
    except (httpx2.HTTPError, TimeoutError) as error:
        reason = endpoint.hide(str(error)) or type(error).__name__
        yield Finding(
            "endpoint", "fault", f"{endpoint.name}: {reason}", "is the server up, and at this address?"
        )
        return
    told = f"{endpoint.name} answers {response.status_code}"
    if response.status_code in (401, 403):
        yield Finding("endpoint", "fault", told, "set FARM_API_KEY to a key that this server takes")
    elif response.is_redirect:
        yield Finding(
            "endpoint", "fault", told, "give the address that it leads to: redirects are not followed"
        )
    elif response.is_success:
        yield Finding("endpoint", "ok", f"{told}; {_models(response)}")
    else:
        remedy = "some servers list no models and judge all the same; try `farm annotate --limit 1`"
        yield Finding("endpoint", "warning", told, remedy)


async def _models_page(endpoint: Endpoint) -> httpx2.Response:
    """The server's answer to a request for its models, whole within ANSWER_SECONDS or a TimeoutError."""
    import asyncio

    async with (
        asyncio.timeout(ANSWER_SECONDS),
        endpoint.http(connections=1, timeout=ANSWER_SECONDS) as http,
    ):
        return await http.get(f"{endpoint.address}/models")


def _models(response: httpx2.Response) -> str:
    try:
        names = [str(each["id"]) for each in response.json()["data"]]
    except (ValueError, LookupError, TypeError):
        return "its list of models cannot be read"
    more = f" and {len(names) - MODELS} more" if len(names) > MODELS else ""
    return f"models: {', '.join(names[:MODELS])}{more}" if names else "it names no models"


def _disk(ledger: str) -> Iterator[Finding]:
    path = Address.of(ledger).path if "://" not in ledger else None
    folder = path.parent if path and path.parent.exists() else Path.cwd()
    free = shutil.disk_usage(folder).free
    level = "ok" if free >= FREE_BYTES else "warning"
    remedy = "" if level == "ok" else "free some space before a long run"
    yield Finding("disk", level, f"{free / 2**30:.1f} GiB free at {folder}", remedy)
    if not os.access(folder, os.W_OK):
        yield Finding("folder", "warning", f"{folder} cannot be written", "the ledger can be read only")


def _ledger(ledger: str) -> Iterator[Finding]:
    try:
        with Ledger.open(ledger) as opened:
            opened.check()
            counts = opened.counts()
            names = alike(card.name for card in opened.annotators())
            yield Finding("schema", "ok", opened.revision())
        held = ", ".join(f"{count:,} {name}s" for name, count in counts.items() if count)
        yield Finding("ledger", "ok", held or "empty")
        for line in names:
            yield Finding("names", "warning", line, "if they are one, import the files again with one name")
    except LedgerNotFound as error:
        yield Finding("ledger", "warning", str(error.what), error.remedy)
    except FarmError as error:
        yield Finding("ledger", "fault", f"{error.where}: {error.what}", error.remedy)
