"""The catcher's inbox: what would have gone to clients, listed and shown one by one. Trial mode only; changes nothing.

A caught e-mail is shown in a sandboxed frame under a policy of its own: nothing in it is loaded or run.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment

from service.errors import NotFound
from service.mail.caught import Caught, CaughtMessage, caught, count_caught, read_caught
from service.web.security import FOREIGN_HTML_POLICY

LISTED = 200  # newest messages on the list
SHOWN_SOURCE = 100_000  # characters of the source on a message's page
WIDTHS = {"320": "Phone", "600": "Tablet", "1200": "Desk"}  # px
READ = ["GET", "HEAD"]
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spoken(instant: datetime) -> str:
    """A date as people say it, in the offset it carries: "Sun 22 Nov 2026, 10:00"."""
    day, month = _DAYS[instant.weekday()], _MONTHS[instant.month - 1]
    return f"{day} {instant.day} {month} {instant.year}, {instant:%H:%M}"


def inbox_routes(maildir: Path, pages: Environment) -> APIRouter:
    """/inbox and one page, frame, text and source for each caught message. An unknown id raises NotFound."""
    routes = APIRouter(prefix="/inbox")

    @routes.api_route("", methods=READ)
    def inbox() -> HTMLResponse:
        rows = [(entry, _dated(entry), spoken(_dated(entry))) for entry in caught(maildir, limit=LISTED)]
        words = pages.get_template("inbox.html").render(rows=rows, total=count_caught(maildir))
        return HTMLResponse(words)

    @routes.api_route("/{caught_id}", methods=READ)
    def message(caught_id: str, width: str = "600") -> HTMLResponse:
        shown = _message(read_caught(maildir, caught_id), width if width in WIDTHS else "600")
        return HTMLResponse(pages.get_template("message.html").render(shown))

    @routes.api_route("/{caught_id}/html", methods=READ)
    def html(caught_id: str) -> HTMLResponse:
        opened = read_caught(maildir, caught_id)
        if not opened.html:
            raise NotFound("this message has no HTML part", field="id")
        return HTMLResponse(opened.html, headers={"Content-Security-Policy": FOREIGN_HTML_POLICY})

    @routes.api_route("/{caught_id}/text", methods=READ)
    def text(caught_id: str) -> PlainTextResponse:
        return PlainTextResponse(read_caught(maildir, caught_id).text)

    @routes.api_route("/{caught_id}/source", methods=READ)
    def source(caught_id: str) -> PlainTextResponse:
        return PlainTextResponse(read_caught(maildir, caught_id).source)

    return routes


def _message(opened: CaughtMessage, width: str) -> dict[str, object]:
    """What the page of one message shows."""
    source = opened.source.decode("utf-8", "replace")
    return {
        "entry": opened.caught,
        "dated": _dated(opened.caught),
        "spoken": spoken,
        "opened": opened,
        "source": source[:SHOWN_SOURCE],
        "cut": len(source) > SHOWN_SOURCE,
        "widths": WIDTHS,
        "width": width,
    }


def _dated(entry: Caught) -> datetime:
    """When the e-mail says it was sent: in the demo the days pass faster than the catcher's clock."""
    return entry.dated or entry.at
