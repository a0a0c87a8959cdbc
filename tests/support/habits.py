"""Chat servers on real sockets that have the habits of known providers, with and without thinking.

Each prefers the output that holds GOOD, drafts the other in its thinking, and counts every token it answers
with. `served(habit)` runs one.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROMPT, ANSWER, THOUGHT = 700, 5, 40  # tokens of every reply, as the servers count them
Body = dict[str, Any]


@dataclass
class Asked:
    """What a server was sent and what it counted."""

    url: str = ""
    bodies: list[Body] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)  # the header api-key of each request
    tokens: int = 0


@dataclass(frozen=True)
class Turn:
    """One request as a habit sees it: its body, its path, the verdict, and the draft where it thinks."""

    body: Body
    path: str
    verdict: str
    draft: str

    def fit(self, name: str, *, status: int = 400) -> tuple[int, Body] | None:
        """The refusal of a field that the body has."""
        said = f"Unsupported parameter: '{name}' is not supported with this model."
        return (status, {"error": {"message": said}}) if name in self.body else None


def _completion(message: Body, finish: Any = "stop", **usage: int) -> tuple[int, Body]:
    counted = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, **usage}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return 200, {"object": "chat.completion", "model": "m", "choices": [choice], "usage": counted}


def _thought(turn: Turn) -> int:
    return ANSWER + (THOUGHT if turn.draft else 0)


def openai(turn: Turn) -> tuple[int, Body]:
    """Refuses max_tokens and any temperature; bills thinking that it does not show."""
    refused = turn.fit("max_tokens") or turn.fit("temperature")
    return refused or _completion({"content": turn.verdict}, completion_tokens=_thought(turn))


def azure(turn: Turn) -> tuple[int, Body]:
    """Wants a version in the query."""
    if not turn.path.endswith("/openai/deployments/m/chat/completions?api-version=2024-10-21"):
        return 404, {"error": {"code": "404", "message": "Resource not found"}}
    return openai(turn)


def openrouter(turn: Turn) -> tuple[int, Body]:
    """Gives the thinking in two fields that say the same."""
    details = [{"type": "reasoning.text", "text": turn.draft}]
    shown = {"reasoning": turn.draft, "reasoning_details": details} if turn.draft else {"reasoning": None}
    return _completion({"content": turn.verdict, **shown}, completion_tokens=_thought(turn))


def anthropic(turn: Turn) -> tuple[int, Body]:
    """Gives parts and its own words for the end; while it thinks, the temperature has to be 1."""
    if turn.draft and turn.body.get("temperature", 1) != 1:
        said = "`temperature` may only be set to 1 when thinking is enabled."
        return 400, {"type": "error", "error": {"type": "invalid_request_error", "message": said}}
    thinking = [{"type": "thinking", "thinking": turn.draft}] if turn.draft else []
    parts = [*thinking, {"type": "text", "text": turn.verdict}]
    return _completion({"content": parts}, "end_turn", completion_tokens=_thought(turn))


def gemini(turn: Turn) -> tuple[int, Body]:
    """Wraps errors in a list, tags its thoughts, and counts them in the total alone."""
    if "seed" in turn.body or "temperature" in turn.body:
        name = "seed" if "seed" in turn.body else "temperature"
        said = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        return 400, [{"error": {"code": 400, "message": said, "status": "INVALID_ARGUMENT"}}]  # type: ignore
    said = f"<thought>{turn.draft}</thought>{turn.verdict}" if turn.draft else turn.verdict
    return _completion({"content": said}, "STOP", total_tokens=PROMPT + _thought(turn))


def vllm(turn: Turn) -> tuple[int, Body]:
    """Gives the thinking in a field, and a null where there is none."""
    message: Body = {"content": turn.verdict, "reasoning_content": turn.draft or None, "tool_calls": []}
    return _completion(message, completion_tokens=_thought(turn))


def sglang(turn: Turn) -> tuple[int, Body]:
    """Closes a tag that the prompt opened, where no reasoning parser is set; the end is an object."""
    said = f"{turn.draft}\n</think>\n\n{turn.verdict}" if turn.draft else turn.verdict
    return _completion({"content": said}, {"type": "stop", "matched": 2}, completion_tokens=_thought(turn))


def llama_cpp(turn: Turn) -> tuple[int, Body]:
    """Its template may know no system role, and raises an error with status 500."""
    if turn.body["messages"][0]["role"] == "system":
        said = "Value is not callable: System role not supported at row 1, column 1"
        return 500, {"error": {"code": 500, "message": said, "type": "server_error"}}
    said = f"<think>\n{turn.draft}\n</think>\n{turn.verdict}" if turn.draft else turn.verdict
    return _completion({"content": said}, completion_tokens=_thought(turn))


def ollama(turn: Turn) -> tuple[int, Body]:
    """Gives the thinking in the field `reasoning`."""
    shown = {"reasoning": turn.draft} if turn.draft else {}
    return _completion({"content": turn.verdict, **shown}, completion_tokens=_thought(turn))


def lm_studio(turn: Turn) -> tuple[int, Body]:
    """Leaves the channels of the harmony format in the text."""
    final = f"<|channel|>final<|message|>{turn.verdict}"
    said = f"<|channel|>analysis<|message|>{turn.draft}<|end|><|start|>assistant{final}"
    return _completion({"content": said if turn.draft else final}, completion_tokens=_thought(turn))


def streaming(turn: Turn) -> tuple[int, Body]:
    """Answers a request for a stream alone; the handler sends its completion as events."""
    if not turn.body.get("stream"):
        return 400, {"error": {"message": "This model only supports stream mode, set stream to true."}}
    return vllm(turn)


Habit = Callable[[Turn], tuple[int, Body]]
_ALL = (openai, azure, openrouter, anthropic, gemini, vllm, sglang, llama_cpp, ollama, lm_studio, streaming)
PROVIDERS: dict[str, Habit] = {each.__name__: each for each in _ALL}


def _verdict(body: Body) -> tuple[str, str]:
    """The name of the output that holds GOOD, and the other."""
    text = "\n".join(str(each["content"]) for each in body["messages"])
    found = re.search(r"<output_A[^>]*>(.*?)</output_A", text, re.DOTALL)
    return ("A", "B") if found and "GOOD" in found[1] else ("B", "A")


def _events(completion: Body) -> bytes:
    choice = completion["choices"][0]
    deltas = [{"delta": {key: value}} for key, value in choice["message"].items() if value]
    deltas.append({"delta": {}, "finish_reason": choice["finish_reason"]})
    chunks = [{"model": completion["model"], "choices": [{"index": 0, **each}]} for each in deltas]
    chunks.append({"choices": [], "usage": completion["usage"]})
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in chunks) + b"data: [DONE]\n\n"


@contextmanager
def served(habit: Habit, thinks: bool = False) -> Iterator[Asked]:
    """A server with this habit. thinks: it drafts the worse output before it answers."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            good, bad = _verdict(body)
            draft = f"The better output is {bad}.\nHold on." if thinks else ""
            status, reply = habit(Turn(body, self.path, good, draft))
            asked.bodies.append(body)
            asked.paths.append(self.path)
            asked.keys.append(self.headers["api-key"])
            if status == 200:
                used = reply["usage"]
                asked.tokens += used.get("total_tokens", used["prompt_tokens"] + used["completion_tokens"])
            data = _events(reply) if status == 200 and body.get("stream") else json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        asked.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()
