"""A server that plays vLLM or SGLang for `farm train --rollout-url`, with the project's own sampler.

    python examples/rollout_server.py MODEL --port 8001 [--lag 2] [--api-key KEY]

It has the paths that a run uses: /v1/completions, /collective_rpc and /reset_prefix_cache of vLLM, /generate
and /update_weights_from_disk of SGLang. It draws with the weights that were pushed `--lag` pushes ago. It is
meant for trying things out and for tests: it draws for one request at a time.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from db.errors import FarmError
from db.ids import content_hash
from farm.config import Decoding
from farm.models.generation import Drawn, sample
from farm.models.policy import Policy
from farm.training.rollout_server import prompt_seed


class Said(NamedTuple):
    """What a request is answered with."""

    body: Any
    status: int = 200


class PolicyServer(ThreadingHTTPServer):
    """The server, not started yet: `serve_forever` starts it. port: 0 takes a free one.

    lag: pushes between the weights that it draws with and the newest. key: what requests must bring.
    """

    daemon_threads = True

    def __init__(self, model: str, *, port: int = 0, lag: int = 0, key: str = "") -> None:
        self.held = deque([Policy.load(model)], maxlen=lag + 1)
        self.key, self.turn, self.asked, self.pushed = key, threading.Lock(), 0, list[str]()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """The address for --rollout-url."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    def draw(self, ids: list[int], n: int, seed: int, decoding: Decoding) -> list[Drawn]:
        """Draw n responses with the oldest weights that are held."""
        with self.turn:
            self.asked += 1
            return sample(self.held[0], [ids], decoding, seed=seed, n=n)

    def load(self, folder: str) -> None:
        """Hold the weights of a folder as the newest."""
        with self.turn:
            self.held.append(Policy.load(folder))
            self.pushed.append(folder)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: PolicyServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer with JSON."""
        raw = self.rfile.read(int(self.headers["content-length"]))
        said = self._said(json.loads(raw))
        body = json.dumps(said.body).encode()
        self.send_response(said.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _said(self, body: dict[str, Any]) -> Said:
        paths = {
            "/v1/completions": self._completions,
            "/collective_rpc": self._collective_rpc,
            "/reset_prefix_cache": lambda _: Said({}),
            "/generate": self._generate,
            "/update_weights_from_disk": self._update,
        }
        if self.server.key and self.headers["authorization"] != f"Bearer {self.server.key}":
            return Said({"error": f"not the key: {self.headers['authorization']}"}, 401)
        if self.path not in paths:
            return Said({"detail": "Not Found"}, 404)
        try:
            return paths[self.path](body)
        except FarmError as error:
            return Said({"success": False, "message": str(error), "error": {"message": str(error)}}, 400)

    def _completions(self, body: dict[str, Any]) -> Said:
        ids = body["prompt"]
        decoding = Decoding(temperature=body["temperature"], max_new_tokens=body["max_tokens"])
        drawn = self.server.draw(ids, body["n"], prompt_seed(body["seed"], ids), decoding)
        choices = [
            {
                "index": k,
                "text": "",
                "finish_reason": "stop" if one.ended else "length",
                "logprobs": {"token_logprobs": one.logps},
                "prompt_token_ids": ids,
                "token_ids": one.ids,
            }
            for k, one in enumerate(drawn)
        ]
        return Said({"object": "text_completion", "choices": choices})

    def _collective_rpc(self, body: dict[str, Any]) -> Said:
        if body["method"] != "reload_weights":
            return Said({"error": {"message": f"no method {body['method']}"}}, 400)
        self.server.load(body["kwargs"]["weights_path"])
        return Said({"results": [None]})

    def _generate(self, body: dict[str, Any]) -> Said:
        ids, said = body["input_ids"], body["sampling_params"]
        decoding = Decoding(temperature=said["temperature"], max_new_tokens=said["max_new_tokens"])
        seed = int(content_hash("noise of no seed", self.server.asked)[:15], 16)
        rows = [
            {
                "text": "",
                "output_ids": one.ids,
                "meta_info": {
                    "finish_reason": {"type": "stop" if one.ended else "length"},
                    "output_token_logprobs": [
                        [logp, token, None] for logp, token in zip(one.logps, one.ids, strict=True)
                    ],
                },
            }
            for one in self.server.draw(ids, said["n"], seed, decoding)
        ]
        return Said(rows if said["n"] > 1 else rows[0])

    def _update(self, body: dict[str, Any]) -> Said:
        self.server.load(body["model_path"])
        return Said({"success": True, "message": "Succeeded to update model weights."})

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a folder or a hub id")
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument(
        "--lag", type=int, default=0, help="pushes between the newest weights and those drawn with"
    )
    parser.add_argument("--api-key", default="", help="the key that requests must bring")
    given = parser.parse_args()
    with PolicyServer(given.model, port=given.port, lag=given.lag, key=given.api_key) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
