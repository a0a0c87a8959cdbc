"""One sending of a request: what it brought, by name.

Every way to fail has a name. What makes a reply unusable is a failure (failures.FAILURES); what a server
silently did otherwise is a warning (WARNINGS).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from annotators.clients.failures import FAILURES, Remedy
from annotators.clients.request import TokenLogprob, encodable
from annotators.prices import Usage

MAX_BODY = 16 * 2**20  # bytes
MAX_DETAIL = 300  # characters

WARNINGS: Mapping[str, str] = MappingProxyType(
    {
        "several_choices": "more than one choice came back; the first was taken",
        "other_model": "the server names another model than the one asked for",
        **{
            f"without_{name}": f"{what}, and the server was not told: it refuses that, or --without"
            for name, what in (
                ("temperature", "a temperature was asked for"),
                ("top_p", "a top_p was asked for"),
                ("seed", "a seed was asked for"),
                ("stop", "stop texts were asked for"),
                ("logprobs", "log-probabilities were asked for"),
                ("response_format", "a form of the reply was asked for"),
                ("system", "a system text was given; it went into the user's message"),
                ("extra", "fields of decoding.extra were asked for"),
            )
        },
        "prompt_cut": "the server read only a part of the prompt, by its own count; taken by --cut-prompts",
        "only_thinking": "the model thought and gave no answer",
        "logprobs_missing": "log-probabilities were asked for and did not come",
        "logprobs_elsewhere": "log-probabilities came for other tokens than the answer's",
        "response_format_ignored": "JSON was asked for and something else came",
        "usage_missing": "the server did not say how many tokens it used, or said 0 for a text",
        "settings_ignored": "a model in process replies greedily, whatever the request says of sampling",
    }
)


@dataclass(frozen=True, slots=True)
class Sending:
    """What one sending brought.

    text: the answer alone. thinking: what the model thought before it. usage: None where the server did not
    say. retry_after: seconds. heeded: the server refused a field of the request, and the next sending
    leaves it out.
    """

    failure: str | None = None
    detail: str = ""
    text: str = ""
    thinking: str = ""
    finish_reason: str | None = None
    model: str | None = None
    top_logprobs: tuple[tuple[TokenLogprob, ...], ...] = ()
    usage: Usage | None = None
    warnings: tuple[str, ...] = ()
    retry_after: float | None = None
    heeded: bool = False

    @property
    def unmetered(self) -> bool:
        """Whether the server may have billed this without telling how much."""
        return self.usage is None and (self.failure is None or FAILURES[self.failure].maybe_billed)

    @property
    def remedy(self) -> Remedy | None:
        """What the failure calls for; None where there is none."""
        return None if self.failure is None else FAILURES[self.failure].remedy


def failed(name: str, detail: str = "", *, retry_after: float | None = None) -> Sending:
    """A sending that brought a failure and nothing else."""
    return Sending(failure=name, detail=one_line(detail), retry_after=retry_after)


def one_line(text: str) -> str:
    """A server's text as part of one line: no control characters, at most MAX_DETAIL long."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", encodable(text)).split())
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 3] + "..."


def repaired(text: str) -> str:
    """The text in a form that every file and database can hold: lone surrogates and NUL are escaped."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text if is_unicode(text) else text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def decoded(body: bytes) -> str:
    """The beginning of a body as text."""
    return body[: 4 * MAX_DETAIL].decode("utf-8", "replace")


def shown(value: object) -> str:
    """The beginning of a parsed body as JSON text."""
    return json.dumps(value, ensure_ascii=True, default=str)[: 4 * MAX_DETAIL]
