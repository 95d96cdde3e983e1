"""Today: what needs a person now, what went out, what goes out next, and whether the line works."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from operator import itemgetter
from typing import Any

from service.domain.schedule import instant, local_day
from service.store import browsing, calls, figures, staff
from service.store.figures import FellDue, Span
from service.store.line import line
from service.web.desk.counted import counted
from service.web.desk.visit import Answer, Page, Route, Visit

SHOWN_CALLS = 6
SHOWN_NEXT = 8
#: One-time links that were used for one's account: so many, for so long.
SHOWN_LINKS, LINKS_FOR = 3, timedelta(days=7)


def _today(visit: Visit) -> Answer:
    today = local_day(visit.now, visit.clinic.zone)
    midnight = [instant(today + timedelta(days=days), time(), visit.clinic.zone) for days in (-1, 0, 1)]
    clinic_id = visit.clinic.id
    with visit.store.read() as connection:
        left, first = counted(
            (visit.store, clinic_id, "to go", midnight[2]),
            lambda: figures.to_go(connection, clinic_id, visit.now, midnight[2]),
            itemgetter(0),
        )

        def fell_due(since: datetime, until: datetime) -> FellDue:
            span = Span(since, until)
            of = (visit.store, clinic_id, "fell due", since)
            return counted(of, lambda: figures.fell_due(connection, clinic_id, span), lambda found: found.due)

        said = {
            "today": fell_due(midnight[1], midnight[2]),
            "yesterday": fell_due(midnight[0], midnight[1]),
            "left": left,
            "next_at": first if first is None else max(first, visit.now),
            "calls": calls.listed(connection, clinic_id, "open", SHOWN_CALLS),
            "next": browsing.next_out(connection, clinic_id, visit.now, browsing.Stretch(SHOWN_NEXT)),
            "line": line(connection, visit.now),
            "links": _links(connection, visit),
            "missing": visit.clinic.missing,
            "trial": not visit.service.settings.live,
        }
    return Page("today.html", said)


def _links(connection: Any, visit: Visit) -> list[Any]:
    """Links used lately for this account. Where there was one only it is the first of all, which everybody has."""
    used = staff.links_used(connection, visit.clinic.id, visit.staff.id, SHOWN_LINKS)
    return [link for link in used if visit.now - link["chosen_at"] < LINKS_FOR] if len(used) > 1 else []


def _keys(visit: Visit) -> Answer:
    del visit
    return Page("keys.html", {})


ROUTES = (Route("GET", "/", _today), Route("GET", "/keys", _keys))
