"""The pages behind a client's links: stop, and "this is not me". Reading shows a page; only POST does something.

They tell whoever holds a forwarded link the clinic's discreet name and phone, and no more; every link that opens
nothing gets one and the same page. No cookie, no redirect, no script, no log-in.
"""

from __future__ import annotations

from asyncio import Semaphore
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from service.actions.answer import NOT_ME, STOP, Link, clinic_of, not_me, read_link, stop_by_link, write_link
from service.errors import NotFound, Unavailable
from service.mail.signing import Signer
from service.mail.words import phone_href, phone_shown
from service.store.clinics import Clinic
from service.store.engine import Store
from service.web.limits import Field, RateLimit, refused_form

AT_ONCE = 4  # requests that use the database: the rest waits its turn
ALLOWED = ("GET", "HEAD", "OPTIONS", "POST")
_REFUSED = ("PUT", "PATCH", "DELETE")
_ALLOW = {"Allow": ", ".join(ALLOWED)}
ONE_CLICK = (b"List-Unsubscribe", b"One-Click")  # RFC 8058 3.2


@dataclass(frozen=True, slots=True)
class ClientParts:
    """What the clients' pages stand on. now: business time."""

    store: Store
    signer: Signer
    now: Callable[[], datetime]
    limit: RateLimit = field(default_factory=RateLimit)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one kind of link can ask for. other: the purpose its page also links to."""

    purpose: str
    other: str
    asks: str
    done: str
    act: Callable[[Any, Link, int, datetime], None]

    @property
    def fields(self) -> tuple[Field, ...]:
        return (ONE_CLICK, (b"answer", self.purpose.encode()))


def _stop(connection: Any, link: Link, clinic_id: int, now: datetime) -> None:
    stop_by_link(connection, link.client_id, clinic_id, now)


_WISHES = {
    "/s/{token}": _Wish(STOP, NOT_ME, "client_stop.html", "client_stopped.html", _stop),
    "/n/{token}": _Wish(NOT_ME, STOP, "client_not_me.html", "client_thanked.html", not_me),
}
_NOTHING = "Nothing was changed."
_AGAIN = ("That did not work", _NOTHING, "Open the link in the e-mail again, then press the button on the page.")
_PROBLEMS: dict[int, tuple[str, str, str]] = {
    400: _AGAIN,
    404: (
        "This link does not open anything",
        f"{_NOTHING} Part of the link may be missing, or it is no longer in use.",
        "To stop our e-mails, answer one with the word Stop, or call the number in it.",
    ),
    405: _AGAIN,
    413: _AGAIN,
    415: _AGAIN,
    429: ("Too many tries", _NOTHING, "Wait a minute, then open the link in the e-mail again."),
    503: (
        "That is not possible at the moment",
        "Please try again in a few minutes. Pressing the button twice does no harm.",
        "If it still does not work, call the number in the e-mail.",
    ),
}


def client_routes(parts: ClientParts, pages: Environment) -> APIRouter:
    """GET, HEAD, OPTIONS and POST of /s/{token} and /n/{token}."""
    routes = APIRouter()
    door = _Door(parts, pages)
    for path, wish in _WISHES.items():
        routes.add_api_route(path, door.endpoint(wish), methods=[*ALLOWED, *_REFUSED], response_model=None)
    return routes


class _Door:
    """Answers requests for one application."""

    def __init__(self, parts: ClientParts, pages: Environment) -> None:
        self._parts, self._pages = parts, pages
        self._turn = Semaphore(AT_ONCE)

    def endpoint(self, wish: _Wish) -> Callable[[Request, str], Any]:
        async def answer(request: Request, token: str) -> Response:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=_ALLOW)
            if request.method not in ALLOWED:
                return self._problem(405, _ALLOW)
            wait = self._parts.limit.wait(request.client.host if request.client else "")
            if wait:
                return self._problem(429, {"Retry-After": str(wait)})
            posted = request.method == "POST"
            # Whatever the token: how a bad form is answered tells nothing about it.
            refusal = await refused_form(request, wish.fields) if posted else 0
            if refusal:
                return self._problem(refusal, {"Connection": "close"} if refusal == 413 else {})
            link = read_link(self._parts.signer, wish.purpose, token)
            return self._problem(404) if link is None else await self._answered(wish, link, posted=posted)

        return answer

    async def _answered(self, wish: _Wish, link: Link, *, posted: bool) -> Response:
        try:
            async with self._turn:
                clinic = await run_in_threadpool(self._done if posted else self._found, wish, link)
        except NotFound:
            return self._problem(404)
        except Unavailable:
            return self._problem(503, {"Retry-After": "60"})
        other = write_link(self._parts.signer, wish.other, link)
        return self._page(wish.done if posted else wish.asks, 200, {}, **_shown(clinic), other=other)

    def _found(self, _: _Wish, link: Link) -> Clinic:
        with self._parts.store.read() as connection:
            return clinic_of(connection, link.client_id)

    def _done(self, wish: _Wish, link: Link) -> Clinic:
        with self._parts.store.write() as connection:
            clinic = clinic_of(connection, link.client_id)
            # Read once it is our turn: no e-mail marked before may bear a later time than this wish.
            wish.act(connection, link, clinic.id, self._parts.now())
            return clinic

    def _problem(self, status: int, headers: dict[str, str] | None = None) -> Response:
        title, *sentences = _PROBLEMS[status]
        return self._page("client_problem.html", status, headers or {}, title=title, sentences=sentences, name="")

    def _page(self, template: str, status: int, headers: dict[str, str], **said: Any) -> Response:
        words = self._pages.get_template(template).render(said)
        return HTMLResponse(words, status, {"X-Robots-Tag": "noindex, nofollow", **headers})


def _shown(clinic: Clinic) -> dict[str, Any]:
    """All that a page tells about a clinic."""
    phone = {"href": phone_href(clinic.phone), "shown": phone_shown(clinic.phone)} if clinic.phone else None
    return {"name": clinic.sender_name or clinic.name, "phone": phone, "reply_to": clinic.reply_to}
