"""Access to the labelling page: links that open once, and the cookies that they give.

A link is printed on the terminal where the page was started. The first browser that opens it gets a cookie,
and a new link is printed. Without a cookie nobody sees the page, whatever address it listens on. The guard
(farm/pages/guard.py) decides where requests may come from.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Visit:
    """A browser that opened a person's link. form: the token that its forms must carry."""

    person: str
    form: str = field(default_factory=secrets.token_urlsafe)


class Door:
    """The open links and the visits. announce: called with (person, token) for each new link."""

    def __init__(self, people: Iterable[str], announce: Callable[[str, str], None]) -> None:
        self._announce = announce
        self._links: dict[str, str] = {}
        self._visits: dict[str, Visit] = {}
        for person in people:
            self._open_link(person)

    def _open_link(self, person: str) -> None:
        token = secrets.token_urlsafe(32)
        self._links[token] = person
        self._announce(person, token)

    def enter(self, token: str) -> str | None:
        """Close a link and return a new cookie for it; None where there is no such link."""
        person = self._links.pop(token, None)
        if person is None:
            return None
        cookie = secrets.token_urlsafe(32)
        self._visits[cookie] = Visit(person)
        self._open_link(person)
        return cookie

    def visit(self, cookie: str | None) -> Visit | None:
        """The visit of this cookie; None where there is none."""
        return self._visits.get(cookie) if cookie else None
