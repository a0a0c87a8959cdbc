"""A key or a password is nowhere in what is written or printed, in whatever form a server repeats it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotators.clients import Endpoint
from tests.support.attacks import Attacked, attacked, completion, ledger_of, raw_server, reply
from tests.support.command_line import farm, refused

KEY = "sk-secret-KEY/12345"
PASSWORD = "pa55-w/rd-CANARY"


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


def forms(secret: str) -> dict[str, bytes]:
    """Bodies that say the secret."""
    said = completion("SECRET")
    return {
        "plain": said.replace(b"SECRET", secret.encode()),
        "slash": said.replace(b"SECRET", secret.replace("/", "\\/").encode()),
        "unicode": said.replace(b"SECRET", escaped(secret).encode()),
        "upper": said.replace(b"SECRET", escaped(secret).upper().replace("\\U", "\\u").encode()),
        "twice": completion(json.dumps({"key": escaped(secret)})),
        "model": completion(model=secret),
        "percent": said.replace(b"SECRET", secret.replace("/", "%2F").encode()),
        "utf-16": json.dumps({**json.loads(completion(secret))}).encode("utf-16"),
    }


def written(folder: Path, done: Attacked) -> bytes:
    """All that a command wrote: files, standard output and error."""
    files = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return files + done.out.encode() + done.error.encode()


def test_a_key_is_blanked_in_every_form() -> None:
    pair = base64.b64encode(f"someone:{PASSWORD}".encode()).decode()
    for endpoint, secret in (
        (Endpoint("http://h/v1", KEY), KEY),
        (Endpoint("http://someone:pa55-w%2Frd-CANARY@h/v1"), PASSWORD),
        (Endpoint("http://someone:pa55-w%2Frd-CANARY@h/v1"), pair),
    ):
        for form, body in forms(secret).items():
            if form == "utf-16":
                assert secret not in endpoint.hide(body.decode("utf-16"))
            else:
                hidden = endpoint.hide_bytes(body)
                assert b"***" in hidden, form
                assert secret not in json.dumps(json.loads(hidden)).replace("\\/", "/"), form
    assert Endpoint("http://h/v1", KEY).hide("sk-secret, nothing more") == "sk-secret, nothing more"


def test_a_key_that_is_repeated_is_written_nowhere(tmp_path: Path) -> None:
    bodies = list(forms(KEY).values())
    sent: list[bytes] = []

    def answer(head: bytes) -> Iterator[bytes]:
        sent.append(head)
        yield reply(bodies[len(sent) % len(bodies)])

    ledger = ledger_of(tmp_path, pairs=2 * len(bodies))
    with raw_server(answer) as url:
        environ = {"FARM_API_KEY": KEY}
        done = attacked(ledger, "annotate", "plain", "--base-url", url, "--model", "m", environ=environ)
    assert any(KEY.encode() in head for head in sent)  # it did go to the server
    found = written(tmp_path, done)
    for form in (KEY, escaped(KEY), KEY.replace("/", "\\/"), KEY.replace("/", "%2F")):
        assert form.encode().lower() not in found.lower()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@127.0.0.1:1/db?password=TOPSECRET",
        "postgresql://u:TOPSECRET@127.0.0.1:1/db",
        "postgresql://u@127.0.0.1:1/db?sslpassword=TOPSECRET",
        "postgresql:/u:TOPSECRET@h/x",
        "postgresql:u:TOPSECRET@h/x",
        "mysql://u:TOPSECRET@h/x",
        "postgresql://u:TOPSECRET@h:abc/x",
        "postgresql://u:TOPSECRET@[::1/x",
    ],
)
def test_a_password_of_a_ledgers_address_is_never_printed(url: str) -> None:
    for command in (["status"], ["doctor"]):
        done = farm(url, *command)
        assert "TOPSECRET" not in done.out + done.error
        assert "Traceback" not in done.error
        assert done.code == 1


def test_a_home_of_nobody_is_one_line() -> None:
    assert "nobody's home" in refused("~nouser/x", "status")
