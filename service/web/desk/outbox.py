"""The outbox in plain words: what went wrong and what to do about it, what waits, what was sent; the days to come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from service.domain.own_steps import for_clinic
from service.domain.schedule import instant, local_day
from service.store import browsing
from service.store.browsing import Place, Stretch
from service.store.tables import Kind
from service.web.desk.counted import counted
from service.web.desk.dates import midnight, typed_day
from service.web.desk.forms import beside
from service.web.desk.visit import Answer, Page, Route, Visit
from service.web.desk.words import step_words

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
    asked = {name: visit.query.get(name, "")[:40] for name in ("show", "on", "what")}
    show = asked["show"] = asked["show"] if asked["show"] in _LISTS else "wrong"
    on = typed_day(asked["on"])
    errors = [("on", "This is not a date. Write it as YYYY-MM-DD.")] if asked["on"] and on is None else []
    stretch = _stretch(visit, asked["what"], on)
    rows = [] if errors else _rows(visit, show, stretch)
    more = ""
    if len(rows) > SHOWN:
        rows = rows[:SHOWN]
        place = rows[-1]["not_before" if show == "waiting" else "place"]
        end = {"at": place.strftime("%Y%m%dT%H%M%S.%f"), "id": rows[-1]["id"]}
        more = f"/outbox?{urlencode({**_typed(asked), **end})}"
    lists = [(key, words, f"/outbox?{urlencode(_typed({**asked, 'show': key}))}") for key, words in _LISTS.items()]
    said = {"rows": rows, "show": show, "lists": lists, "more": more, "asked": asked, "kinds": _kinds(visit)}
    part = {"is_part": bool(asked["on"] or asked["what"]), "errors": errors, "error": beside(errors)}
    return Page("outbox.html", said | part, 400 if errors else 200)


def _typed(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in asked.items() if value}


def _kinds(visit: Visit) -> list[tuple[str, str]]:
    """What an e-mail can be, for a choice; the days as this clinic has them."""
    protocols = visit.service.catalogue.protocols.values()
    days = {step.day for one in protocols for step in for_clinic(one, visit.clinic.own_steps).steps}
    numbered = [(str(day), step_words(Kind.REMINDER, day)) for day in sorted(days)]
    return [("", "any"), *numbered, *((kind, step_words(kind, None)) for kind in (Kind.CATCH_UP, Kind.HELLO))]


def _stretch(visit: Visit, what: str, on: date | None) -> Stretch:
    """The part of a list that is asked for; of an invented kind there is nothing to see."""
    since, until = (midnight(on, visit.clinic.zone, later) if on else None for later in (0, 1))
    is_day = what.isascii() and what.isdigit()
    kind, day = (Kind.REMINDER, int(what[:4])) if is_day else (what or None, None)
    return Stretch(SHOWN + 1, _place(visit.query), since, until, kind, day)


def _rows(visit: Visit, show: str, stretch: Stretch) -> list[Any]:
    clinic_id = visit.clinic.id
    listed: Mapping[str, Callable[..., list[Any]]] = {
        "wrong": browsing.wrong,
        "held": browsing.held,
        "sent": browsing.sent,
        "all": browsing.everything,
    }
    with visit.store.read() as connection:
        if show == "waiting":
            return list(browsing.next_out(connection, clinic_id, visit.now, stretch))
        return listed[show](connection, clinic_id, stretch)


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
        rows = browsing.next_out(connection, clinic_id, visit.now, Stretch(SHOWN + 1))
    rows = [row for row in rows if row["not_before"] < ends[-1]]
    said = {"days": list(zip(days, numbers, strict=True)), "total": sum(numbers), "rows": rows[:SHOWN]}
    return Page("forecast.html", {**said, "more": "/outbox?show=waiting" if len(rows) > SHOWN else ""})


ROUTES = (
    Route("GET", "/outbox", _outbox),
    Route("GET", "/forecast", _forecast),
)
