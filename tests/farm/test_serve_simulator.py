"""`farm serve-simulator`: an OpenAI-compatible provider in a process of its own, until interrupted."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.command_line import farm_arguments, refused, told


@contextmanager
def serving(*options: object) -> Iterator[str]:
    """The base URL; ended by Ctrl-C, as a person does."""
    command = farm_arguments("none.db", "serve-simulator", "--port", 0, *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        found = re.fullmatch(r"serving (http://127\.0\.0\.1:\d+/v1)\n", line)
        assert found, line + process.communicate()[1]
        yield found[1]
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (0, "")


def test_it_judges_as_its_configuration_says(tmp_path: Path) -> None:
    """Everybody prefers the longer output, but for `terse`, who is told to prefer the shorter."""
    (tmp_path / "provider.yaml").write_text(
        "judge: {utility: length, noise: 0}\n"
        "judges: {terse: {utility: length, noise: 0, length_bias: -100}}\n"
        "models: [judge, terse]\n"
    )
    rows = [{"prompt": f"Say {i}.", "chosen": f"{i}", "rejected": f"{i}, I say"} for i in range(6)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ledger = tmp_path / "farm.db"
    told(ledger, "import", "trl", tmp_path / "rows.jsonl", "--annotator", "ada", "--source", "s")
    with serving("--config", tmp_path / "provider.yaml") as url:
        listed = httpx2.get(f"{url}/models").json()["data"]
        assert [each["id"] for each in listed] == ["judge", "terse"]
        for model in ("judge", "terse"):
            report = told(ledger, "annotate", "plain", "--base-url", url, "--model", model)
            assert report["statuses"] == {"ok": 6}
        unknown = {"model": "other", "messages": [{"role": "user", "content": "x"}]}
        assert httpx2.post(f"{url}/chat/completions", json=unknown).status_code == 404
    found = {
        each["annotator"]: each["agreement"]["value"]
        for each in told(ledger, "audit", "--reference", "ada", "--draws", 0)["annotators"]
        if each["kind"] == "llm"
    }
    assert sorted(found.values()) == [0.0, 1.0]  # ada prefers the shorter of each pair


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a list", "a configuration maps names to values"),
        ("juge: {}", "unknown option 'juge'"),
        ("judge: {noise: loud}", "simulator.judge.noise: 'loud' is not what this option takes"),
    ],
)
def test_a_wrong_configuration_is_said_before_anything_is_served(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "provider.yaml").write_text(text)
    said = refused(tmp_path / "x.db", "serve-simulator", "--port", 0, "--config", tmp_path / "provider.yaml")
    assert message in said


def test_a_port_that_is_taken_is_said_in_a_line(tmp_path: Path) -> None:
    with serving() as url:
        port = re.findall(r":(\d+)/", url)[0]
        assert port in refused(tmp_path / "x.db", "serve-simulator", "--port", port)
