"""farm browse: datasette itself over a real ledger, its queries, and who may ask."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from db.errors import ConfigError
from db.ledger import Ledger
from db.records import (
    Annotation,
    AnnotationStatus,
    AnnotatorCard,
    AnnotatorKind,
    Claim,
    Completion,
    Instruction,
    Item,
    Output,
    Pair,
    Question,
    Run,
    Turn,
    TurnRole,
)
from farm.browse import TITLES, browse, queries
from tests.support.command_line import farm_arguments


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs; ada takes one back; the judge fails once and contradicts her once; a run and its heir."""
    path = tmp_path_factory.mktemp("browse") / "my farm.db"
    with Ledger.open(path, create=True) as ledger, ledger.writing() as writer:
        asked = [Instruction(f"<b>{i}</b>") for i in range(2)]
        pairs = [Pair.of(Output(each, "x", "m"), Output(each, "y", "n"))[0] for each in asked]
        writer.items([Item("s", str(i), pair, False) for i, pair in enumerate(pairs)])
        writer.annotators(
            [AnnotatorCard("ada", AnnotatorKind.HUMAN), AnnotatorCard("gpt", AnnotatorKind.LLM)]
        )
        claims = [Claim(f"k{i}", "d", "r", "{}", (Question(i + 1, 0, False),)) for i in range(2)]
        ids = writer.claims(claims)
        for number, text, cost in zip(ids, ("b", "what?"), (0.25, None), strict=True):
            assert number is not None
            writer.completions([Completion(number, text, cost=cost, prompt_tokens=7, seconds=2.0)])
        writer.annotations(
            [
                Annotation(1, 1, 0.0, 0.0, False),
                Annotation(1, 1, None, None, False, AnnotationStatus.RETRACTED, attempt=1),
                Annotation(1, 1, 1.0, 1.0, False, attempt=2),
                Annotation(2, 1, 0.5, 0.5, True),
                Annotation(1, 2, 0.0, 0.0, False, completion_id=1, slot=0),
                Annotation(
                    2,
                    2,
                    None,
                    None,
                    False,
                    AnnotationStatus.UNREADABLE,
                    "no verdict",
                    completion_id=2,
                    slot=0,
                ),
            ]
        )
        said = [Turn(TurnRole.USER, "<i>1"), Turn(TurnRole.ASSISTANT, "2"), Turn(TurnRole.USER, "3")]
        writer.instructions([Instruction.of_turns(said)])
        writer.snapshot("first", "k" * 32, "{}", [3, 4])
        for model in ("base", "runs/a/model"):
            folder = "runs/a" if model == "base" else "runs/b"
            number = writer.run(Run("train dpo", "{}", "0.1", model, folder, "2026-01-01", 0, 1))
            writer.checkpoint(number, 10, folder)
    return path


@pytest.fixture(scope="module")
def address(path: Path) -> Iterator[str]:
    command = farm_arguments(path, "browse", "--port", "0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert (process.returncode, said) == (0, "")  # errors are told to who asked, not to the terminal


def rows(address: str, query: str, **values: str) -> list[dict[str, object]]:
    response = httpx2.get(f"{address}/{query}.json", params={"_shape": "array", **values})
    assert response.status_code == 200, response.text
    found: list[dict[str, object]] = response.json()
    return found


def test_the_queries_say_what_is_so(address: str) -> None:
    [differing] = rows(address, "disagreements")
    assert (differing["pair_id"], differing["gap"], differing["people"], differing["others"]) == (1, 1, 1, 0)
    [unread] = rows(address, "unreadable")
    assert (unread["annotator"], unread["reason"], unread["reply"]) == ("gpt", "no verdict", "what?")
    [cost] = rows(address, "costs")
    assert (cost["annotator"], cost["requests"], cost["dollars"]) == ("gpt", 2, 0.25)
    assert (cost["requests_of_unknown_price"], cost["seconds_each"]) == (1, 2)
    [person] = rows(address, "people")
    assert (person["person"], person["annotator"], person["pairs"], person["agreement"]) == (
        "ada",
        "gpt",
        1,
        0,
    )
    assert [tuple(each.values()) for each in rows(address, "turns")] == [
        (3, 1, "user", "<i>1"),
        (3, 2, "assistant", "2"),
        (3, 3, "user", "3"),
    ]
    line = rows(address, "lineage", checkpoint="2")
    assert [(each["depth"], each["checkpoint"]) for each in line] == [(0, "runs/b"), (1, "runs/a")]
    assert {(each["snapshot"], each["annotator"], each["judgements"]) for each in line} == {
        ("first", "ada", 2)
    }


def test_it_is_a_page_with_every_query_by_name(address: str) -> None:
    page = httpx2.get(address)
    assert page.status_code == 200
    for name, each in queries().items():
        assert each["title"] in page.text
        assert each["description"]
        assert httpx2.get(f"{address}/{name}", params={"checkpoint": "1"}).status_code == 200
    shown = httpx2.get(f"{address}/disagreements").text
    assert "&lt;b&gt;0&lt;/b&gt;" in shown
    assert "<b>0</b>" not in shown


def test_it_is_read_only_and_on_this_machine_alone(address: str, path: Path) -> None:
    before = path.read_bytes()
    for sql in ("insert into pair values (9, 'x', 1, 1)", "drop table pair", "delete from annotation"):
        refused = httpx2.get(f"{address}.json", params={"sql": sql})
        assert refused.status_code == 400, refused.text
    root = address.rsplit("/", 1)[0]
    assert httpx2.get(root, headers={"host": "evil.example"}).status_code == 403
    assert httpx2.get(root, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert httpx2.post(f"{root}/-/permissions", headers={"origin": "http://evil.example"}).status_code == 403
    assert root.startswith("http://127.0.0.1:")
    page = httpx2.get(address)
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert [each for each in addresses(page.text) if not each.startswith(root)] == []
    assert path.read_bytes() == before
    assert httpx2.get(f"{address}.db").status_code == 403  # the file itself is not given away
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from annotation").fetchone() == (6,)


def addresses(page: str) -> list[str]:
    """The whole addresses that a page loads or links to in its head."""
    return re.findall(r'(?:src|<link[^>]*href)="(https?://[^"]+)"', page)


def test_every_query_is_described_and_listed() -> None:
    assert set(queries()) == set(TITLES)


def test_without_datasette_the_extra_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasette.app", None)
    with Ledger.open(path) as ledger, pytest.raises(ConfigError, match=r"preference-farm\[browse\]"):
        browse(ledger, 0, print)


def test_a_ledger_on_a_server_is_not_browsed_but_its_copy(postgres_url: str) -> None:
    with Ledger.open(postgres_url, create=True) as ledger, pytest.raises(ConfigError, match="farm backup"):
        browse(ledger, 0, print)


def test_a_missing_ledger_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        farm_arguments(tmp_path / "no.db", "browse"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no ledger here" in done.stderr
