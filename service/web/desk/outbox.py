"""The outbox in plain words: what went wrong and what to do about it, what waits, what was sent; the days to come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from service.domain.schedule import instant, local_day
from service.store import browsing
from service.store.browsing import Place
from service.web.desk.counted import counted
from service.web.desk.visit import Answer, Page, Route, Visit

SHOWN = 50
DAYS = 7
_LISTS = {
    "wrong": "Went wrong",
    "held": "Held back",
    "waiting": "Waiting",
    "sent": "Sent",
    "all": "All",
}


def _outbox(visit: Visit) -> Answer:
    show = visit.query.get("show", "wrong")
    show = show if show in _LISTS else "wrong"
    rows = _rows(visit, show)
    more = ""
    if len(rows) > SHOWN:
        rows = rows[:SHOWN]
        place = rows[-1]["not_before" if show == "waiting" else "place"]
        more = f"/outbox?show={show}&at={place.strftime('%Y%m%dT%H%M%S.%f')}&id={rows[-1]['id']}"
    return Page("outbox.html", {"rows": rows, "show": show, "lists": _LISTS, "more": more})


def _rows(visit: Visit, show: str) -> list[Any]:
    place, clinic_id = _place(visit.query), visit.clinic.id
    listed: Mapping[str, Callable[..., list[Any]]] = {
        "wrong": browsing.wrong,
        "held": browsing.held,
        "sent": browsing.sent,
        "all": browsing.everything,
    }
    with visit.store.read() as connection:
        if show == "waiting":
            return list(browsing.next_out(connection, clinic_id, visit.now, SHOWN + 1, place))
        return listed[show](connection, clinic_id, SHOWN + 1, place)


def _place(query: Mapping[str, str]) -> Place | None:
    """Where the page before ended; anything else begins anew."""
    raw_id = query.get("id", "")
    try:
        at = datetime.strptime(query.get("at", ""), "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Place(at, int(raw_id)) if raw_id.isascii() and raw_id.isdigit() and len(raw_id) < 19 else None


def _forecast(visit: Visit) -> Answer:
    zone = visit.clinic.zone
    today = local_day(visit.now, zone)
    days = [today + timedelta(days=number) for number in range(DAYS)]
    ends = [instant(day + timedelta(days=1), time(), zone) for day in days]
    clinic_id = visit.clinic.id
    with visit.store.read() as connection:

        def count() -> list[int]:
            spans = itertools.pairwise((visit.now, *ends))
            numbers = [browsing.waiting(connection, clinic_id, *span) for span in spans]
            return [numbers[0] + browsing.overdue(connection, clinic_id, visit.now), *numbers[1:]]

        numbers = counted((visit.store, clinic_id, "forecast", today), count, lambda found: sum(found))  # noqa: PLW0108 - a typed one
        rows = browsing.next_out(connection, clinic_id, visit.now, SHOWN + 1)
    rows = [row for row in rows if row["not_before"] < ends[-1]]
    said = {"days": list(zip(days, numbers, strict=True)), "total": sum(numbers), "rows": rows[:SHOWN]}
    return Page("forecast.html", {**said, "more": "/outbox?show=waiting" if len(rows) > SHOWN else ""})


ROUTES = (
    Route("GET", "/outbox", _outbox),
    Route("GET", "/forecast", _forecast),
)
