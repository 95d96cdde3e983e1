"""The pages behind a client's links: stop, and "this is not me". Reading shows a page; only POST does something.

They tell whoever holds a forwarded link the clinic's discreet name and phone, and no more; every link that opens
nothing gets one and the same page. No cookie, no redirect, no script, no log-in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response

from service.actions.answer import NOT_ME, STOP, Link, clinic_of, not_me, read_link, stop_by_link, write_link
from service.errors import NotFound, Unavailable
from service.store.clinics import Clinic
from service.web.client_door import AT_ONCE, ClientParts, Door, Problems, phone_link
from service.web.limits import Field, refused_form

__all__ = ["AT_ONCE", "ClientParts", "client_routes"]

ALLOWED = ("GET", "HEAD", "OPTIONS", "POST")
_REFUSED = ("PUT", "PATCH", "DELETE")
ONE_CLICK = (b"List-Unsubscribe", b"One-Click")  # RFC 8058 3.2


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
_PROBLEMS: Problems = {
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
    door = Door(parts, pages, _PROBLEMS, ALLOWED)
    for path, wish in _WISHES.items():
        routes.add_api_route(path, _Wishes(door, wish).answer, methods=[*ALLOWED, *_REFUSED], response_model=None)
    return routes


class _Wishes:
    """Answers requests for one kind of wish."""

    def __init__(self, door: Door, wish: _Wish) -> None:
        self._door, self._wish = door, wish

    async def answer(self, request: Request, token: str) -> Response:
        turned_away = self._door.turned_away(request)
        if turned_away is not None:
            return turned_away
        posted = request.method == "POST"
        # Whatever the token: how a bad form is answered tells nothing about it.
        refusal = await refused_form(request, self._wish.fields) if posted else 0
        if refusal:
            return self._door.problem(refusal, {"Connection": "close"} if refusal == 413 else {})
        link = read_link(self._door.parts.signer, self._wish.purpose, token)
        return self._door.problem(404) if link is None else await self._answered(link, posted=posted)

    async def _answered(self, link: Link, *, posted: bool) -> Response:
        wish = self._wish
        try:
            clinic = await self._door.in_turn(self._done if posted else self._found, link)
        except NotFound:
            return self._door.problem(404)
        except Unavailable:
            return self._door.problem(503, {"Retry-After": "60"})
        other = write_link(self._door.parts.signer, wish.other, link)
        return self._door.page(wish.done if posted else wish.asks, 200, {}, **_shown(clinic), other=other)

    def _found(self, link: Link) -> Clinic:
        with self._door.parts.store.read() as connection:
            return clinic_of(connection, link.client_id)

    def _done(self, link: Link) -> Clinic:
        with self._door.parts.store.write() as connection:
            clinic = clinic_of(connection, link.client_id)
            # Read once it is our turn: no e-mail marked before may bear a later time than this wish.
            self._wish.act(connection, link, clinic.id, self._door.parts.now())
            return clinic


def _shown(clinic: Clinic) -> dict[str, Any]:
    """All that a page tells about a clinic."""
    name = clinic.sender_name or clinic.name
    return {"name": name, "phone": phone_link(clinic.phone), "reply_to": clinic.reply_to}
