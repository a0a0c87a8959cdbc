"""The provider's Files and Batch API: upload, create, poll, cancel, download.

    POST /v1/files  GET /v1/files  GET|DELETE /v1/files/ID  GET /v1/files/ID/content
    POST /v1/batches  GET /v1/batches  GET /v1/batches/ID  POST /v1/batches/ID/cancel

A batch is done when it is first asked for after its time is up. The judge of single requests answers its
lines, in an order of its own. The error file takes each line whose reply is not of status 200. It also takes
each line without a reply when the batch expires or is cancelled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from annotators.simulator.config import BatchPlan
from annotators.simulator.faults import refuse
from annotators.simulator.http import HttpReply, HttpRequest
from db.ids import content_hash, keyed_uniform

_PAGE = 20  # things in one page of a list
_OPEN = ("validating", "in_progress", "finalizing", "cancelling")


@dataclass(slots=True)
class _File:
    id: str
    name: str
    purpose: str
    content: bytes

    def shown(self) -> dict[str, object]:
        size = len(self.content)
        return {
            "id": self.id,
            "object": "file",
            "bytes": size,
            "created_at": 0,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True)
class _Batch:
    id: str
    input_file: str
    endpoint: str
    metadata: dict[str, str]
    ends_at: float
    status: str = "in_progress"
    output_file: str | None = None
    error_file: str | None = None
    errors: list[dict[str, object]] = field(default_factory=list)
    total: int = 0
    polls: int = 0

    def shown(self) -> dict[str, object]:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "completion_window": "24h",
            "created_at": 0,
            "input_file_id": self.input_file,
            "output_file_id": self.output_file,
            "error_file_id": self.error_file,
            "metadata": self.metadata,
            "status": self.status,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": {"total": self.total, "completed": 0, "failed": 0},
        }


class Batches:
    """The two APIs. answer: gives the reply to a chat-completions body."""

    def __init__(self, plan: BatchPlan, answer: Callable[[object], HttpReply]) -> None:
        self.plan = plan
        self._answer = answer
        self._files: dict[str, _File] = {}
        self._batches: dict[str, _Batch] = {}

    @property
    def files_kept(self) -> int:
        """How many files are held."""
        return len(self._files)

    @property
    def batches_made(self) -> int:
        """How many batches were created."""
        return len(self._batches)

    def __call__(self, request: HttpRequest) -> HttpReply | None:
        """The reply to a request of either API; None where it is of neither."""
        _, _, kind, *rest = request.path.split("/") if request.path.count("/") >= 2 else ("", "", "")
        if kind == "files":
            return self._on_files(request, rest)
        return self._on_batches(request, rest) if kind == "batches" else None

    def _on_files(self, request: HttpRequest, rest: list[str]) -> HttpReply | None:
        if not rest:
            if request.method == "POST":
                return self._upload(request)
            return _page(request.query, [file.shown() for file in self._files.values()])
        file = self._files.get(rest[0])
        if file is None:
            return refuse(404, "not_found", f"No such File object: {rest[0]}")
        if rest[1:] == ["content"]:
            return HttpReply(200, file.content, "application/octet-stream")
        if request.method == "DELETE":
            del self._files[file.id]
            return _json({"id": file.id, "object": "file", "deleted": True})
        return _json(file.shown())

    def _upload(self, request: HttpRequest) -> HttpReply:
        fields = dict(_multipart(request))
        if "file" not in fields:
            return refuse(400, "invalid_request", "no file")
        purpose = fields["purpose"].content.decode() if "purpose" in fields else ""
        return _json(self._keep(fields["file"].name, purpose, fields["file"].content).shown())

    def _keep(self, name: str, purpose: str, content: bytes) -> _File:
        file = _File(f"file-{len(self._files) + 1}-{content_hash('file', name)[:8]}", name, purpose, content)
        self._files[file.id] = file
        return file

    def _on_batches(self, request: HttpRequest, rest: list[str]) -> HttpReply | None:
        if not rest:
            if request.method == "POST":
                return self._create(request)
            return _page(request.query, [self._worked_off(each).shown() for each in self._batches.values()])
        batch = self._batches.get(rest[0])
        if batch is None:
            return refuse(404, "not_found", f"No such batch: {rest[0]}")
        if rest[1:] == ["cancel"]:
            if batch.status in _OPEN:
                self._end(batch, "cancelled")
            return _json(batch.shown())
        batch.polls += 1
        if batch.polls <= self.plan.failing_polls:
            return HttpReply(500, b"<html>try later</html>", "text/html")
        return _json(self._worked_off(batch).shown())

    def _create(self, request: HttpRequest) -> HttpReply:
        asked = json.loads(request.body)
        file = self._files.get(asked.get("input_file_id"))
        if file is None:
            return refuse(400, "invalid_request", "no such input file")
        number = len(self._batches) + 1
        batch = _Batch(
            id=f"batch_{number}",
            input_file=file.id,
            endpoint=asked["endpoint"],
            metadata=asked.get("metadata") or {},
            ends_at=time.monotonic() + self.plan.seconds,
        )
        self._batches[batch.id] = batch
        batch.errors = self._problems(file)
        batch.status = "failed" if batch.errors else "in_progress"
        return _json(batch.shown())

    def _problems(self, file: _File) -> list[dict[str, object]]:
        """What makes the input file unacceptable."""
        lines = file.content.splitlines()
        if len(lines) > self.plan.max_requests or len(file.content) > self.plan.max_bytes:
            return [{"code": "too_large", "message": "the file is too large", "line": None, "param": None}]
        names: set[str] = set()
        models: set[str] = set()
        for number, line in enumerate(lines, 1):
            asked = json.loads(line)
            models.add(asked["body"]["model"])
            if asked["custom_id"] in names:
                return [{"code": "duplicate_custom_id", "message": "repeated custom_id", "line": number}]
            names.add(asked["custom_id"])
        if len(models) > 1:
            return [{"code": "mismatched_model", "message": "several models in one batch", "line": None}]
        return []

    def _worked_off(self, batch: _Batch) -> _Batch:
        """The batch, ended if its time is up."""
        if batch.status in _OPEN and time.monotonic() >= batch.ends_at:
            self._end(batch, self.plan.outcome)
        return batch

    def _end(self, batch: _Batch, outcome: str) -> None:
        batch.status = outcome
        if outcome == "failed":
            batch.errors = [{"code": "internal", "message": "the batch could not be run", "line": None}]
            return
        asked = [json.loads(line) for line in self._files[batch.input_file].content.splitlines()]
        asked.sort(key=lambda each: keyed_uniform("batch order", str(each["custom_id"])))
        answered = len(asked) if outcome == "completed" else int(len(asked) * self.plan.answered)
        good: list[bytes] = []
        bad: list[bytes] = []
        for each in asked[:answered]:
            line, status = self._line(each)
            (good if status == 200 else bad).append(line)
        for each in asked[answered:]:
            error = {"code": f"batch_{outcome}", "message": f"the batch was {outcome} before this request"}
            bad.append(_line(each["custom_id"], None, error))
        if self.plan.strange_lines:
            good += [good[0], good[0].replace(b'"custom_id": "', b'"custom_id": "unknown-'), b'{"cut']
        batch.total = len(asked)
        batch.output_file = self._keep("output.jsonl", "batch_output", b"\n".join(good)).id if good else None
        batch.error_file = self._keep("error.jsonl", "batch_output", b"\n".join(bad)).id if bad else None

    def _line(self, asked: dict[str, Any]) -> tuple[bytes, int]:
        """A result line and its status."""
        reply = self._answer(asked["body"])
        body = json.loads(reply.body) if reply.body and "json" in reply.content_type else None
        response = {"status_code": reply.status, "request_id": "req_1", "body": body}
        return _line(asked["custom_id"], response, None), reply.status


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    content: bytes


def _multipart(request: HttpRequest) -> Iterator[tuple[str, _Part]]:
    """The fields of a multipart/form-data body by name."""
    boundary = request.headers.get("content-type", "").partition("boundary=")[2].strip('"')
    if not boundary:
        return
    for chunk in request.body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = chunk.partition(b"\r\n\r\n")
        parameters = dict(
            each.strip().partition("=")[::2] for each in head.decode("utf-8", "replace").split(";")[1:]
        )
        names = {key: value.split("\r\n")[0].strip('"') for key, value in parameters.items()}
        yield names.get("name", ""), _Part(names.get("filename", ""), content[:-2])


def _page(query: str, things: list[dict[str, object]]) -> HttpReply:
    """A page of a list, newest first, as the SDK's cursor pages want it."""
    asked = {key: values[0] for key, values in parse_qs(query).items()}
    things = [each for each in reversed(things) if asked.get("purpose") in (None, each.get("purpose"))]
    ids = [each["id"] for each in things]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    limit = int(asked.get("limit", _PAGE))
    page = things[start : start + limit]
    return _json(
        {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": start + limit < len(things),
        }
    )


def _line(custom_id: str, response: dict[str, Any] | None, error: dict[str, str] | None) -> bytes:
    line = {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": response, "error": error}
    return json.dumps(line).encode()


def _json(data: object) -> HttpReply:
    return HttpReply(200, json.dumps(data).encode())
