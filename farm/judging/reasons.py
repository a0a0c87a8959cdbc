"""Why replies could not be read: the commonest reasons, with one reply each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from annotators.parsers import ReplyText
from db.ids import Json
from db.queries.reasons import kind_of
from db.records import Annotation, AnnotationStatus

MOST = 3  # reasons that are told
EXCERPT = 100  # characters of a reply


class Reason(NamedTuple):
    """A reason, how often it was given, and the beginning of one reply of its kind."""

    reason: str
    times: int
    reply: str = ""

    def to_json(self) -> Json:
        """The reason as a JSON object."""
        return {"reason": self.reason, "count": self.times, "reply": self.reply}


class Reasons:
    """Counts reasons. Two that differ in figures or quoted words alone are of one kind."""

    def __init__(self) -> None:
        self._kinds: dict[str, Reason] = {}

    def add(self, reason: str, reply: str = "") -> None:
        """Count a reason. The first of its kind stands for it, with its reply."""
        kind = kind_of(reason)
        first = self._kinds.get(kind, Reason(reason, 0, excerpt(reply)))
        self._kinds[kind] = first._replace(times=first.times + 1)

    def add_read(self, facts: Iterable[Annotation], reply: ReplyText | None = None) -> None:
        """Count the unreadable among judgements that were read from one reply."""
        said = (reply.text or reply.thinking) if reply else ""
        for fact in facts:
            if fact.status is AnnotationStatus.UNREADABLE:
                self.add(fact.reason or "", said)

    @property
    def commonest(self) -> tuple[Reason, ...]:
        """The commonest kinds, most often first."""
        return tuple(sorted(self._kinds.values(), key=lambda each: -each.times)[:MOST])


def excerpt(reply: str) -> str:
    """The beginning of a reply in one line."""
    line = " ".join(reply[: 4 * EXCERPT].split())
    return line if len(line) <= EXCERPT else line[: EXCERPT - 3] + "..."
