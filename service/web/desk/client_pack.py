"""The audit pack of one client and a span of days, for an insurer or an inspector. Taking it is written down."""

from __future__ import annotations

from collections.abc import Mapping

from service.actions import revise
from service.actions.audit_pack import pack
from service.actions.evidence import Span, gather
from service.domain.schedule import local_day
from service.errors import BadInput
from service.store import clients
from service.web.desk.client_email import desk_of
from service.web.desk.dates import typed_day
from service.web.desk.forms import beside
from service.web.desk.people import opened, sentence
from service.web.desk.visit import Answer, File, Page, Route, Visit

_FIELDS = ("since", "until")


def _form(visit: Visit) -> Answer:
    """From the first treatment to today, unless somebody says otherwise."""
    client = opened(visit)
    with visit.store.read() as connection:
        done = clients.list_treatments(connection, visit.clinic.id, client["id"])
    zone = visit.clinic.zone
    first = min([local_day(client["created_at"], zone), *(row["treated_on"] for row in done)])
    today = local_day(visit.now, zone)
    return _page(client, {"since": first.isoformat(), "until": today.isoformat()}, {})


def _page(client: object, typed: Mapping[str, str], errors: Mapping[str, str]) -> Page:
    said = {"client": client, "typed": typed, "error": beside(errors.items()), "mistakes": list(errors.items())}
    return Page("client_pack.html", said, 400 if errors else 200)


def _take(visit: Visit) -> Answer:
    client = opened(visit)
    typed = {name: visit.form[name].strip() for name in _FIELDS}
    days = {name: typed_day(raw) for name, raw in typed.items()}
    first, last = days["since"], days["until"]
    if first is None or last is None:
        wrong = "This is not a day. Write it like 2026-11-20."
        return _page(client, typed, {name: wrong for name, on in days.items() if on is None})
    span = Span(first, last)
    try:
        with visit.store.read() as connection:
            found = gather(connection, desk_of(visit), client["id"], span)
    except BadInput as error:
        return _page(client, typed, {error.field or "since": sentence(error)})
    with visit.store.write() as connection:
        taken = {"from": first, "to": last}
        revise.note(connection, visit.clinic, client["id"], ("audit pack taken", taken), visit.who)
    content = pack(found, f"{visit.staff.name} ({visit.staff.email})", visit.now)
    return File(f"client-{client['id']}-{first}-to-{last}.zip", "application/zip", content)


ROUTES = (
    Route("GET", "/clients/{client_id}/pack", _form),
    Route("POST", "/clients/{client_id}/pack", _take),
)
