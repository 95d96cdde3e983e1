"""One client: who it is, what comes next, what may be done, and the whole story. Every look is written down."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from service.actions import revise
from service.domain.reminder import OPEN
from service.store import calls, check_ins, clients, clinics, search, story
from service.web.desk import timeline
from service.web.desk.people import language_words, living, opened, person_state, titles
from service.web.desk.rights import RIGHTS
from service.web.desk.visit import Answer, File, Go, Page, Route, Visit

DONE = {
    "corrected": "Corrected.",
    "stopped": "Stopped: this client gets no more e-mails. If some were still to come, a call is on the list.",
    "unstopped": "The stop is undone: treatments from now on get their e-mails again.",
    "paused": "Paused: nothing goes out until you resume.",
    "resumed": "Resumed: what is still right goes out; what is too late becomes a call.",
    "lifted": "We write to this address again. E-mails of treatments from now on go out.",
    "erased": "Erased. It cannot be undone.",
    "noted": "The lot and the note are saved.",
    "moved": "The day of the treatment is corrected.",
    "cancelled": "The treatment is cancelled.",
    "skipped": "That e-mail will not go out.",
    "again": "It will go out once more.",
    "call": "A call is on the list.",
    "same": "Nothing was different, so nothing was changed.",
}
SHOWN = 300


def _client(visit: Visit) -> Answer:
    client = opened(visit)
    with visit.store.read() as connection:
        clinic_id, client_id = visit.clinic.id, client["id"]
        known = timeline.Known(
            client=client,
            treatments=clients.list_treatments(connection, clinic_id, client_id),
            emails=story.emails_of(connection, clinic_id, client_id),
            calls=calls.of_client(connection, clinic_id, client_id),
            check_ins=check_ins.listed(connection, clinic_id, client_id, SHOWN),
            audit=story.audit_of(connection, clinic_id, client_id),
            staff=clinics.staff_names(connection, clinic_id),
        )
        line = search.people(connection, clinic_id, [client_id], visit.now)[0]
        dead = story.suppression(connection, clinic_id, client["email_folded"])
    entries = timeline.tell(visit, known)
    going = sorted((row for row in known.emails if row["state"] in OPEN), key=lambda row: row["not_before"])
    lost = [row for row in known.emails if timeline.is_lost(row) and row["useful_until"] > visit.now]
    said = {
        "client": client,
        "line": line,
        "state_of": person_state(client["state"]),
        "dead": dead,
        "language": language_words(client["language"]),
        "going": going,
        "lost": lost,
        "treatments": list(reversed(known.treatments)),
        "entries": entries[:SHOWN],
        "more": len(entries) > SHOWN,
        "titles": titles(visit),
        "open_calls": [row for row in known.calls if row["state"] == "open"],
        "may_pack": visit.staff.role in RIGHTS["POST /clients/{client_id}/pack"],
        "may_erase": visit.staff.role in RIGHTS["POST /clients/{client_id}/erase"],
        "done": DONE.get(visit.query.get("done", ""), ""),
    }
    return Page("client.html", said)


def _resume(visit: Visit) -> Answer:
    client = opened(visit)
    living(client)
    with visit.store.write() as connection:
        revise.resume(connection, visit.clinic, client["id"], visit.who)
    return Go(f"/clients/{client['id']}?done=resumed")


def _export(visit: Visit) -> Answer:
    """All that is stored about the client, in one file; that it was taken is written down."""
    client = opened(visit)
    with visit.store.write() as connection:
        revise.note(connection, visit.clinic, client["id"], ("client exported", {}), visit.who)
    with visit.store.read() as connection:
        clinic_id, client_id = visit.clinic.id, client["id"]
        document = {
            "client": {name: value for name, value in client.items() if name != "found_by"},
            "treatments": clients.list_treatments(connection, clinic_id, client_id),
            "emails": story.emails_of(connection, clinic_id, client_id),
            "calls": calls.of_client(connection, clinic_id, client_id),
            "check_ins": [vars(one) for one in check_ins.listed(connection, clinic_id, client_id)],
            "audit": story.audit_of(connection, clinic_id, client_id),
        }
    content = json.dumps(document, default=_plain, ensure_ascii=False, indent=1)
    return File(f"client-{client['id']}.json", "application/json", content.encode())


def _plain(value: Any) -> Any:
    """Rows as objects, instants and days as ISO 8601."""
    return value.isoformat() if isinstance(value, date | datetime) else dict(value)


ROUTES = (
    Route("GET", "/clients/{client_id}", _client),
    Route("POST", "/clients/{client_id}/resume", _resume),
    Route("POST", "/clients/{client_id}/export", _export),
)
