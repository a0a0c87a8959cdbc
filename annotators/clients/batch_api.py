"""The Files and Batch endpoints, with patience: every call is tried again after errors that pass.

Only a batch itself is billed, so all calls but its creation may be repeated freely. When the reply to a
creation is lost, the batch is looked for before it is created again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import openai
from openai.types import Batch, FileObject

from annotators.clients.batch_lines import CHAT_PATH
from annotators.clients.endpoint import Endpoint
from annotators.clients.failures import NotFound, ProviderDown, Remedy, stopping_error
from annotators.clients.sending import Sending, failed
from annotators.clients.wire import WIRE_ERRORS, sending_of_error

RUN_TAG = "preference_farm_run"  # the metadata entry that names our run
PATIENCE = 20  # calls in a row that may fail
T = TypeVar("T")
log = logging.getLogger(__name__)


class BatchApi:
    """The calls that the batch client makes. longest_wait: seconds at most between two tries of one call."""

    def __init__(self, sdk: openai.AsyncOpenAI, endpoint: Endpoint, run_id: str, longest_wait: float) -> None:
        self._sdk = sdk
        self._endpoint = endpoint
        self._run_id = run_id
        self._longest_wait = longest_wait

    async def submit(self, name: str, content: bytes) -> Batch:
        """Upload an input file and create the batch over it."""
        file = await self._persist(
            FileObject, lambda: self._sdk.files.create(file=(self._prefix + name, content), purpose="batch")
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
        except WIRE_ERRORS:
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

    async def lines(self, file_id: str) -> list[bytes]:
        """The lines of a file; none where the file was deleted.

        A line ends at a line feed alone, since JSON text may hold other separators.
        """
        kind = openai.HttpxBinaryResponseContent
        try:
            content = await self._persist(kind, lambda: self._sdk.files.content(file_id))
        except NotFound:
            log.warning("%s is no longer there", file_id)
            return []
        body = self._endpoint.hide_bytes(content.content)
        return [line for line in body.split(b"\n") if line.strip()]

    @property
    def _prefix(self) -> str:
        return f"preference-farm-{self._run_id}-"

    async def _persist(self, kind: type[T], call: Callable[[], Awaitable[T]]) -> T:
        """The result of a call, tried again after errors that pass. Raises RunStopped."""
        for failures in range(1, PATIENCE + 1):
            sending = failed("wrong_shape")
            try:
                result = await call()
                if isinstance(result, kind):
                    return result
            except (*WIRE_ERRORS, ValueError) as error:  # ValueError: status 200, and the body not JSON
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


def _sending_of(error: Exception, endpoint: Endpoint) -> Sending:
    return failed("invalid_json") if isinstance(error, ValueError) else sending_of_error(error, endpoint)
