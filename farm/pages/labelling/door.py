"""Who may come in: a link that opens once, and a cookie for it. From where is the guard's business.

A link is printed on the terminal of whoever started the page; the first browser that opens it gets a cookie
and the next link is printed. There is no way in without one, whatever address the page listens on.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Visit:
    """A browser that came in by somebody's link. form: what its forms must carry."""

    person: str
    form: str = field(default_factory=secrets.token_urlsafe)


class Door:
    """Links that are open, and the visits that came of them. `announce` hears (person, token) of a link."""

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
        """The cookie for a link, which is closed by that; None where there is no such link."""
        person = self._links.pop(token, None)
        if person is None:
            return None
        cookie = secrets.token_urlsafe(32)
        self._visits[cookie] = Visit(person)
        self._open_link(person)
        return cookie

    def visit(self, cookie: str | None) -> Visit | None:
        """Whose cookie it is."""
        return self._visits.get(cookie) if cookie else None
