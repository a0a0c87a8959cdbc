"""Replies that no database would hold as they are: each is stored, paid for once, and hurts no other."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from annotators import catalogue
from annotators.clients import Reply, Usage
from annotators.spec import AnnotatorSpec
from db import sqlite_file
from db.errors import LedgerBusy
from db.ledger import Ledger, PairFilter
from db.queries import asking
from db.records import Completion
from db.tables import CLAIM
from farm.annotate import annotate
from farm.judging.asking import Judging
from farm.judging.provider import Provider, Task
from tests.support.judging_runs import count, fill, silent, verdicts

GOOD: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Output (a)"}}
    ],
    "usage": {"prompt_tokens": 400, "completion_tokens": 3},
}
CHOICE = GOOD["choices"][0]
ODD_TOKEN = {"token": "\0\ud800", "logprob": -1.0, "top_logprobs": []}
HOSTILE: dict[str, dict[str, Any]] = {
    "nul in the model": {"model": "m\0x"},
    "surrogate in the model": {"model": "m\ud800"},
    "nul in the finish": {"choices": [CHOICE | {"finish_reason": "st\0op"}]},
    "surrogate in the finish": {"choices": [CHOICE | {"finish_reason": "\udfff"}]},
    "nul in the id": {"id": "\0", "system_fingerprint": "\0", "service_tier": "\ud800"},
    "nul in a refusal": {"choices": [CHOICE | {"message": {"content": None, "refusal": "n\0o \ud800"}}]},
    "nul in the text": {"choices": [CHOICE | {"message": {"content": "Output (a) \0 \ud800"}}]},
    "nul in a token": {"choices": [CHOICE | {"logprobs": {"content": [ODD_TOKEN]}}]},
    "many tokens": {"usage": {"prompt_tokens": 3_000_000_000, "completion_tokens": 2**52}},
    "too many tokens": {"usage": {"prompt_tokens": 2**70, "completion_tokens": 2**70}},
    "no tokens": {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
    "no tokens for a text": {"usage": {"prompt_tokens": 400, "completion_tokens": 0}},
}  # fmt: skip


@contextmanager
def serving(bodies: list[dict[str, Any]]) -> Iterator[tuple[str, list[int]]]:
    """A server that gives these bodies in turn. Yields its address and a list with a number for each hit."""
    hits: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            hits.append(len(hits))
            body = json.dumps(bodies[hits[-1] % len(bodies)]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", hits
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def completions(ledger: Ledger) -> list[Completion]:
    return list(asking.completions(ledger, list(range(1, count(ledger, CLAIM) + 1))).values())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_reply_is_stored_and_takes_no_other_with_it(
    ledger_url: str, tmp_path: Path, name: str
) -> None:
    """Every third reply of 12 is hostile. None is asked for again by the next run but those that failed."""
    fill(ledger_url, 12)
    (tmp_path / "p.yaml").write_text("models:\n  m: {input: 1.0, output: 2.0, checked: 2026-01}\n")
    with serving([GOOD, GOOD, GOOD | HOSTILE[name]]) as (url, hits), Ledger.open(ledger_url) as ledger:
        provider = Provider(("m",), url, prices=tmp_path / "p.yaml", max_cost=1e15, concurrency=4)
        report = annotate(ledger, "plain", Task(), silent, provider)
        made = completions(ledger)
        assert sum(each.sendings for each in made) == len(hits) == report.requests
        assert len(made) == count(ledger, CLAIM) == 12
        assert len(verdicts(ledger)) == 12
        failed = sum(each.failure is not None for each in made)
        before = len(hits)
        annotate(ledger, "plain", Task(), silent, provider)
        assert count(ledger, CLAIM) - 12 == failed
        assert failed or len(hits) == before
        if name == "many tokens":
            told = {(each.prompt_tokens, each.completion_tokens) for each in made}
            assert told == {(400, 3), (3_000_000_000, 2**52)}
        if "no tokens" in name or name == "too many tokens":
            odd = [each for each in made if each.unmetered]
            assert len(odd) == 4
            assert all((each.cost_bound or 0) > 1e-4 > (each.cost or 0) == 0 for each in odd)


def judging(ledger: Ledger) -> Judging:
    spec = catalogue.load("plain", catalogue.ModelSlots.of(("m",)))
    assert isinstance(spec, AnnotatorSpec)
    return Judging(ledger, spec, "http://127.0.0.1", silent)


def test_what_cannot_be_stored_is_a_failure_with_its_cost(ledger_url: str) -> None:
    """No reply is known that gets here. Numbers beyond 64 bits stand for what nobody thought of."""
    fill(ledger_url, 5)
    with Ledger.open(ledger_url) as ledger:
        with judging(ledger) as asked:
            for number, request in enumerate(filter(None, asked.requests(PairFilter(), range(1)))):
                reply = Reply(request_key=request.key, text="Output (a)", usage=Usage(9, 1), cost=0.5)
                bad = replace(reply, usage=Usage(2**70, 1))
                asked.deliver(request, bad if number == 2 else reply)
            asked.commit()
        made = completions(ledger)
        assert [each.failure for each in made] == [None, None, "unstorable", None, None]
        assert [each.cost for each in made] == [0.5] * 5
        assert made[2].text == ""
        assert "64 bits" in made[2].detail or "out of range" in made[2].detail
        judged = list(verdicts(ledger).values())
        assert (len(judged), judged.count(None)) == (5, 1)


def test_what_was_not_written_is_kept_for_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "farm.db"
    fill(path, 3)
    monkeypatch.setattr(sqlite_file, "WAIT_SECONDS", 0.1)
    with Ledger.open(path) as ledger:
        with judging(ledger) as asked:
            for request in list(filter(None, asked.requests(PairFilter(), range(1)))):
                asked.deliver(request, Reply(request_key=request.key, text="Output (a)"))
            holder = sqlite3.connect(path, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                with pytest.raises(LedgerBusy):
                    asked.commit()
            holder.close()
        assert len(completions(ledger)) == len(verdicts(ledger)) == 3
