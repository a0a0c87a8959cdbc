"""The web page of `farm label`: GET / shows a pair, POST /judge takes a verdict.

Every text is escaped, and the page loads nothing from anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import compare_digest
from urllib.parse import parse_qs

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from db.errors import FarmError
from farm.pages.guard import Guard
from farm.pages.labelling.criteria import FIELD, pressed
from farm.pages.labelling.door import Door, Visit
from farm.pages.labelling.scales import SIDES, scale_of
from farm.pages.labelling.sitting import Outcome, Sitting, VerdictKey
from farm.pages.templates import source_hash, stylesheet, templates

FOLDER = Path(__file__).parent / "templates"
FORM_BYTES = 4_096
FORM_FIELDS = 8  # at most, beside the criteria
COOKIE = "farm_label"
NOTES: dict[str, str] = {
    VerdictKey.SKIP: "Skipped",
    Outcome.UNDONE: "Taken back: judge it again",
    Outcome.TAKEN: "That one was taken back already",
    Outcome.STALE: "That pair was judged already; here is the next",
    Outcome.NOTHING: "There is nothing to take back",
}


@dataclass(frozen=True)
class Form:
    """The fields of a form. token: proves that it is this page's. seconds: the time that the page
    measured. last: names the judgement that an undo takes back. aspects: the fields of the criteria."""

    token: str
    question: str
    verdict: str
    seconds: float | None
    last: str | None = None
    aspects: Mapping[str, str] = field(default_factory=dict)


class Page:
    """The handlers of the page. port: part of the cookie's name, because a machine's ports share cookies."""

    def __init__(self, sittings: Mapping[str, Sitting], door: Door, guideline: str, port: int) -> None:
        self._sittings = sittings
        self._door = door
        self._guideline = guideline
        self._cookie = f"{COOKIE}_{port}"
        self._template = templates(FOLDER).get_template("label.html.j2")
        self._style = stylesheet(FOLDER / "label.css")
        self._script = (FOLDER / "label.js").read_text(encoding="utf-8")

    @property
    def policy(self) -> str:
        """The Content-Security-Policy: only the page's own style, script and forms."""
        return (
            f"default-src 'none'; style-src '{source_hash(self._style)}'; "
            f"script-src '{source_hash(self._script)}'; img-src data:; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )

    async def look(self, request: Request) -> Response:
        """GET /: show the current pair. With the token of a link, set the cookie and redirect."""
        token = request.query_params.get("token")
        if token is not None:
            return self._enter(token)
        visit = self._visit(request)
        if visit is None:
            return _refused("open the link that `farm label` printed last; each opens once")
        said = request.query_params.get("said", "")
        choice = self._sittings[visit.person].choices.get(said)
        note = choice.note if choice else NOTES.get(said, "")
        return HTMLResponse(await run_in_threadpool(self._render, visit, note))

    async def judge(self, request: Request) -> Response:
        """POST /judge: write a verdict, a skip or an undo to the ledger, then redirect to the next pair."""
        visit = self._visit(request)
        if visit is None:
            return _refused("open the link that `farm label` printed last; each opens once")
        sitting = self._sittings[visit.person]
        form = await read_form(request, len(sitting.aspects))
        if form is None or not compare_digest(form.token.encode(), visit.form.encode()):
            return _refused("that form is not of this page; load the page again")
        if form.verdict == "u":
            said: str = await run_in_threadpool(sitting.undo, form.last, form.question)
        elif form.verdict not in {*sitting.choices, VerdictKey.SKIP} or not sitting.knows(form.question):
            return PlainTextResponse("There is no such question or verdict.\n", 400)
        elif (on_aspects := self._on_aspects(sitting, form)) is None:
            return PlainTextResponse("Nothing was saved: judge every criterion first, or skip.\n", 400)
        else:
            given = form.question, form.verdict, form.seconds, on_aspects
            outcome = await run_in_threadpool(sitting.answer, *given)
            said = form.verdict if outcome is Outcome.SAVED else outcome
        return RedirectResponse(f"/?said={said}", 303)

    @staticmethod
    def _on_aspects(sitting: Sitting, form: Form) -> tuple[str, ...] | None:
        """The key for each criterion, none of a skip; None where one is missing."""
        return () if form.verdict == VerdictKey.SKIP else pressed(sitting.aspects, form.aspects)

    def _enter(self, token: str) -> Response:
        cookie = self._door.enter(token)
        if cookie is None:
            return _refused("this link was used already, or is none; open the one that was printed last")
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie, cookie, httponly=True, samesite="strict", path="/")
        return response

    def _visit(self, request: Request) -> Visit | None:
        return self._door.visit(request.cookies.get(self._cookie))

    def _render(self, visit: Visit, note: str) -> str:
        return self._template.render(
            shown=self._sittings[visit.person].shown(),
            choices=self._sittings[visit.person].choices.values(),
            aspects=self._sittings[visit.person].aspects,
            sides=scale_of(SIDES).values(),
            person=visit.person,
            form=visit.form,
            note=note,
            guideline=self._guideline,
            style=Markup(self._style),
            script=Markup(self._script),
        )


async def read_form(request: Request, criteria: int = 0) -> Form | None:
    """Read the fields of a form. None where the body is not URL-encoded, too long or has too many fields.

    criteria: how many the page asks for.
    """
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return None
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=FORM_FIELDS + criteria)
    except ValueError:
        return None
    token, question, verdict, seconds, last = (
        fields.get(name, [""])[0] for name in ("token", "question", "verdict", "seconds", "last")
    )
    aspects = {name: values[0] for name, values in fields.items() if name.startswith(FIELD)}
    return Form(token, question, verdict, seconds=_seconds(seconds), last=last or None, aspects=aspects)


def _seconds(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _refused(reason: str) -> Response:
    return PlainTextResponse(f"Refused: {reason}.\n", 403)


async def _failed(request: Request, error: Exception) -> Response:
    """Answer 503 with the reason where the ledger cannot be read or written."""
    return PlainTextResponse(f"Nothing was saved: {error}\nGo back and try again.\n", 503)


def app(page: Page, bound: str) -> ASGIApp:
    """The app: the page's two routes behind `Guard`. bound: the host that the page listens on."""
    routes = [Route("/", page.look, methods=["GET"]), Route("/judge", page.judge, methods=["POST"])]
    return Guard(Starlette(routes=routes, exception_handlers={FarmError: _failed}), bound, page.policy)
