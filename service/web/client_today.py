"""The page of the day behind a client's own link: what is normal when it is opened. It can only be read.

It names no client, no address and nothing that was done; where nothing may be said it shows how to reach the clinic.
Every link that opens nothing gets one and the same page.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import Response

from service.actions.answer import CHECK_IN, STOP, TODAY, Link, read_link, write_link
from service.actions.shelf import Shelf
from service.actions.today import Today, Why, read_today
from service.errors import NotFound, Unavailable
from service.store.clinics import Clinic
from service.web.client_door import ClientParts, Door, Problems, phone_link

READ = ("GET", "HEAD", "OPTIONS")
_REFUSED = ("POST", "PUT", "PATCH", "DELETE")
_AGAIN = "Open the link in the e-mail again, or call the number in it."
_PROBLEMS: Problems = {
    404: (
        "This link does not open anything",
        "Part of the link may be missing, or it is no longer in use.",
        _AGAIN,
    ),
    405: ("That cannot be done here", "This page can only be read.", _AGAIN),
    429: ("Too many tries", "This page was opened too often.", f"Wait a minute. {_AGAIN}"),
    503: ("That is not possible at the moment", "Please try again in a few minutes.", _AGAIN),
}
#: Said where there are no words for the day. No word about the body: nobody has approved one.
_WHY = {
    Why.NO_VISIT: "There is nothing else to show at this link at the moment.",
    Why.OVER: "Your visit was some time ago. This page no longer says what to expect from day to day.",
    Why.NO_WORDS: "We cannot show what to expect from day to day at the moment.",
}


def today_routes(parts: ClientParts, shelf: Shelf, pages: Environment) -> APIRouter:
    """GET, HEAD and OPTIONS of /t/{token}. shelf: where the words of the page are taken from."""
    routes = APIRouter()
    page = _Page(Door(parts, pages, _PROBLEMS, READ), shelf)
    routes.add_api_route("/t/{token}", page.answer, methods=[*READ, *_REFUSED], response_model=None)
    return routes


class _Page:
    """Answers requests for the page of the day."""

    def __init__(self, door: Door, shelf: Shelf) -> None:
        self._door, self._shelf = door, shelf

    async def answer(self, request: Request, token: str) -> Response:
        turned_away = self._door.turned_away(request)
        if turned_away is not None:
            return turned_away
        link = read_link(self._door.parts.signer, TODAY, token)
        return self._door.problem(404) if link is None else await self._answered(link)

    async def _answered(self, link: Link) -> Response:
        try:
            today = await self._door.in_turn(self._read, link)
        except NotFound:
            return self._door.problem(404)
        except Unavailable:
            return self._door.problem(503, {"Retry-After": "60"})
        said = _spoken(today) if today.spoken else _contact(today)
        signer = self._door.parts.signer
        said["stop"] = write_link(signer, STOP, link)
        said["check_in"] = write_link(signer, CHECK_IN, link) if today.asks else ""
        return self._door.page("client_today.html" if today.spoken else "client_contact.html", 200, {}, **said)

    def _read(self, link: Link) -> Today:
        parts = self._door.parts
        with parts.store.read() as connection:
            return read_today(connection, self._shelf, link, parts.now())


def _spoken(today: Today) -> dict[str, Any]:
    """A page with words is whole in their language: its labels, too."""
    first = today.spoken[0]
    return {
        "name": _name(today.clinic),
        "title": first.title,
        "tag": first.tag,
        "direction": first.language.direction,
        "words": first.language.words,
        "parts": [{"tag": one.tag, "direction": one.language.direction, "html": one.html} for one in today.spoken],
    }


def _contact(today: Today) -> dict[str, Any]:
    """All that a page without words tells."""
    clinic = today.clinic
    return {
        "name": _name(clinic),
        "why": _WHY[today.why or Why.NO_VISIT],
        "phone": phone_link(clinic.phone),
        "reply_to": clinic.reply_to,
        "lines": today.lines,
        "urgent_line": clinic.urgent_line_name,
        "urgent_number": phone_link(clinic.urgent_line_number),
        "emergency_number": phone_link(clinic.emergency_number),
    }


def _name(clinic: Clinic) -> str:
    return clinic.sender_name or clinic.name
