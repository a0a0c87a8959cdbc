"""`transformers serve`, a server that we did not write, judges over HTTP with a tiny model from a config."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.ledger import Ledger
from db.records import Instruction, Output, Pair
from db.tables import COMPLETION
from farm.annotate import AnnotateReport, annotate
from farm.judging.provider import Provider, Task
from tests.support.judging_runs import silent
from tests.support.tiny_judges import write_judge

PAIRS = 200
SPEC = "kind: llm\nmodel: small\nprompt: prompt.jinja\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_judge(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")
    pytest.importorskip("uvicorn", reason="transformers serve needs fastapi and uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", model]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    log = tmp_path_factory.mktemp("log") / "server.txt"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as said:
        process = subprocess.Popen([*command, *options], stdout=said, stderr=said, env=environment)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()[-2000:]
            time.sleep(0.1)
    raise AssertionError(f"the server does not come up: {log.read_text()[-2000:]}")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "farm.db", create=True) as opened:
        made = []
        for i in range(PAIRS):
            asked = Instruction(f"Number {i}?")
            made.append(Pair.of(*(Output(asked, f"{k} {i}", f"m{k}") for k in range(2)))[0])
        with opened.writing() as writer:
            writer.pairs(made)
        yield opened


def judge(folder: Path, decoding: str, parser: str = "verdict") -> str:
    """An annotator with a short prompt."""
    folder.mkdir()
    prompt = "{% block user %}{{ pairs[0].first }} or {{ pairs[0].second }}?{% endblock %}"
    (folder / "prompt.jinja").write_text(prompt)
    text = f"name: {folder.name}\n{SPEC}decoding: {decoding}\nparser: {{name: {parser}}}\n"
    (folder / "annotator.yaml").write_text(text)
    return str(folder)


def run(ledger: Ledger, server: str, model: str, name: str) -> AnnotateReport:
    return annotate(ledger, name, Task(), silent, Provider((model,), server, concurrency=4))


@pytest.mark.slow
def test_a_real_server_judges_by_generated_text(
    ledger: Ledger, tmp_path: Path, server: str, model: str
) -> None:
    report = run(ledger, server, model, judge(tmp_path / "words", "{temperature: 0, max_tokens: 1}"))
    assert sum(report.statuses.values()) == PAIRS <= report.requests  # an empty reply is tried again
    assert report.statuses.keys() <= {"unreadable", "failed", "ok"}
    assert report.statuses["unreadable"] > PAIRS / 2  # a tiny model's nonsense
    assert report.tokens > PAIRS
    assert report.warnings == {}


@pytest.mark.slow
def test_what_a_server_silently_ignores_is_said(
    ledger: Ledger, tmp_path: Path, server: str, model: str
) -> None:
    decoding = "{max_tokens: 4, top_logprobs: 5, response_format: {type: json_object}}"
    report = run(ledger, server, model, judge(tmp_path / "weighed", decoding, "logprob"))
    assert report.warnings == {"logprobs_missing": PAIRS, "response_format_ignored": PAIRS}
    assert "ok" not in report.statuses  # what did not come is not believed
    with ledger.reading() as connection:
        kept = [row.warnings for row in connection.execute(COMPLETION.select())]
    assert set(kept) == {"logprobs_missing,response_format_ignored"}
