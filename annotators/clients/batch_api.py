"""The Files and Batch endpoints, with patience: every call is tried again after errors that pass.

Only a batch itself is billed, so all calls but its creation may be repeated freely. When the reply to a
creation is lost, the batch is looked for before it is created again.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import IO, TypeVar

import openai
from openai.types import Batch, FileObject

from annotators.clients.batch_lines import CHAT_PATH
from annotators.clients.endpoint import Endpoint
from annotators.clients.failures import NotFound, ProviderDown, Remedy, stopping_error
from annotators.clients.sending import MAX_BODY, Sending, failed
from annotators.clients.transport import Shared
from annotators.clients.wire import WIRE_ERRORS, sending_of_error, sending_of_status

RUN_TAG = "preference_farm_run"  # the metadata entry that names our run
PATIENCE = 20  # calls in a row that may fail
MAX_FILE = 4 * 2**30  # bytes of a file of results; a provider's have up to 50,000 replies
SLOWEST = 2**16  # bytes per second of a file, below which a call is given up and made again
_CHUNK = 2**20
SDK_ERRORS = (openai.OpenAIError, *WIRE_ERRORS)
"""What a call of the SDK can raise, beside a ValueError for a body that is not JSON."""
T = TypeVar("T")
log = logging.getLogger(__name__)


class BatchApi:
    """The calls that the batch client makes. Use it in `async with BatchApi.open(...)`.

    sdk: for calls whose replies are short. files: for files, which may be large. timeout: seconds for a whole
    call, beside the time that a file takes at SLOWEST. longest_wait: seconds at most between two tries.
    """

    def __init__(
        self,
        sdk: openai.AsyncOpenAI,
        files: openai.AsyncOpenAI,
        endpoint: Endpoint,
        *,
        run_id: str,
        timeout: float,
        longest_wait: float,
    ) -> None:
        self._sdk = sdk
        self._files = files
        self._endpoint = endpoint
        self._run_id = run_id
        self._timeout = timeout
        self._longest_wait = longest_wait

    @classmethod
    @asynccontextmanager
    async def open(
        cls, endpoint: Endpoint, run_id: str, *, timeout: float, longest_wait: float
    ) -> AsyncIterator[BatchApi]:
        """The calls over connections of their own, which are closed at the end."""
        shared = Shared.of_environment()
        async with (
            endpoint.open(connections=4, timeout=timeout, shared=shared) as sdk,
            endpoint.open(connections=1, timeout=timeout, shared=shared, largest=MAX_FILE) as files,
        ):
            yield cls(sdk, files, endpoint, run_id=run_id, timeout=timeout, longest_wait=longest_wait)

    async def submit(self, name: str, content: bytes) -> Batch:
        """Upload an input file and create the batch over it."""
        file = await self._persist(
            FileObject,
            lambda: self._sdk.files.create(file=(self._prefix + name, content), purpose="batch"),
            size=len(content),
        )
        return await self._persist(Batch, lambda: self._create_once(file.id))

    async def _create_once(self, file_id: str) -> Batch:
        try:
            return await self._sdk.batches.create(
                input_file_id=file_id,
                endpoint=CHAT_PATH,
                completion_window="24h",
                metadata={RUN_TAG: self._run_id},
            )
        except SDK_ERRORS:
            for batch in await self.ours():
                if batch.input_file_id == file_id:
                    return batch
            raise

    async def batch(self, batch_id: str) -> Batch:
        """The batch in its present state."""
        return await self._persist(Batch, lambda: self._sdk.batches.retrieve(batch_id))

    async def ours(self) -> list[Batch]:
        """All batches of this run, with those of earlier processes."""

        async def listed() -> list[Batch]:
            return [
                batch
                async for batch in self._sdk.batches.list(limit=100)
                if (batch.metadata or {}).get(RUN_TAG) == self._run_id
            ]

        return await self._persist(list, listed)

    async def clear_orphans(self, used: set[str]) -> None:
        """Delete the input files of this run over which no batch was ever created."""

        async def listed() -> list[FileObject]:
            return [
                file
                async for file in self._sdk.files.list(purpose="batch")
                if file.filename.startswith(self._prefix) and file.id not in used
            ]

        for file in await self._persist(list, listed):
            log.info("deleting %s: it was uploaded, and no batch was created over it", file.filename)
            await self._persist(object, lambda: self._sdk.files.delete(file.id))  # noqa: B023

    @asynccontextmanager
    async def lines(self, file_id: str) -> AsyncIterator[Iterator[bytes]]:
        """The lines of a file, from a copy on disk; none where the file was deleted.

        A line ends at a line feed alone, since JSON text may hold other separators. Of a line beyond
        MAX_BODY bytes the first MAX_BODY + 1 are given. Raises ProviderDown where the file has more than
        MAX_FILE bytes.
        """
        with tempfile.TemporaryFile() as copy:
            try:
                await self._persist(int, lambda: self._download(file_id, copy), size=None)
            except NotFound:
                log.warning("%s is no longer there", file_id)
            if copy.tell() > MAX_FILE:
                raise ProviderDown(
                    f"the file {file_id} has more than {MAX_FILE} bytes",
                    where=self._endpoint.name,
                    remedy="no provider's file of results is so large; see what the server sends",
                )
            copy.seek(0)
            yield (self._endpoint.hide_bytes(line) for line in _lines(copy) if line.strip())

    async def _download(self, file_id: str, copy: IO[bytes]) -> int:
        """Write a file to `copy`. Returns how many bytes it has; more than MAX_FILE are not read."""
        copy.seek(0)
        copy.truncate()
        began = asyncio.get_running_loop().time()
        async with (
            asyncio.timeout(self._timeout) as deadline,
            self._files.files.with_streaming_response.content(file_id) as response,
        ):
            async for part in response.iter_bytes(_CHUNK):
                copy.write(part)
                deadline.reschedule(began + self._timeout + copy.tell() / SLOWEST)
        return copy.tell()

    @property
    def _prefix(self) -> str:
        return f"preference-farm-{self._run_id}-"

    async def _persist(self, kind: type[T], call: Callable[[], Awaitable[T]], size: int | None = 0) -> T:
        """The result of a call, tried again after errors that pass. Raises RunStopped.

        size: bytes that the call sends, beside short texts; None where the call keeps its own time.
        """
        seconds = None if size is None else self._timeout + size / SLOWEST
        for failures in range(1, PATIENCE + 1):
            sending = failed("wrong_shape")
            try:
                async with asyncio.timeout(seconds):
                    result = await call()
                if isinstance(result, kind):
                    return result
            except (*SDK_ERRORS, ValueError) as error:  # ValueError: status 200, and the body not JSON
                sending = _sending_of(error, self._endpoint)
            if sending.failure and sending.remedy is Remedy.STOP:
                raise stopping_error(sending.failure, sending.detail, where=self._endpoint.name)
            if sending.remedy is Remedy.LEAVE:
                break
            wait = min(sending.retry_after or 0.5 * 2.0 ** (failures - 1), self._longest_wait)
            log.info("batch API: %s %s; next in %.1f s", sending.failure, sending.detail, wait)
            await asyncio.sleep(wait)
        raise ProviderDown(
            f"the Batch API does not answer as it should: {sending.failure} {sending.detail}".rstrip(),
            where=self._endpoint.name,
            remedy="batches that were created go on; run the same command again to collect them",
        )


def _sending_of(error: BaseException, endpoint: Endpoint) -> Sending:
    """The failed sending for an error of SDK_ERRORS or a ValueError. The SDK wraps httpx2's errors."""
    if isinstance(error, ValueError):
        return failed("invalid_json")
    if isinstance(error, openai.APIStatusError):
        return sending_of_status(error.response, endpoint)
    wrapped = error.__cause__ if isinstance(error, openai.OpenAIError) else None
    return sending_of_error(wrapped or error, endpoint)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file, each cut after MAX_BODY + 1 bytes."""
    while line := file.readline(MAX_BODY + 1):
        rest = line
        while len(rest) > MAX_BODY and not rest.endswith(b"\n"):
            rest = file.readline(MAX_BODY + 1)
        yield line
