"""Today: what needs a person now, what went out, what goes out next, and whether the line works."""

from __future__ import annotations

from service.web.desk.visit import Answer, Page, Route, Visit


def _today(visit: Visit) -> Answer:
    del visit
    return Page("today.html", {})


ROUTES = (Route("GET", "/", _today),)
