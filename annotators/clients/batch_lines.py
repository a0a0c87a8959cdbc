"""The lines of the Batch API's files: requests out, results in. Pure functions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from annotators.clients.choices import read_completion
from annotators.clients.dialect import Dialect
from annotators.clients.request import Request
from annotators.clients.sending import MAX_BODY, Sending, failed
from annotators.clients.statuses import classify_status

CHAT_PATH: Final = "/v1/chat/completions"
_OVERSIZED = "oversized"
_NAMED = frozenset({"batch_expired", "batch_cancelled", _OVERSIZED})
_BEGIN = 4096  # bytes of an oversized line in which its custom_id is looked for
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"([^"\\]{1,200})"')


def request_line(request: Request, dialect: Dialect) -> bytes:
    """The line of an input file that holds this request. Its custom_id is the request's key."""
    line = {
        "custom_id": request.key,
        "method": "POST",
        "url": CHAT_PATH,
        "body": dialect.body(request),
    }
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A line of an output or error file: either a response (status and body) or an error."""

    custom_id: str
    status: int | None
    body: object
    error_code: str = ""
    error_message: str = ""

    def sending(self, request: Request) -> Sending:
        """What the line says of the request that it answers."""
        if self.status == 200:
            return read_completion(request, self.body)
        if self.status is None:
            name = self.error_code if self.error_code in _NAMED else "server_error"
            return failed(name, self.error_message)
        return failed(*classify_status(self.status, json.dumps(self.body).encode()))


def custom_id(line: bytes) -> str | None:
    """The custom_id of any line, None where it has none."""
    if len(line) > MAX_BODY:
        begin = _CUSTOM_ID.search(line[:_BEGIN])
        return begin[1].decode("ascii", "replace") if begin else None
    data = _object(line)
    found = data.get("custom_id") if data else None
    return found if isinstance(found, str) else None


def read_result(line: bytes) -> ResultLine | None:
    """The result that a line holds, None where it is not one."""
    name = custom_id(line)
    if name is not None and len(line) > MAX_BODY:
        said = f"more than {MAX_BODY} bytes"
        return ResultLine(name, None, None, error_code=_OVERSIZED, error_message=said)
    data = _object(line)
    if data is None or name is None:
        return None
    response, error = data.get("response"), data.get("error")
    if isinstance(response, dict) and isinstance(response.get("status_code"), int):
        return ResultLine(name, response["status_code"], response.get("body"))
    if isinstance(error, dict):
        return ResultLine(
            custom_id=name,
            status=None,
            body=None,
            error_code=str(error.get("code")),
            error_message=str(error.get("message")),
        )
    return None


def _object(line: bytes) -> dict[str, object] | None:
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
