"""A server of the completions API (from token ids, as vLLM has it) and of the chat API, with a real model."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from farm.config import Decoding
from farm.models.generation import sample
from farm.models.policy import Policy
from farm.models.tokens import Prompt


@contextmanager
def completions_server(model_dir: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The base URL, and the bodies that were received."""
    policy, bodies, turn = Policy.load(model_dir), [], threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            chat = self.path == "/v1/chat/completions"
            with turn:
                bodies.append(body)
                asked = Prompt(body["messages"][-1]["content"]) if chat else None
                ids = policy.codec.prompt_ids(asked) if asked else body["prompt"]
                decoding = Decoding(temperature=body["temperature"], max_new_tokens=body["max_tokens"])
                (one,) = sample(policy, [ids], decoding, seed=body["seed"])
            used = {"prompt_tokens": len(ids), "completion_tokens": len(one.ids)}
            text = policy.codec.text(one.ids)
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choice = {"index": 0, "finish_reason": "stop" if one.ended else "length", **said}
            reply = json.dumps({"model": body["model"], "choices": [choice], "usage": used}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1", bodies
        finally:
            server.shutdown()
            thread.join()
