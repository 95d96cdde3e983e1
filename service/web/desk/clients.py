"""Finding a client: one box for a name, an address, a phone number or a day. Quicker with every letter."""

from __future__ import annotations

from service.domain.finding import SOUGHT_LIMIT, read_sought
from service.domain.schedule import local_day
from service.store import search
from service.web.desk.people import person_state, titles
from service.web.desk.visit import Answer, Page, Route, Visit


def _clients(visit: Visit) -> Answer:
    typed = " ".join(visit.query.get("q", "")[:SOUGHT_LIMIT].split())
    sought = read_sought(typed, local_day(visit.now, visit.clinic.zone))
    with visit.store.read() as connection:
        if typed:
            found = search.find(connection, visit.clinic.id, sought, visit.now)
        else:
            found = search.lately(connection, visit.clinic.id, visit.now)
    said = {"typed": typed, "found": found, "on": sought.on, "titles": titles(visit), "person_state": person_state}
    return Page("clients_found.html" if visit.fragment else "clients.html", said)


ROUTES = (Route("GET", "/clients", _clients),)
