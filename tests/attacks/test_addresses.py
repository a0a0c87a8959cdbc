"""No metadata service is asked, in whatever spelling; what is ours stays where a key would go."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from annotators.clients import Endpoint
from annotators.clients.addresses import is_forbidden, is_loopback
from annotators.clients.transport import ForbiddenAddress
from db.errors import ConfigError
from tests.support.attacks import attacked, completion, ledger_of, raw_server, refusal, reply

SPELLINGS = (
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "169.254.43518",
    "0251.0376.0251.0376",
    "0xa9.0xfe.0xa9.0xfe",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "169.254.169.254.",
    "１６９.254.169.254",
    "100.100.100.200",
    "metadata.google.internal",
    "METADATA.google.internal.",
)


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_metadata_service_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(ConfigError, match="credentials"):
        Endpoint(f"http://{host}/v1")


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "localhost.", "[::1]", "0"])
def test_this_machine_is_known_in_every_spelling(host: str) -> None:
    assert is_loopback(host)
    assert not is_forbidden(host)
    assert Endpoint(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "[2001:db8::1]", "127.example.com"])
def test_other_hosts_are_neither(host: str) -> None:
    assert not is_loopback(host)
    assert not is_forbidden(host)


def got(endpoint: Endpoint) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        async with endpoint.http(connections=1, timeout=10) as http:
            return await http.get(f"{endpoint.address}/models")

    return asyncio.run(ask())


def test_a_name_is_judged_by_what_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to a metadata service, alone or among others, is not asked."""

    def resolved(*addresses: str) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 80)) for each in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    for addresses in (("169.254.169.254",), ("127.0.0.1", "169.254.1.1")):
        resolved(*addresses)
        with pytest.raises(ForbiddenAddress, match="credentials"):
            got(Endpoint("http://harmless.example/v1"))


def test_the_next_address_is_tried_where_one_takes_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> Iterator[bytes]:
        heads.append(head)
        yield reply(b"{}")

    with raw_server(answer) as url:
        port = int(url.split(":")[2].split("/")[0])
        places: list[Any] = [("127.0.0.2", port), ("127.0.0.1", port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        assert got(Endpoint(f"http://served.example:{port}/v1")).status_code == 200
    assert f"Host: served.example:{port}".encode().lower() in heads[0].lower()


OURS = {
    "OPENAI_ORG_ID": "org-canary-1",
    "OPENAI_PROJECT_ID": "project-canary-2",
    "OPENAI_ADMIN_KEY": "sk-canary-admin-3",
    "OPENAI_API_KEY": "sk-canary-key-4",
    "OPENAI_CUSTOM_HEADERS": "X-Mine: canary-5\nAuthorization: Bearer canary-6",
}


@pytest.mark.parametrize("usual", [False, True])
def test_what_belongs_to_openai_goes_nowhere_else(usual: bool, tmp_path: Path) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> Iterator[bytes]:
        heads.append(head)
        yield reply(completion())

    with raw_server(answer) as url:
        told = ["--model", "m", *([] if usual else ["--base-url", url])]
        environ = OURS | ({"OPENAI_BASE_URL": url} if usual else {})
        done = attacked(ledger_of(tmp_path), "annotate", "plain", *told, environ=environ)
    assert done.code == 0, done.error
    sent = b"\n".join(heads)
    assert (b"org-canary-1" in sent, b"project-canary-2" in sent) == (usual, usual)
    assert (b"Bearer sk-canary-key-4" in sent) == usual
    assert b"canary-6" not in sent  # the key is that of the endpoint, whatever a header says
    if not usual:
        assert b"canary" not in sent


def test_no_proxy_sees_what_is_sent_to_this_machine(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def proxy(head: bytes) -> Iterator[bytes]:
        seen.append(head)
        yield reply(b"{}", status="502 Bad Gateway")

    with raw_server(lambda head: iter([reply(completion())])) as url, raw_server(proxy) as through:
        environ = {
            "HTTP_PROXY": through,
            "http_proxy": through,
            "ALL_PROXY": through,
            "FARM_API_KEY": "k" * 20,
        }
        done = attacked(
            ledger_of(tmp_path), "annotate", "plain", "--base-url", url, "--model", "m", environ=environ
        )
        assert done.code == 0, done.error
        assert seen == []
        away = attacked(
            tmp_path / "farm.db", "doctor", "--base-url", "http://host.invalid/v1", environ=environ
        )
        assert "answers 502" in away.out  # beyond this machine it is used
        assert seen[0].startswith(b"GET http://host.invalid/v1/models")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:1"}, "speaks SOCKS"),
        ({"ALL_PROXY": "nonsense://u:pa55word@x"}, "cannot be used"),
        ({"SSL_CERT_FILE": "/nonexistent"}, "the certificates cannot be read"),
    ],
)
def test_a_wrong_environment_is_one_line(environ: dict[str, str], said: str, tmp_path: Path) -> None:
    command = ["annotate", "plain", "--base-url", "http://host.invalid/v1", "--model", "m"]
    line = refusal(attacked(ledger_of(tmp_path), *command, environ=environ))
    assert said in line
    assert "pa55word" not in line
