"""When nothing could be sent: whom it touched, what became of each, and the owner's note about it."""

from __future__ import annotations

from service.actions.outage_note import keep_note, may_note
from service.errors import BadInput
from service.store.outages import Person, people, stories
from service.store.tables import Role
from service.web.desk.forms import beside, sentence
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Answer, Go, Page, Route, Visit

#: Outages on the page, and clients of one of them.
SHOWN, PEOPLE = 50, 200
#: Who makes something of the technical words.
_TECHNICAL = (Role.OWNER, Role.OPS)
_DONE = {"noted": "The note is kept."}


def _list(visit: Visit) -> Answer:
    return _shown(visit, [])


def _shown(visit: Visit, errors: list[tuple[str, str]]) -> Page:
    role = visit.staff.role
    sees_clients = role in RIGHTS["GET /clients/{client_id}"]
    with visit.store.read() as connection:
        told = list(reversed(stories(connection, visit.clinic.id, visit.now)))[:SHOWN]
        may = role in RIGHTS["POST /outages"] and may_note(connection)
        found: dict[int, Person] = {}
        for story in told if sees_clients else ():
            found |= people(connection, visit.clinic.id, {one.client_id for one in story.touched[:PEOPLE]})
    said = {"stories": told, "people": found, "most": PEOPLE, "sees_clients": sees_clients, "may_note": may}
    said |= {"sees_cause": role in _TECHNICAL, "errors": errors, "error": beside(errors), "typed": visit.form.typed()}
    return Page("outages.html", {**said, "done": _DONE.get(visit.query.get("done", ""), "")}, 400 if errors else 200)


def _note(visit: Visit) -> Answer:
    raw = visit.form["outage"]
    outage_id = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else 0
    field = f"note-{outage_id}"
    try:
        with visit.store.write() as connection:
            keep_note(connection, visit.clinic, outage_id, visit.form[field].strip(), visit.who)
    except BadInput as error:
        return _shown(visit, [(field, sentence(error))])
    return Go(f"/outages?done=noted#outage-{outage_id}")


ROUTES = (
    Route("GET", "/outages", _list),
    Route("POST", "/outages", _note),
)
