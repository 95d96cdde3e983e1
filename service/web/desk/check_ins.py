"""What clients answered lately, and who has not: a quiet list, no alarm."""

from __future__ import annotations

from service.store import check_ins, clients
from service.web.desk.visit import Answer, Page, Route, Visit

SHOWN = 50


def _list(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        quiet = check_ins.unanswered(connection, visit.clinic.id, visit.now)
        answered = check_ins.listed(connection, visit.clinic.id, limit=SHOWN)[::-1]
        names = clients.names(connection, visit.clinic.id, {one.client_id for one in answered})
    said = {"quiet": quiet[:SHOWN], "more": len(quiet) - SHOWN, "answered": answered, "names": names}
    return Page("check_ins.html", {**said, "asks": visit.service.settings.public_url and visit.clinic.check_in})


ROUTES = (Route("GET", "/check-ins", _list),)
